"""The faces of all sides, decoded once, where a training step finds them.

There is no loader: 5,000 faces of 128 pixels take 330 MB, and `augment` reads them on the device. Where they do not fit
there they stay in the host's memory or on disk, and the rows of a batch are uploaded."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.errors import InputError
from fastswap.models import Objective
from fastswap.training.decoding import CHANNELS, decoded
from fastswap.training.facecache import FaceCache, content_key, map_file
from fastswap.training.placement import DEVICE, MAPPED, choose_place
from fastswap.training.sides import Side
from fastswap.training.staging import Staging, upload

_LOG = logging.getLogger(__name__)


class Store:
    """uint8 [M, S, S, 4] (RGB; mask and emphasis, see `emphasis`), side after side. `parts`: the same in one piece or
    one a side; `counts`: faces a side; `place`: device | pinned | mapped."""

    def __init__(self, parts: Sequence[Tensor], counts: Sequence[int], device: torch.device, place: str) -> None:
        self.parts, self.counts = list(parts), list(counts)
        self.device, self.place = device, place
        self._staging = None if place == DEVICE else Staging(self.parts, device)

    @staticmethod
    def of(sides: Sequence[Tensor], device: torch.device) -> Store:
        """Faces that are in memory already, one tensor a side, put on the device."""
        return Store([torch.cat(list(sides)).to(device)], [len(side) for side in sides], device, DEVICE)

    @staticmethod
    def open(
        sides: Sequence[Side],
        objective: Objective,
        size: int,
        device: torch.device,
        *,
        place: str = "auto",
        cache: FaceCache | None = None,
        reserve: int | None = None,
        sharing: int = 1,
    ) -> Store:
        """Decodes the faces of the sides to `size` pixels, or reads them where `cache` has them.

        reserve: bytes of the device's memory that are left to the step (None: half of what is free); sharing: how many
        processes share the host's memory. Raises UsageError for a place that cannot be had, InputError where the disk
        does not take the faces, DamagedFileError naming a picture that cannot be read."""
        began = time.perf_counter()
        counts = [len(side.rows) for side in sides]
        shape = (sum(counts), size, size, CHANNELS)
        place = choose_place(place, math.prod(shape), device, reserve, sharing)
        try:
            if place == MAPPED:
                parts = [_map(side, objective, size, cache) for side in sides]
            else:
                parts = [_fill(sides, objective, shape, device if place == DEVICE else torch.device("cpu"), cache)]
        except OSError as error:
            raise InputError(
                f"decoded faces cannot be kept on disk ({error}): make room, or give --cache DIR"
            ) from error
        seconds = time.perf_counter() - began
        _LOG.info("%d faces of %d px, %.2f GB, %s: %.1f s", shape[0], size, math.prod(shape) / 1e9, place, seconds)
        return Store(parts, counts, device, place)

    def batch(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """What `augment` is given for the faces `index`, int64 [n] of 0..M-1: (faces [m, S, S, 4], index [n] into
        these), on the device, in the order of the current stream. Nothing waits for the device, but for the upload
        before the last one."""
        if self._staging is None:
            return self.parts[0], upload(index, self.device)
        return self._staging(index), torch.arange(len(index), device=self.device)


def _fill(
    sides: Sequence[Side], objective: Objective, shape: tuple[int, ...], device: torch.device, cache: FaceCache | None
) -> Tensor:
    """All faces in one piece of memory, which is taken once: beside it there are only the pieces under way."""
    faces, done = torch.empty(shape, dtype=torch.uint8, device=device), 0
    for side in sides:
        new = partial(decoded, side, objective, shape[1])
        own = (len(side.rows), *shape[1:])
        for piece in cache.pieces(content_key(side, objective, shape[1]), own, new) if cache else new():
            faces[done : done + len(piece)].copy_(piece)
            done += len(piece)
    return faces


def _map(side: Side, objective: Objective, size: int, cache: FaceCache | None) -> Tensor:
    """A side's faces in a file of the cache; without one in a file that is gone when the process is."""
    shape, new = (len(side.rows), size, size, CHANNELS), partial(decoded, side, objective, size)
    if cache:
        return cache.mapped(content_key(side, objective, size), shape, new)
    with tempfile.TemporaryFile() as file:
        for piece in new():
            file.write(piece.numpy().data)
        file.flush()
        return map_file(file, shape)
