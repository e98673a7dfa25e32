"""Stages on CUDA streams: who waits for whom, told by streams that only take notes; and on a GPU, that it is so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from fastswap.flow import Stage
from fastswap.streams import Handed, Lane, flow_on_gpu, handed_on, received, tensors_of


@dataclass
class Notes:
    """What a stream was asked to do, by all streams of a test in one list."""

    name: str
    log: list[str]

    def wait_event(self, event: str) -> None:
        self.log.append(f"{self.name} waits for {event}")

    def record_event(self) -> str:
        self.log.append(f"{self.name} records")
        return f"event of {self.name}"


@dataclass
class Streams:
    log: list[str] = field(default_factory=list)

    def lane(self, name: str) -> Any:
        @contextmanager
        def on(stream: Any) -> Iterator[None]:
            self.log.append(f"{stream.name} on")
            yield
            self.log.append(f"{stream.name} off")

        return Lane(Notes(name, self.log), on)  # type: ignore[arg-type]


def test_work_is_queued_behind_what_made_its_item_and_hands_over_an_event() -> None:
    streams = Streams()

    def work(item: int) -> int:
        streams.log.append("work")
        return item + 1

    done = streams.lane("B")(work, Handed(1, "event of A"))  # type: ignore[arg-type]
    assert (done.item, done.ready) == (2, "event of B")
    assert streams.log == ["B on", "B waits for event of A", "work", "B records", "B off"]


def test_the_source_makes_its_items_on_its_stream_and_is_closed_with_it() -> None:
    streams = Streams()

    def source() -> Iterator[str]:
        try:
            for name in "abc":
                streams.log.append(f"make {name}")
                yield name
        finally:
            streams.log.append("closed")

    items = handed_on(source(), streams.lane("S"))
    assert next(items).item == "a"
    assert streams.log == ["S on", "make a", "S off", "S records"]
    items.close()
    assert streams.log[-1] == "closed"
    streams.log.clear()
    assert [handed.item for handed in handed_on(source(), streams.lane("S"))] == ["a", "b", "c"]
    assert streams.log.count("S on") == 4, "the end of the source is found on its stream, too"


class OnGpu:
    """A tensor as far as `received` looks."""

    is_cuda = True

    def __init__(self) -> None:
        self.used_on: list[str] = []

    def record_stream(self, stream: Notes) -> None:
        self.used_on.append(stream.name)


def test_the_allocator_is_told_who_uses_a_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [OnGpu(), OnGpu()]
    monkeypatch.setattr("fastswap.streams.tensors_of", lambda item: iter(item))
    assert received(Handed(tensors, "event"), Notes("C", [])) is tensors  # type: ignore[arg-type]
    assert [tensor.used_on for tensor in tensors] == [["C"], ["C"]]


@dataclass(frozen=True, slots=True)
class Nested:
    one: torch.Tensor
    more: list[Any]
    name: str = "not a tensor"


def test_tensors_are_found_however_deep() -> None:
    a, b, c, d = torch.arange(4).unbind()
    found = list(tensors_of([Nested(a, [(b, 3)]), {"c": c, 7: None}, (Nested(d, []),)]))
    assert [int(tensor) for tensor in found] == [0, 1, 2, 3]
    assert list(tensors_of("text")) == []


@pytest.mark.gpu
def test_on_a_gpu_stages_on_their_own_streams_give_what_one_stream_gives(cuda: str) -> None:
    """Enough work a stage that a missing wait would be seen."""
    weight = torch.rand(512, 512, device=cuda, generator=torch.Generator(cuda).manual_seed(1)) / 256
    seen: dict[str, set[int]] = {"source": set(), "grow": set(), "sum": set()}

    def here(name: str) -> None:
        seen[name].add(torch.cuda.current_stream().cuda_stream)

    def source() -> Iterator[torch.Tensor]:
        for number in range(40):
            here("source")
            yield torch.full((512, 512), float(number), device=cuda)

    def grow(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        here("grow")
        for _ in range(20):
            x = torch.tanh(x @ weight)
        return x, x * 2

    def add(pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        here("sum")
        return pair[0].sum() + pair[1].sum()

    expected = [float(add(grow(x))) for x in source()]
    for streams in seen.values():
        streams.clear()
    got = list(flow_on_gpu(source(), [Stage("grow", grow), Stage("sum", add)], cuda))
    assert [float(x) for x in got] == pytest.approx(expected, rel=1e-4)
    assert all(len(streams) == 1 for streams in seen.values())
    assert len(set.union(*seen.values())) == 3
