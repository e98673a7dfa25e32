"""Frames from the CPU's decoder to the GPU, while the next one is being decoded.

A copy is asynchronous only from page-locked memory, and page-locking costs more than a copy: so two staging buffers are
kept and taken in turn. A frame is staged and its copy begins on a stream of its own; one frame later, when the next one
is staged and under way, it is handed out: the consumer's stream waits for the copy, the CPU does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from fastswap.ops.planes import Planes
from fastswap.video.frame import Frame

BUFFERS = 2


class Transfer(Protocol):
    """A copy that is under way."""

    def finish(self) -> None:
        """Waits, on the CPU, until the staging buffer has been read."""

    def hand_over(self) -> Planes:
        """The planes on the device, ready for the stream that is current."""


class Link(Protocol):
    """The way to a device."""

    def stage(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """A new staging buffer."""

    def send(self, staged: Planes) -> Transfer:
        """Begins to copy. The staging buffers may be written to again once the transfer has finished."""


class Ring:
    """The staging buffers, taken in turn. A buffer is written to only when what was sent from it has arrived."""

    def __init__(self, link: Link, buffers: int = BUFFERS) -> None:
        self._link = link
        self._buffers: list[tuple[Tensor, ...]] = [()] * buffers
        self._sent: list[Transfer | None] = [None] * buffers
        self._turn = 0

    def send(self, planes: Planes) -> Transfer:
        """Begins to copy the planes, which may be changed as soon as this returns."""
        turn, self._turn = self._turn, (self._turn + 1) % len(self._buffers)
        before = self._sent[turn]
        if before is not None:
            before.finish()
        if not _fits(self._buffers[turn], planes.data):
            self._buffers[turn] = tuple(self._link.stage(plane.shape, plane.dtype) for plane in planes.data)
        for buffer, plane in zip(self._buffers[turn], planes.data, strict=True):
            buffer.copy_(plane)
        transfer = self._link.send(replace(planes, data=self._buffers[turn]))
        self._sent[turn] = transfer
        return transfer


def _fits(buffers: tuple[Tensor, ...], planes: tuple[Tensor, ...]) -> bool:
    return [(b.shape, b.dtype) for b in buffers] == [(p.shape, p.dtype) for p in planes]


def uploaded(
    frames: Iterator[Frame], device: str, link: Callable[[torch.device], Link] | None = None
) -> Iterator[Frame]:
    """The frames with their planes on the GPU `device`, the caller's own, ready for the stream that is current where
    the iterator is advanced. Frames that are there already pass. `link` is for tests."""
    target = torch.device(device)
    ring: Ring | None = None
    waiting: tuple[Frame, Transfer] | None = None
    for frame in frames:
        if frame.planes.device.type == target.type:
            yield frame
            continue
        ring = ring or Ring((link or CudaLink)(target))
        under_way, waiting = waiting, (frame, ring.send(frame.planes))
        if under_way:
            yield _arrived(*under_way)
    if waiting:
        yield _arrived(*waiting)


def _arrived(frame: Frame, transfer: Transfer) -> Frame:
    return replace(frame, planes=transfer.hand_over())


class CudaLink:
    """Page-locked buffers, and a stream for the copies."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def stage(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def send(self, staged: Planes) -> Transfer:
        with torch.cuda.stream(self._stream):
            data = tuple(plane.to(self._device, non_blocking=True) for plane in staged.data)
            return _CudaTransfer(replace(staged, data=data), self._stream.record_event())


class _CudaTransfer:
    def __init__(self, planes: Planes, done: torch.cuda.Event) -> None:
        self._planes = planes
        self._done = done

    def finish(self) -> None:
        self._done.synchronize()

    def hand_over(self) -> Planes:
        consumer = torch.cuda.current_stream(self._planes.device)
        consumer.wait_event(self._done)
        for plane in self._planes.data:
            plane.record_stream(consumer)  # made on the side stream: its memory is free when the consumer is done
        return self._planes
