"""The fourth channel of a stored face: mask and emphasis in one byte, so that one augmentation moves both.

v = mask (1 + priority) / 2: 0..127 is the mask outside of eyes and mouth, 128..255 is inside the mask with rising
priority. Interpolation between two pixels then goes through the values in between, never past them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.faces import mesh_mask, pixel_matrix
from fastswap.faceset import FaceSet
from fastswap.models import Objective

_REGIONS = ("eyes", "mouth")


def shares(objective: Objective) -> dict[str, float]:
    """How far above the rest of the face each region counts, 1 being the highest weight; regions that count like the
    rest are not in it. All that the fourth channel takes from a preset."""
    weights = {region: float(getattr(objective, region)) for region in _REGIONS}
    return {region: (weight - 1) / (_top(objective) - 1) for region, weight in weights.items() if weight > 1}


def fourth_channel(faces: FaceSet, rows: NDArray[np.int64], share: dict[str, float], size: int) -> Tensor:
    """Mask and emphasis of `rows`: uint8 [n, size, size]; `share` as `shares` gives it."""
    matrix = pixel_matrix(faces.alignments(rows), size)
    landmarks = faces.landmarks(rows)
    priority = torch.zeros(len(rows), size, size)
    for region, most in share.items():
        priority = torch.maximum(priority, most * mesh_mask(landmarks, matrix, size, region)[:, 0])
    return encode(torch.from_numpy(faces.masks(rows, size)), priority)


def _top(objective: Objective) -> float:
    return max(objective.eyes, objective.mouth, 1.0)


def encode(mask: Tensor, priority: Tensor) -> Tensor:
    """mask uint8 [...] and priority float [...] 0..1 -> uint8 [...]."""
    return (mask.float() * (1 + priority.clamp(0, 1)) / 2).round().to(torch.uint8)


def decode(code: Tensor, objective: Objective) -> tuple[Tensor, Tensor]:
    """The channel as floats 0..1 after interpolation -> mask 0..1 and emphasis >= 1."""
    emphasis = 1 + (_top(objective) - 1) * (2 * code - 1).clamp(0, 1)
    return (2 * code).clamp(0, 1), emphasis
