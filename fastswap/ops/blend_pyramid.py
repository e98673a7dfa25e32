"""blend_pyramid: a face joined to its surroundings at every scale, each over a distance of that scale."""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.ops import _aligned
from fastswap.ops._impl import resolve, run

MAX_LEVELS = 6


def blend_pyramid(face: Tensor, target: Tensor, alpha: Tensor, levels: int = 5, *, impl: str = "auto") -> Tensor:
    """Burt and Adelson's multiresolution spline: [N, 3, s, s] x2 and [N, 1, s, s] in 0..1 -> [N, 3, s, s] in 0..1.

    At an edge of alpha detail changes from target to face within a few pixels, tone over 2^(levels + 1) px (from 10 to
    90 %): no seam, and no ghost of two faces. With w = (1 4 6 4 1) / 16 along rows and columns,

        REDUCE(p)(i) = sum_m w(m) p(2 i + m),        EXPAND(p)(i) = 2 sum_m w(m) p((i - m) / 2), where that is whole,

    G_0 = alpha and G_k+1 = REDUCE(G_k); D_0 = face - target and D_k+1 = REDUCE(D_k);

        M_levels = G_levels D_levels,        M_k = G_k (D_k - EXPAND(D_k+1)) + EXPAND(M_k+1),

    the result is target + M_0, clamped to 0..1. As all of it is linear, this is the blend of the two pictures'
    Laplacian pyramids (Burt, Adelson: A Multiresolution Spline With Application to Image Mosaics, ACM Transactions on
    Graphics 2(4), 1983, equations 1 to 4 and section 3.2). Where alpha is 0 all around, the result is target, where it
    is 1, face: to the last bit.

    A level has half the side of the one before, rounded up; there are no more levels once one is a single pixel.
    Pictures are mirrored about their outermost pixels. EXPAND mirrors the samples where they lie on the finer level.

    The result differs from target *outside* of alpha, too: visibly over about 2^levels px, and at all within
    2^(levels + 2) - 4 px. Where alpha comes as near to the square's border as that, a difference is left on the border:
    whoever pastes the result does so with an alpha that is 0 there, such as `soft_mask` makes.

    float16, bfloat16 and float32 are computed in float32 (the levels between are kept in float16 on a GPU where the
    pictures have 16 bits); float64 is kept by the reference only.

    Raises TypeError where the three are not floating point of one type, ValueError for other shapes, tensors on
    different devices, or `levels` outside of 1 to 6.
    """
    _aligned.check(face, target, alpha, "alpha")
    if not 1 <= levels <= MAX_LEVELS:
        raise ValueError(f"levels is 1 to {MAX_LEVELS}, got {levels}")
    impl = resolve("blend_pyramid", impl, face.device)
    _aligned.check_count(face, impl)
    blended: Tensor = _blend_pyramid(face, target, alpha, levels, impl)
    return blended


@torch.library.custom_op("fastswap::blend_pyramid", mutates_args=())
def _blend_pyramid(face: Tensor, target: Tensor, alpha: Tensor, levels: int, impl: str) -> Tensor:
    out: Tensor = run("blend_pyramid", impl, face, target, alpha, levels)
    return out


@_blend_pyramid.register_fake
def _(face: Tensor, target: Tensor, alpha: Tensor, levels: int, impl: str) -> Tensor:
    return torch.empty(face.shape, dtype=face.dtype, device=face.device)
