"""The multiresolution spline in plain PyTorch: REDUCE and EXPAND as they are defined, and the blend in two lines.

What is blended is the difference of the two pictures. Laplacian pyramids are linear, so mixing those of face and target
by alpha's Gaussian pyramid is adding to target the mixed pyramid of (face - target): one pyramid where the textbook has
two. And the finest level's own share, alpha times the difference, is taken out of the sum and becomes a plain mix of
the two pictures: so the result is face where alpha is 1 all around, and target where it is 0, to the last bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

TAPS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def blend_pyramid(face: Tensor, target: Tensor, alpha: Tensor, levels: int) -> Tensor:
    """[N, 3, s, s] x2 and [N, 1, s, s] -> [N, 3, s, s]."""
    exact = torch.promote_types(face.dtype, torch.float32)
    face, target, alpha, dtype = face.to(exact), target.to(exact), alpha.to(exact), face.dtype
    sizes = level_sizes(face.shape[-1], levels)
    differences, alphas = [face - target], [alpha]
    for _ in sizes[1:]:
        differences.append(reduce(differences[-1]))
        alphas.append(reduce(alphas[-1]))
    mixed = alphas[-1] * differences[-1]
    correction = torch.zeros_like(target)
    for k in range(len(sizes) - 2, -1, -1):
        correction = expand(mixed, sizes[k]) - alphas[k] * expand(differences[k + 1], sizes[k])
        mixed = alphas[k] * differences[k] + correction
    return ((1 - alpha) * target + alpha * face + correction).clamp(0, 1).to(dtype)


def level_sizes(size: int, levels: int) -> list[int]:
    """The sides of the pyramid's levels, the square itself first: half of the one before, rounded up, down to 1."""
    sizes = [size]
    while len(sizes) <= levels and sizes[-1] > 1:
        sizes.append((sizes[-1] + 1) // 2)
    return sizes


def reduce(picture: Tensor) -> Tensor:  # [N, C, n, n] -> [N, C, (n + 1) // 2, (n + 1) // 2]
    """Filtered by the five taps both ways; every second sample, from the first on, is kept."""
    return _filtered(picture, 2)


def expand(picture: Tensor, size: int) -> Tensor:  # [N, C, (size + 1) // 2, (size + 1) // 2] -> [N, C, size, size]
    """Every second sample of the result, from the first on, with zeros between them, filtered by twice the taps."""
    spread = picture.new_zeros(*picture.shape[:2], size, size)
    spread[..., ::2, ::2] = picture
    return 4 * _filtered(spread, 1)


def _filtered(picture: Tensor, step: int) -> Tensor:
    size = picture.shape[-1]
    inside = mirrored(torch.arange(-2, size + 2, device=picture.device), size)
    rows = picture[..., inside]
    rows = sum(tap * rows[..., k : k + size : step] for k, tap in enumerate(TAPS))
    columns = rows[..., inside, :]
    return sum(tap * columns[..., k : k + size : step, :] for k, tap in enumerate(TAPS))


def mirrored(index: Tensor, size: int) -> Tensor:
    """Borders reflect about the outermost sample: -1 is 1, and `size` is `size` - 2."""
    period = max(2 * (size - 1), 1)
    index = index % period
    return torch.minimum(index, period - index)
