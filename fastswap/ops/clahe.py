"""clahe: Faceswap's contrast jitter, for faces on their way to `augment`, which is a function of a pixel alone.

Contrast-limited adaptive histogram equalisation (Zuiderveld, "Contrast limited adaptive histogram equalization", 1994)
of the lightness, as OpenCV's CLAHE does it: a histogram for each tile, clipped, its sum as curve, and each pixel
through the curves of the four tiles round it. In plain PyTorch, on any device, without waiting for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.kernels.augment.reference import SPREADS, uniforms
from fastswap.kernels.lab.reference import lab_from_rgb, rgb_from_lab

LEVELS = 256
DRAW = SPREADS + 1  # of Philox: `augment` takes those before
_STEPS = 5  # Faceswap draws one of five tile counts
_TILE, _FEWEST = 128, 2  # it starts from one tile each 128 px of the face, and two at least


def clahe(
    faces: Tensor,  # uint8 [N, S, S, 4]: R, G, B, mask
    sample: Tensor,  # int64 [N]: the global number of the example
    *,
    seed: int,
    chance: float = 0.5,
    clip: float = 2.0,
) -> Tensor:
    """The faces, each with probability `chance` equalised: uint8 [N, S, S, 4], the mask and the rest as they were.

    As Faceswap draws it (lib/training/augmentation.py): b = max(S // 128, 2) tiles a side, plus 0 to 4 times b // 2,
    bins clipped at `clip` times their mean. L is equalised at 8 bits, a and b of CIELAB stay. What is drawn depends on
    (seed, sample) alone. Faceswap equalises after its shift of L, and so undoes most of that; here the shift is later.

        picked = clahe(faces[index], sample, seed=seed)
        augment(picked, torch.arange(len(index)), sample, seed=seed, ...)

    Raises TypeError for other dtypes, ValueError for other shapes or a chance outside of 0..1.
    """
    if faces.dtype != torch.uint8 or sample.dtype != torch.int64:
        raise TypeError(f"faces are torch.uint8 and sample torch.int64, got {faces.dtype} and {sample.dtype}")
    if faces.ndim != 4 or faces.shape[1] != faces.shape[2] or faces.shape[3] != 4 or sample.shape != faces.shape[:1]:
        raise ValueError(f"faces are [N, S, S, 4] and sample [N], got {list(faces.shape)} and {list(sample.shape)}")
    if not 0 <= chance <= 1:
        raise ValueError(f"chance is a part of 1, got {chance}")
    drawn = uniforms(sample, seed, DRAW)
    base = max(faces.shape[1] // _TILE, _FEWEST)
    tiles = base + (drawn[:, 1] * _STEPS).long() * (base // 2)
    lab = lab_from_rgb(faces[..., :3].permute(0, 3, 1, 2).float() / 255)
    light = equalise((lab[:, 0] * 2.55).round().to(torch.uint8), tiles, base + (_STEPS - 1) * (base // 2), clip)
    rgb = rgb_from_lab(torch.cat((light[:, None] / 2.55, lab[:, 1:]), 1)) * 255
    equal = torch.cat((rgb.round().to(torch.uint8).permute(0, 2, 3, 1), faces[..., 3:]), 3)
    return torch.where((drawn[:, 0] < chance)[:, None, None, None], equal, faces)


def equalise(
    values: Tensor,  # uint8 [N, S, S]
    tiles: Tensor,  # int64 [N]: along one side
    most: int,  # the most that `tiles` holds
    clip: float,
) -> Tensor:
    """`values` through the curves of their tiles: float32 [N, S, S] in 0..255, not yet rounded."""
    n, size, _ = values.shape
    tile = (size + tiles - 1) // tiles  # px; the last tiles are filled up with a mirrored picture
    curves = _curves(_histograms(values, tiles, tile, most), tile, clip)
    place = (
        torch.arange(size, device=values.device) / tile[:, None] - 0.5
    )  # [N, S] in tiles, from the first one's middle
    first = place.floor()
    part = place - first
    near = first.long().clamp(min=0)
    far = torch.minimum(first.long() + 1, tiles[:, None] - 1)
    which = torch.arange(n, device=values.device)[:, None, None] * most**2
    level = values.long()

    def through(row: Tensor, column: Tensor) -> Tensor:
        return curves[(which + row[:, :, None] * most + column[:, None, :]) * LEVELS + level]

    top = torch.lerp(through(near, near), through(near, far), part[:, None, :])
    bottom = torch.lerp(through(far, near), through(far, far), part[:, None, :])
    return torch.lerp(top, bottom, part[:, :, None])


def _histograms(values: Tensor, tiles: Tensor, tile: Tensor, most: int) -> Tensor:  # -> int64 [N, most * most, 256]
    """How often each level is in each tile. Counts are whole numbers: their order does not matter."""
    n, size, _ = values.shape
    line = torch.arange(size + most - 1, device=values.device)
    mirrored = (size - 1 - (size - 1 - line).abs()).abs().clamp(max=size - 1)
    level = values[:, mirrored][:, :, mirrored].long()
    column = (line // tile[:, None]).clamp(max=most - 1)
    inside = line < (tile * tiles)[:, None]
    bins = (torch.arange(n, device=values.device)[:, None, None] * most + column[:, :, None]) * most + column[
        :, None, :
    ]
    counted = (inside[:, :, None] & inside[:, None, :]).long()
    counts = torch.zeros(n * most * most * LEVELS, dtype=torch.int64, device=values.device)
    return counts.scatter_add_(0, (bins * LEVELS + level).flatten(), counted.flatten()).view(n, most * most, LEVELS)


def _curves(counts: Tensor, tile: Tensor, clip: float) -> Tensor:  # [N, T, 256], [N] -> float32 [N * T * 256]
    """The clipped histograms' sums, 0..255. What was clipped goes to all bins alike, its rest to every k-th."""
    area = (tile * tile)[:, None, None]
    limit = (clip * area / LEVELS).long().clamp(min=1)
    excess = (counts - limit).clamp(min=0).sum(2, keepdim=True)
    rest = excess % LEVELS
    step = (LEVELS // rest.clamp(min=1)).clamp(min=1)
    level = torch.arange(LEVELS, device=counts.device)
    extra = (level % step == 0) & (level // step < rest)
    clipped = torch.minimum(counts, limit) + excess // LEVELS + extra
    return (clipped.cumsum(2) * (LEVELS - 1) / area).round().clamp(max=LEVELS - 1).float().flatten()
