"""A pipeline of threads: while one stage works on an item, the stage before it makes the next.

Between two stages stands a passage with little room, so that a fast stage waits for a slow one and memory does not grow
with the length of the source. Whatever goes wrong ends everything: the threads are joined before the caller sees the
error. A thread keeps to one core, as in `workers`: networks and kernels here release Python's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch


@dataclass(frozen=True)
class Stage:
    """What is done to every item, by `workers` threads at once. name: of its threads, for debuggers and logs."""

    name: str
    work: Callable[[Any], Any]
    workers: int = 1


def flow(source: Iterable[Any], stages: Sequence[Stage], *, ahead: int = 2) -> Generator[Any]:
    """Yields what becomes of each item of `source` after all stages, in order.

    The source is iterated, and closed where it is a generator, by a thread of its own; each stage has its own threads.
    ahead: how many finished items wait between a stage and the next, beside those that its workers hold. A stage of one
    worker gets the items in order. Nothing begins before the first item is asked for.

    The first exception of the source or of a stage, of whatever kind, is raised here; what was finished before it is
    dropped. Then, as when this generator is closed or interrupted, no item is begun any more, and what is under way is
    waited for. Raises ValueError for a stage without workers and for `ahead` below 1.
    """
    if ahead < 1 or any(stage.workers < 1 for stage in stages):
        raise ValueError(f"at least one worker and one item ahead are needed, got {ahead=} and {stages}")
    before = torch.get_num_threads()
    line = _Line()
    try:
        passage = _Passage(line, ahead)
        line.start("source", partial(line.feed, source, passage))
        for stage in stages:
            taken, passage = passage, _Passage(line, ahead + stage.workers - 1)
            for number in range(stage.workers):
                line.start(f"{stage.name} {number}", partial(_serve, stage.work, taken, passage))
        while (got := passage.take()) is not None:
            yield got.item
            del got  # or it would be kept while the next is waited for
    except _OverError:
        pass  # by an error, raised below
    finally:
        line.stop()
        torch.set_num_threads(before)
    if line.error is not None:
        raise line.error


@dataclass(frozen=True)
class _Numbered:
    number: int
    item: Any


class _OverError(Exception):
    """Raised in whoever waits on a line that has ended before its time."""


class _Line:
    """The threads of a flow, and what they wait for: one condition, for they are few and wake once an item."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.error: BaseException | None = None
        self.count: int | None = None
        """How many items there were; None until the source has ended."""
        self._over = False
        self._threads: list[threading.Thread] = []

    def start(self, name: str, body: Callable[[], None]) -> None:
        threading.Thread(target=self._run, args=(body,), name=f"fastswap {name}").start()

    def _run(self, body: Callable[[], None]) -> None:
        with self.changed:
            if self._over:
                return
            self._threads.append(threading.current_thread())  # not in `start`: a signal may end that half way
        torch.set_num_threads(1)
        try:
            body()
        except _OverError:
            pass
        except BaseException as error:  # a thread's own end would be seen by nobody: the caller gets it, whatever it is
            with self.changed:
                self.error = self.error or error
                self._end()

    def _end(self) -> None:
        self._over = True
        self.changed.notify_all()

    def wait(self, ready: Callable[[], bool]) -> None:
        """Waits, with the lock held, until `ready`. Raises _OverError where the line ends before."""
        self.changed.wait_for(lambda: self._over or ready())
        if self._over:
            raise _OverError

    def feed(self, source: Iterable[Any], out: _Passage) -> None:
        """Puts the items of the source into the first passage; closes a generator whatever happens."""
        items, count = iter(source), 0
        try:
            for item in items:
                out.put(_Numbered(count, item))
                count += 1
                del item  # or it would be kept while the next is made
        finally:
            if isinstance(items, Generator):
                items.close()
        with self.changed:
            self.count = count
            self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            self._end()
        for thread in self._threads:
            thread.join()


class _Passage:
    """Where finished items wait for the next stage. room: how many; items may come out of order and leave in it, and
    the next in order always finds room."""

    def __init__(self, line: _Line, room: int) -> None:
        self._line = line
        self._room = room
        self._ready: dict[int, _Numbered] = {}
        self._taken = 0

    def put(self, made: _Numbered) -> None:
        with self._line.changed:
            self._line.wait(lambda: made.number < self._taken + self._room)
            self._ready[made.number] = made
            self._line.changed.notify_all()

    def take(self) -> _Numbered | None:
        """The next item; None after the last."""
        with self._line.changed:
            self._line.wait(lambda: self._taken in self._ready or self._taken == self._line.count)
            if self._taken == self._line.count:
                return None
            self._taken += 1
            self._line.changed.notify_all()
            return self._ready.pop(self._taken - 1)


def _serve(work: Callable[[Any], Any], taken: _Passage, given: _Passage) -> None:
    """What a worker does all day."""
    while (got := taken.take()) is not None:
        made = _Numbered(got.number, work(got.item))
        del got  # the item: `work` may have let go of it, and the next stage may wait long
        given.put(made)
        del made
