"""soft_mask: the mask of a face made into the alpha of a paste, in aligned space."""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.ops._impl import resolve, run

MAX_PIXELS = 1_000_000  # of erode and feather: the square of their sum stays exact enough in float32 to be compared


def soft_mask(mask: Tensor, erode: float, feather: float, *, impl: str = "auto") -> Tensor:
    """Shrinks the mask by `erode` px and softens its edge inwards over `feather` px: [N, 1, s, s] in 0..1 -> the same.

    The shape is where the mask is one half or more, its edge found to a part of a pixel (linear between pixels), and
    what lies outside of the square is outside of the shape. With d the Euclidean distance to that edge in px, positive
    inside, d' = d - erode, and b the distance to the outermost pixels' centres, b' = b - max(erode, 0),

        alpha = smoothstep(min(d', b') / max(feather, 1)),      smoothstep(t) = 3 t^2 - 2 t^3 on t clamped to 0..1.

    So alpha is 0 outside of the eroded shape and on the square's outermost pixels, and no paste can show a rectangle;
    it reaches 1 `feather` px further in. Corners are rounded by erosion as by a disc. A negative `erode` dilates.
    d is taken to the edge's crossings of the pixel grid and smoothed by (1 2 1) / 4: within a fifth of a pixel of the
    exact distance. A ramp of less than one pixel is made one pixel wide: it would show as a saw-tooth.

    Computed in float32 at least, but for the reference, which keeps the mask's dtype. Not differentiable.

    Raises TypeError for a mask that is not floating point, ValueError for another shape, an `erode` or `feather` that
    is not finite or beyond a million pixels, or a `feather` that is negative.
    """
    if not mask.is_floating_point():
        raise TypeError(f"a mask is floating point in 0..1, got {mask.dtype}")
    if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[2] != mask.shape[3] or mask.shape[2] < 1:
        raise ValueError(f"a mask is [N, 1, s, s], got {list(mask.shape)}")
    if not abs(erode) <= MAX_PIXELS or not 0 <= feather <= MAX_PIXELS:
        raise ValueError(
            f"erode is a number and feather one from 0 on, both in pixels and at most {MAX_PIXELS:,}: "
            f"got {erode} and {feather}"
        )
    alpha: Tensor = _soft_mask(mask, float(erode), float(feather), resolve("soft_mask", impl, mask.device))
    return alpha


@torch.library.custom_op("fastswap::soft_mask", mutates_args=())
def _soft_mask(mask: Tensor, erode: float, feather: float, impl: str) -> Tensor:
    out: Tensor = run("soft_mask", impl, mask, erode, feather)
    return out


@_soft_mask.register_fake
def _(mask: Tensor, erode: float, feather: float, impl: str) -> Tensor:
    return torch.empty(mask.shape, dtype=mask.dtype, device=mask.device)
