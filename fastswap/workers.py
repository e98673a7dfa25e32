"""Work on several things at once, in order: threads, each with one core.

Networks and kernels here release Python's lock. One thread a core beats several cores on one small batch, and above all
it does not stall when something else wants a core too: torch's own threads wait for each other after every layer (with
one other process on two cores, five times slower).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 8
_AHEAD = 1
"""How many items more than workers are made in advance: enough that no worker waits, few enough that memory stays
small."""


CORES_VARIABLE = "FASTSWAP_CORES"
"""How many cores a process may use at most, where several share a machine."""


def cores() -> int:
    """How many cores this process may use."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(here, int(os.environ.get(CORES_VARIABLE, here)))


def for_device(device: str) -> int:
    """How many workers keep a device busy: on the CPU one a core (at most 8), on a GPU one."""
    return min(cores(), _MOST) if device == "cpu" else 1


def ordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result]:
    """Yields function(item) for each item, in order, computed by `workers` threads: a `flow` of one stage, to be closed
    where it may be left early. With one worker nothing runs in a thread of its own."""
    if workers == 1:
        yield from map(function, items)
        return
    from fastswap.flow import Stage, flow

    yield from flow(items, [Stage("work", function, workers)], ahead=_AHEAD)
