"""Work on several things at once, in order: threads, each with one core.

Networks and kernels here release Python's lock. One thread a core beats several cores on one small batch, and above all
it does not stall when something else wants a core too: torch's own threads wait for each other after every layer (with
one other process on two cores, five times slower).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 8
_AHEAD = 1
"""How many items more than workers are taken in advance: enough that no worker waits, few enough that memory stays
small."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def for_device(device: str) -> int:
    """How many workers keep a device busy: on the CPU one a core (at most 8), on a GPU one."""
    return min(cores(), _MOST) if device == "cpu" else 1


def ordered(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yields function(item) for each item, in order, computed by `workers` threads. Items are taken as results are
    handed out, so memory is bounded. With one worker nothing runs in a thread of its own. An exception of `function` or
    `items` is raised here, and what was begun is waited for."""
    if workers == 1:
        yield from map(function, items)
        return
    import torch

    before = torch.get_num_threads()
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers + _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            torch.set_num_threads(before)
