"""Frames from a GPU to the CPU, beside the work that the CPU does on the frame before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastswap.video.frame import Frame


@dataclass(frozen=True, slots=True)
class _Flight:
    """A frame whose planes are being filled; arrived: when they are; source: what must live until then."""

    frame: Frame
    arrived: torch.cuda.Event
    source: Frame

    def land(self) -> Frame:
        self.arrived.synchronize()
        return self.frame


class Download:
    """One frame ahead: the copy of a frame is begun, into pinned memory, and the frame before it is handed out."""

    def __init__(self) -> None:
        self._flight: _Flight | None = None

    def fetch(self, frame: Frame) -> Iterator[Frame]:
        """Takes a frame; yields those that lie on the CPU by now, in order. Frames that lie there pass through."""
        if frame.planes.device.type != "cuda":
            yield from self.drain()
            yield frame
            return
        before, self._flight = self._flight, _begin(frame)
        if before is not None:
            yield before.land()

    def drain(self) -> Iterator[Frame]:
        """The frame that is under way, if any."""
        before, self._flight = self._flight, None
        if before is not None:
            yield before.land()


def _begin(frame: Frame) -> _Flight:
    """Begins the copy, on the current stream of the frame's GPU: behind what made the frame there."""
    with torch.cuda.device(frame.planes.device):
        planes = replace(frame.planes, data=tuple(_pinned(plane) for plane in frame.planes.data))
        arrived = torch.cuda.current_stream().record_event()
    return _Flight(replace(frame, planes=planes), arrived, frame)


def _pinned(plane: Tensor) -> Tensor:
    host = torch.empty(plane.shape, dtype=plane.dtype, pin_memory=True)
    return host.copy_(plane, non_blocking=True)
