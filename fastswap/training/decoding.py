"""From the pictures of a face set to what is kept of them, on all cores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.models import Objective
from fastswap.training.emphasis import fourth_channel, shares
from fastswap.training.sides import Side
from fastswap.workers import cores, ordered

CHANNELS = 4
CHUNK = 32
"""Faces that one core decodes at a time: 8 MB of 256 px."""


def decoded(side: Side, objective: Objective, size: int) -> Iterator[Tensor]:
    """A side's faces in order, CHUNK by CHUNK: uint8 [n, size, size, 4], RGB and the fourth channel. Raises
    DamagedFileError naming a picture that cannot be read."""
    share = shares(objective)

    def decode(rows: NDArray[np.int64]) -> Tensor:
        chunk = torch.empty(len(rows), size, size, CHANNELS, dtype=torch.uint8)
        chunk[..., :3] = torch.from_numpy(side.faces.images(rows, size))
        chunk[..., 3] = fourth_channel(side.faces, rows, share, size)
        return chunk

    chunks = (side.rows[start : start + CHUNK] for start in range(0, len(side.rows), CHUNK))
    return ordered(decode, chunks, cores())
