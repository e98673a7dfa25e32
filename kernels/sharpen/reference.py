"""Sharpening in plain PyTorch: the blur, separable, and what it took away, added once more."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHARE = {"unsharp": 1.0, "box": 1.0, "gaussian": 0.5}  # of `amount`, by which the difference counts


def sharpen(picture: Tensor, method: str, amount: float, radius: int, threshold: float) -> Tensor:  # [N, C, s, s]
    source = picture.to(torch.promote_types(picture.dtype, torch.float32)).contiguous()
    difference = source - _blurred(source, weights(method, radius))
    if method == "unsharp":
        difference = difference - difference.clamp(-threshold, threshold)
    return (source + SHARE[method] * amount * difference).clamp(0, 1).to(picture.dtype)


def weights(method: str, radius: int) -> list[float]:
    """The blur's weights along one axis, those of -radius..radius, one in sum."""
    slope = falloff(method, radius)
    each = [math.exp(slope * k * k) for k in range(-radius, radius + 1)]
    return [value / math.fsum(each) for value in each]


def falloff(method: str, radius: int) -> float:
    """The f in the weight exp(f k^2) of a pixel k px away, before all are divided by their sum."""
    return 0.0 if method == "box" else -0.5 / deviation(radius) ** 2


def deviation(radius: int) -> float:
    """The standard deviation, in px, that OpenCV gives to a Gaussian of 2 radius + 1 pixels."""
    return 0.3 * (radius - 1) + 0.8


def _blurred(picture: Tensor, weights: list[float]) -> Tensor:
    radius, size = len(weights) // 2, picture.shape[-1]
    place = torch.arange(-radius, size + radius, device=picture.device).clamp(0, size - 1)  # borders replicate
    padded = picture[..., place, :][..., place]
    across = torch.stack([w * padded[..., k : k + size] for k, w in enumerate(weights)]).sum(0)
    return torch.stack([w * across[..., k : k + size, :] for k, w in enumerate(weights)]).sum(0)
