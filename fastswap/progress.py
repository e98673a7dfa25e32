"""A progress bar on stderr: what is done, how fast, how long still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text


class Report(Protocol):
    """What a verb calls as it goes: `done` of the total so far, and a note to show behind the bar."""

    def __call__(self, done: int, note: str = "") -> None: ...


def silent(done: int, note: str = "") -> None:
    """A Report that shows nothing."""


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:.0f}" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}")


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self.unit}/s")


class _Left(ProgressColumn):
    """Seconds left, by the speed of the last half minute; nothing where the total is not known."""

    def render(self, task: Task) -> Text:
        left = None if task.finished else task.time_remaining
        return Text("" if left is None else f"{timedelta(seconds=round(left))} left")


@contextmanager
def bar(title: str, total: int | None, unit: str, *, quiet: bool = False) -> Iterator[Report]:
    """Shows a bar while the block runs. total: None where it is not known; unit: what is counted ("frames")."""
    if quiet:
        yield silent
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(20), _Count(), _Rate(unit), _Left(),
        TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, note="")

        def report(done: int, note: str = "") -> None:
            progress.update(task, completed=done, note=note)

        yield report
