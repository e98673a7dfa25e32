"""A flow on a GPU: each stage queues its work on a CUDA stream of its own and goes on; the streams wait for each other.

What a stage hands over is not ready yet: an event says when it will be. The next stage's stream waits for the event, no
thread does. torch's allocator would give memory away as soon as the stream that asked for it is done with it: it is
told of every stream that uses a tensor after that.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fastswap.flow import Stage, flow


@dataclass(frozen=True)
class Handed:
    """An item and the event after which its tensors hold what they should."""

    item: Any
    ready: torch.cuda.Event


@dataclass(frozen=True)
class Lane:
    """A CUDA stream. on: what makes it the current one of a thread."""

    stream: torch.cuda.Stream
    on: Callable[[Any], AbstractContextManager[Any]] = torch.cuda.stream

    def __call__(self, work: Callable[[Any], Any], handed: Handed) -> Handed:
        """Queues work on the item behind what made it."""
        with self.on(self.stream):
            return self.hand(work(received(handed, self.stream)))

    def hand(self, item: Any) -> Handed:
        """Hands over an item that was made on this stream."""
        return Handed(item, self.stream.record_event())


def flow_on_gpu(source: Iterable[Any], stages: Sequence[Stage], device: str, *, ahead: int = 1) -> Generator[Any]:
    """`flow` with a stream for the source and for each stage (its workers share it). What it yields is ready for the
    stream that is current where it is advanced. Items are tensors, or dataclasses, lists, tuples or mappings of them
    and of other things."""
    lanes = [Lane(torch.cuda.Stream(device)) for _ in stages]  # type: ignore[no-untyped-call]
    on_lanes = [replace(stage, work=_Bound(lane, stage.work)) for lane, stage in zip(lanes, stages, strict=True)]
    first = Lane(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]
    with closing(flow(handed_on(source, first), on_lanes, ahead=ahead)) as results:
        for result in results:
            yield received(result, torch.cuda.current_stream(device))
            del result


@dataclass(frozen=True)
class _Bound:
    lane: Lane
    work: Callable[[Any], Any]

    def __call__(self, handed: Handed) -> Handed:
        return self.lane(self.work, handed)


def handed_on(source: Iterable[Any], lane: Lane) -> Generator[Handed]:
    """The items of the source, each made on the lane's stream."""
    items = iter(source)
    try:
        while True:
            with lane.on(lane.stream):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield lane.hand(item)
            del item
    finally:
        if isinstance(items, Generator):
            items.close()


def received(handed: Handed, stream: Any) -> Any:
    """The item, whose tensors may be used on this stream from here on."""
    stream.wait_event(handed.ready)
    for tensor in tensors_of(handed.item):
        if tensor.is_cuda:
            tensor.record_stream(stream)
    return handed.item


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Every tensor in dataclasses, lists, tuples and mappings, however deep."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors_of(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from tensors_of(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_of(each)
