"""From the host to the device without waiting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def upload(array: NDArray[np.int64] | NDArray[np.float32] | NDArray[np.uint8], device: torch.device) -> Tensor:
    """A small array on the device, in the order of the current stream. A GPU copies it while the host goes on: torch
    gives the page-locked copy to nobody else before that is done."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Staging:
    """Faces in the host's memory or on disk, `parts` uint8 [m, S, S, 4]: gathers rows into one of two buffers, which
    are page-locked for a GPU, and uploads them. While one is copied the other is filled. There are two, and not as many
    as torch would lend, because the host can be hundreds of steps ahead of the device."""

    def __init__(self, parts: Sequence[Tensor], device: torch.device) -> None:
        self.parts, self.device = [part.numpy() for part in parts], device
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self._locked = device.type == "cuda"
        self._buffers = [torch.empty(0, dtype=torch.uint8) for _ in range(2)]
        self._copied = [torch.cuda.Event() for _ in range(2)] if self._locked else []  # type: ignore[no-untyped-call]
        self._turn = 0

    def __call__(self, index: NDArray[np.int64]) -> Tensor:
        """The faces `index`, int64 [n], as uint8 [n, S, S, 4] on the device, in the order of the current stream. Waits
        for the last copy but one. Raises IndexError for a face that is not there."""
        if len(index) and not 0 <= index.min() <= index.max() < self.starts[-1]:
            raise IndexError(f"index goes from {index.min()} to {index.max()}, and there are {self.starts[-1]} faces")
        turn, self._turn = self._turn, 1 - self._turn
        if self._locked:
            self._copied[turn].synchronize()
        if len(self._buffers[turn]) < len(index):
            shape = (len(index), *self.parts[0].shape[1:])
            self._buffers[turn] = torch.empty(shape, dtype=torch.uint8, pin_memory=self._locked)
        buffer = self._buffers[turn][: len(index)]
        self._gather(index, buffer.numpy())
        rows = torch.empty(buffer.shape, dtype=torch.uint8, device=self.device)
        rows.copy_(buffer, non_blocking=True)
        if self._locked:
            self._copied[turn].record(torch.cuda.current_stream(self.device))
        return rows

    def _gather(self, index: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Run by run of rows of one part: a batch is side after side, so there are few. One core copies 33 MB, 128
        faces of 256 px, in 1.7 ms; torch's threads stall as soon as anything else runs."""
        part = np.searchsorted(self.starts, index, side="right") - 1
        cuts = np.flatnonzero(np.diff(part)) + 1
        for first, last in zip([0, *cuts], [*cuts, len(index)], strict=True):
            if first < last:
                here = index[first:last] - self.starts[part[first]]
                np.take(self.parts[part[first]], here, axis=0, out=out[first:last], mode="clip")  # checked above
