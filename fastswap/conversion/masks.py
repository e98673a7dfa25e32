"""What of the aligned face is replaced, and how its edge is softened: from a mask's source to the alpha of a paste."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from fastswap.faces import mesh_mask, pixel_matrix
from fastswap.ops import Planes, soft_mask, warp

MaskSource = Literal["predicted", "mesh", "both", "file"]
MASKS: tuple[MaskSource, ...] = get_args(MaskSource)

Sides: TypeAlias = float | tuple[float, ...]
"""One number for all sides of the face, or four: top, right, bottom, left. In shares of the aligned square's side."""
FOUR = 4
_BLACK, _NEUTRAL, _P010_SHIFT = 16, 128, 8
"""Limited range's black and both ranges' neutral chroma, of 8 bits; P010's 10 bits stand in the high end of 16: by 8 to
the left, too."""


def four(value: Sides) -> tuple[float, ...]:
    """The four sides' numbers. Raises ValueError for another count than one or four."""
    numbers = tuple(value) if isinstance(value, Sequence) else (float(value),)
    if len(numbers) not in (1, FOUR):
        raise ValueError(f"one number or four (top, right, bottom, left), got {len(numbers)}")
    return numbers * (FOUR // len(numbers))


def face_mask(
    source: MaskSource,
    predicted: Tensor,  # [N, 1, s, s], the network's
    landmarks: Tensor,  # [N, 478, 3], frame px
    matrix: Tensor,  # [N, 2, 3], aligned px -> frame px
    given: Tensor | None,  # [N, 1, t, t], the face set's, of the whole aligned square
    coverage: float,
) -> Tensor:
    """float [N, 1, s, s], 0..1. predicted: the network's; mesh: the oval of the mesh; both: where both say face; file:
    `given`, the part of it that the network sees. Raises ValueError where "file" is asked for and nothing given."""
    size = predicted.shape[-1]
    if source == "predicted":
        return predicted
    if source == "file":
        if given is None:
            raise ValueError("mask 'file' needs the masks of a face set")
        return central(given.to(predicted), size, coverage)
    mesh = mesh_mask(landmarks, matrix, size).to(predicted)
    return torch.minimum(mesh, predicted) if source == "both" else mesh


def central(squares: Tensor, size: int, coverage: float) -> Tensor:
    """Of whole aligned squares, float [N, C, t, t], the central share `coverage` as `size` pixels: [N, C, size,
    size]."""
    side = squares.shape[-1]
    unit = torch.tensor([[[side, 0.0, -0.5], [0.0, side, -0.5]]])  # unit square -> pixel centres
    return warp(squares, pixel_matrix(unit, size, coverage).expand(len(squares), 2, 3), size)


def soft_sides(
    mask: Tensor,  # float [N, 1, s, s]
    erode: Sides,  # of the square's side
    feather: Sides,
    impl: str = "auto",
) -> Tensor:
    """The alpha to paste with: `soft_mask`, and where the sides differ with an `erode` and a `feather` that follow the
    direction a from the square's middle.

    Top or bottom counts by cos^2 a, left or right by sin^2 a, whichever is on that side: these add up to 1 and change
    without a kink, and straight up only the top counts. One soft mask whose ramp is wide enough for every side gives
    the depth within the shape, by the inverse of its smoothstep (t = 1/2 - sin(asin(1 - 2 alpha) / 3)); from the depth
    follows each pixel's own ramp. Where all sides have the same numbers this is `soft_mask` itself, bit for bit. Where
    one grows (a negative `erode`), the others end up to as much earlier at the square's border."""
    size = mask.shape[-1]
    shrink, ramp = ([size * number for number in four(side)] for side in (erode, feather))
    if len(set(shrink)) == len(set(ramp)) == 1:
        return soft_mask(mask, shrink[0], ramp[0], impl=impl)
    ramp = [max(width, 1.0) for width in ramp]
    least = min(shrink)
    reach = max(e + f for e, f in zip(shrink, ramp, strict=True)) - least
    alpha = soft_mask(mask, least, reach, impl=impl)
    weights = _directions(size).to(alpha)
    own_shrink, own_ramp = (torch.einsum("khw,k->hw", weights, weights.new_tensor(side)) for side in (shrink, ramp))
    depth = (0.5 - torch.sin(torch.asin(1 - 2 * alpha) / 3)) * reach + least
    line = torch.arange(size, dtype=alpha.dtype, device=alpha.device)
    border = torch.minimum(line, size - 1 - line)
    border = torch.minimum(border[:, None], border) - own_shrink.clamp(min=0)
    t = (torch.minimum(depth - own_shrink, border) / own_ramp).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _directions(size: int) -> Tensor:
    """float32 [4, s, s]: how much each pixel lies to the top, right, bottom, left of the middle. Adds up to 1."""
    line = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    x, y = line.expand(size, size), line[:, None].expand(size, size)
    upright = torch.where((x == 0) & (y == 0), 0.5, y * y / (x * x + y * y).clamp(min=math.ulp(1.0)))
    flat = 1 - upright
    return torch.stack([upright * (y < 0), flat * (x >= 0), upright * (y >= 0), flat * (x < 0)])


def scaled(picture: Tensor, scale: float) -> Tensor:
    """What a square that is `scale` times as large, about its middle, shows of float [N, C, s, s]: the same shape."""
    size = picture.shape[-1]
    shift = (1 - scale) * (size - 1) / 2
    matrix = torch.tensor([[[scale, 0.0, shift], [0.0, scale, shift]]])
    return warp(picture, matrix.expand(len(picture), 2, 3), size)


def black(like: Planes) -> Planes:
    """Black frames of the same layout, size, colour and device."""
    if like.layout == "rgb":
        return replace(like, data=tuple(torch.zeros_like(plane) for plane in like.data))
    shift = _P010_SHIFT if like.layout == "p010" else 0
    luma = 0 if like.colour.full_range else _BLACK << shift
    levels = (luma, _NEUTRAL << shift)
    return replace(like, data=tuple(torch.full_like(p, level) for p, level in zip(like.data, levels, strict=True)))
