"""Where tasks are done: the one interface of local workers and of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

ATTEMPTS = 4
"""How often a task is begun whose worker is lost on the way (killed, out of memory, its node gone)."""


class Backend(Protocol):
    """Tasks are texts as `tasks` makes them. May be used by several threads at once."""

    @property
    def workers(self) -> int:
        """How many tasks are done at the same time."""

    def run(self, tasks: Sequence[str], done: Callable[[int], None]) -> list[Any]:
        """Does the tasks and returns their values, in order; the task of a lost worker is done again. done: told the
        number of every task that is finished, in any order, one at a time.

        Raises the error of a task, and drops the others; WorkerLostError where the same is lost again and again."""

    def everywhere(self, task: str) -> list[Any]:
        """Does the task once on each node and returns the values. Raises the first error."""

    def close(self) -> None:
        """Ends what is under way, and every process that was started."""
