"""A pipeline of threads: in order, side by side, in bounded memory, and over at once when anything goes wrong."""

from __future__ import annotations

import gc
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import pytest
import torch

from fastswap import workers
from fastswap.flow import Stage, flow

pytestmark = pytest.mark.timeout(30)
WAIT_S = 10
STAGES = ("source", "first", "second", "third")


class BrokenError(BaseException):
    """Nothing that `except Exception` would catch."""


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert threads() == []


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fastswap")]


def same(item: Any) -> Any:
    return item


def uneven(item: int) -> int:
    time.sleep(0.002 * (item * 7 % 5))
    return item


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_results_come_in_order_whatever_finishes_first(count: int, ahead: int) -> None:
    stages = [Stage("uneven", uneven, 4), Stage("square", lambda x: x * x), Stage("more", lambda x: uneven(x) + 1, 3)]
    assert list(flow(range(count), stages, ahead=ahead)) == [x * x + 1 for x in range(count)]


def test_without_a_stage_the_source_runs_ahead_in_its_thread() -> None:
    names = set[str]()

    def source() -> Iterator[int]:
        for number in range(5):
            names.add(threading.current_thread().name)
            yield number

    assert list(flow(source(), [])) == [0, 1, 2, 3, 4]
    assert names == {"fastswap source"}


def test_the_source_the_stages_and_the_caller_work_side_by_side() -> None:
    """Each waits for the three others to be at work on other items: a barrier that no plain loop passes."""
    barrier = threading.Barrier(4, timeout=WAIT_S)

    def source() -> Iterator[int]:
        for number in range(8):
            if number == 3:
                barrier.wait()
            yield number

    def meet(on: int) -> Any:
        def work(item: int) -> int:
            if item == on:
                barrier.wait()
            return item

        return work

    seen = []
    for item in flow(source(), [Stage("first", meet(2)), Stage("second", meet(1))]):
        if item == 0:
            barrier.wait()
        seen.append(item)
    assert seen == list(range(8))


def test_the_workers_of_a_stage_work_side_by_side() -> None:
    barrier = threading.Barrier(3, timeout=WAIT_S)

    def work(item: int) -> int:
        barrier.wait()
        return item

    assert list(flow(range(9), [Stage("meet", work, 3)])) == list(range(9))


class Item:
    """Something whose life is counted."""


@pytest.mark.parametrize(("slow", "most"), [("source", 4), ("first", 9), ("caller", 12)])
def test_memory_is_bounded_whoever_is_slow(slow: str, most: int) -> None:
    """most: what five pairs of hands and three passages, of 2, 3 and 2, hold; behind who is slow they are empty."""
    alive: list[weakref.ref[Item]] = []
    peak = 0

    def count() -> None:
        nonlocal peak
        peak = max(peak, sum(ref() is not None for ref in list(alive)))

    def source() -> Iterator[Item]:
        for _ in range(40):
            item = Item()
            alive.append(weakref.ref(item))
            yield item
            del item
            if slow == "source":
                time.sleep(0.01)

    def work(item: Item) -> Item:
        if slow == "first":
            time.sleep(0.01)
        return item

    gc.collect()
    for item in flow(source(), [Stage("first", work, 2), Stage("second", same)], ahead=2):
        if slow == "caller":
            time.sleep(0.01)
        count()
        del item
    assert len(alive) == 40
    assert 0 < peak <= most


@pytest.mark.parametrize("kind", [ValueError, BrokenError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", STAGES)
def test_an_error_anywhere_ends_everything_in_the_callers_thread(where: str, kind: type[BaseException]) -> None:
    closed_by = []

    def fail(here: str, item: int) -> int:
        if here == where and item == 5:
            raise kind(here)
        return item

    def source() -> Iterator[int]:
        try:
            for number in range(1000):
                yield fail("source", number)
        finally:
            closed_by.append(threading.current_thread().name)

    stages = [Stage(name, lambda item, name=name: fail(name, item), 2) for name in STAGES[1:]]
    with pytest.raises(kind, match=where):
        list(flow(source(), stages))
    assert threads() == []
    assert closed_by == ["fastswap source"]


@pytest.mark.parametrize("where", STAGES)
def test_an_error_ends_everything_while_all_passages_are_full(where: str) -> None:
    """The caller takes nothing any more, everyone waits for room, and then one of them fails."""
    full, fails = threading.Event(), 2

    def fail(here: str, item: int) -> int:
        if here == where and item == fails:
            full.wait(WAIT_S)
            raise ValueError(here)
        return item

    def source() -> Iterator[int]:
        number = 0
        while True:
            yield fail("source", number)
            number += 1

    results = flow(source(), [Stage(name, lambda item, name=name: fail(name, item)) for name in STAGES[1:]], ahead=1)
    with pytest.raises(ValueError, match=where):
        _take_slowly(results, full)
    assert threads() == []


def _take_slowly(results: Iterator[int], full: threading.Event) -> None:
    for _ in results:
        time.sleep(0.1)
        full.set()
        time.sleep(0.1)


def test_the_first_error_is_the_one_that_is_raised() -> None:
    failed = threading.Event()

    def first(item: int) -> int:
        if item == 3:
            failed.set()
            raise ValueError("the first")
        return item

    def second(item: int) -> int:
        if failed.wait(WAIT_S):
            time.sleep(0.1)
            raise ValueError("the second")
        return item

    with pytest.raises(ValueError, match="the first"):
        list(flow(range(9), [Stage("first", first), Stage("second", second)]))


def test_an_error_keeps_its_cause_and_says_where_it_was_raised() -> None:
    def work(item: int) -> int:
        raise ValueError("what") from OSError("why")

    with pytest.raises(ValueError, match="what") as caught:
        list(flow(range(3), [Stage("work", work)]))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.traceback[-1].name == "work"


@pytest.mark.parametrize("taken", [1, 7])
def test_a_caller_who_leaves_early_leaves_no_thread(taken: int) -> None:
    closed_by = []

    def source() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed_by.append(threading.current_thread().name)

    with closing(flow(source(), [Stage("uneven", uneven, 3), Stage("same", same)])) as results:
        assert list(islice(results, taken)) == list(range(taken))
    assert threads() == []
    assert closed_by == ["fastswap source"]


def test_a_signal_reaches_a_caller_who_waits() -> None:
    """Ctrl-C while a stage takes its time: the wait ends, and what is under way is waited for."""
    begun, released = threading.Event(), threading.Event()

    def slow(item: int) -> int:
        begun.set()
        released.wait(WAIT_S)
        return item

    def interrupt() -> None:
        begun.wait(WAIT_S)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.1)
        released.set()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(flow(range(100), [Stage("slow", slow)]))
    assert threads() == []


def test_nothing_begins_before_the_first_item_is_asked_for() -> None:
    results = flow(iter([1]), [Stage("same", same)])
    assert threads() == []
    assert list(results) == [1]


def test_torch_keeps_to_one_core_in_a_thread_and_to_its_own_number_elsewhere() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert set(flow(range(4), [Stage("ask", lambda _: torch.get_num_threads(), 2)])) == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("bad", [{"ahead": 0}, {"stages": [Stage("none", same, 0)]}])
def test_a_flow_that_could_not_move_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        next(flow(range(3), **{"stages": [], **bad}))


@pytest.mark.parametrize("count", [1, 3])
def test_ordered_work_is_the_same_on_any_number_of_workers(count: int) -> None:
    assert list(workers.ordered(uneven, range(12), count)) == list(range(12))
