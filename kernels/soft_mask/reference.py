"""The soft mask in plain PyTorch: the distance to the mask's edge, to a part of a pixel, and a ramp over it.

A distance keeps its accuracy at any radius, where a blur of the same width rounds corners off and grows with the square
of it. Only distances up to `reach` are looked for, so the window of a kernel is bounded, too.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as nn
from torch import Tensor

MIN_RAMP = 1.0  # px: a narrower ramp shows the pixels as a saw-tooth
MARGIN = 2  # px that the smoothing of the distance looks beyond the ramp


def soft_mask(mask: Tensor, erode: float, feather: float) -> Tensor:  # [N, 1, s, s] -> the same
    ramp = max(feather, MIN_RAMP)
    size = mask.shape[-1]
    distance = smooth(signed_distance(mask, reach(erode, ramp)))
    line = torch.arange(size, dtype=mask.dtype, device=mask.device)
    border = torch.minimum(line, size - 1 - line)
    border = torch.minimum(border[:, None], border[None, :])
    t = (torch.minimum(distance - erode, border - max(erode, 0.0)) / ramp).clamp(0, 1)
    return t * t * (3 - 2 * t)


def reach(erode: float, ramp: float) -> int:
    """How far from the edge, in px, a distance can make a difference."""
    return math.ceil(max(abs(erode), abs(erode + ramp))) + MARGIN


def signed_distance(mask: Tensor, limit: int) -> Tensor:  # [N, 1, s, s] -> the same
    """From each pixel's centre to the nearest of the points where the mask, linear between neighbouring pixels, crosses
    one half; positive inside, `limit` at most."""
    squared = torch.minimum(_squared(mask, limit), _squared(mask.mT, limit).mT)
    return torch.where(mask >= 0.5, 1, -1) * squared.clamp(max=float(limit * limit)).sqrt()


def _squared(mask: Tensor, limit: int) -> Tensor:
    """The squared distance to the nearest crossing between two pixels of one row: along the rows, then over them."""
    size = mask.shape[-1]
    window = min(limit, size)
    left, right = mask[..., :-1], mask[..., 1:]
    crosses = (left >= 0.5) != (right >= 0.5)
    at = torch.where(crosses, (0.5 - left) / torch.where(crosses, right - left, 1), math.inf)  # past the left pixel
    at = nn.pad(at, (window, window + 1), value=math.inf)
    along = torch.stack([(k + at[..., window + k :][..., :size]) ** 2 for k in range(-window, window + 1)]).amin(0)
    padded = nn.pad(along, (0, 0, window, window), value=math.inf)
    return torch.stack([k * k + padded[..., window + k :, :][..., :size, :] for k in range(-window, window + 1)]).amin(
        0
    )


def smooth(distance: Tensor) -> Tensor:
    """(1 2 1) / 4 both ways, borders replicated. The crossings of a slanted edge are up to 1.4 px apart, which makes
    the distance waver by a few tenths next to it: with this by less than a fifth."""
    padded = nn.pad(distance, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    return (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 4
