"""match_colour: a swapped face takes the colours of the face that it replaces, in aligned space."""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.ops import _aligned
from fastswap.ops._impl import resolve, run

METHODS = ("reinhard", "covariance", "histogram")


def match_colour(
    face: Tensor,  # [N, 3, s, s] RGB 0..1
    target: Tensor,  # [N, 3, s, s] RGB 0..1
    mask: Tensor,  # [N, 1, s, s] 0..1
    method: str = "reinhard",
    *,
    impl: str = "auto",
) -> Tensor:
    """`face` in the colours that `target` has inside the mask: [N, 3, s, s], clamped to 0..1.

    reinhard: in CIELAB (sRGB, D65), each of L, a, b of the whole face is shifted and scaled so that, weighted by the
    mask, it gets the target's mean and standard deviation. The gain stays within 1/2..2, so that a flat face is not
    blown up into noise. (Reinhard, Ashikhmin, Gooch, Shirley: "Color transfer between images", 2001, with CIELAB for
    their l-alpha-beta.)
    covariance: RGB gets the target's mean and covariance by the linear map that moves the colours least, its gains
    within 1/2..2 in every direction. (Pitie, Kokaram: "The linear Monge-Kantorovitch linear colour mapping for
    example-based colour transfer", 2007.)
    histogram: each of R, G, B gets the target's distribution, over 256 bins, the mask's weights in 256 steps. The gain
    has no bound: what is nearly flat is stretched as far as the target reaches.

    Each face has statistics of its own; one whose mask weighs less than one pixel stays as it is.

    Raises TypeError where the three are not floating point of one dtype, ValueError for other shapes, several devices
    or an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"no colour match {method!r}: use one of {', '.join(METHODS)}")
    _aligned.check(face, target, mask, "mask")
    impl = resolve("match_colour", impl, face.device)
    _aligned.check_count(face, impl)
    matched: Tensor = _match_colour(face, target, mask, method, impl)
    return matched


@torch.library.custom_op("fastswap::match_colour", mutates_args=())
def _match_colour(face: Tensor, target: Tensor, mask: Tensor, method: str, impl: str) -> Tensor:
    out: Tensor = run("match_colour", impl, face, target, mask, function=method)
    return out


@_match_colour.register_fake
def _(face: Tensor, target: Tensor, mask: Tensor, method: str, impl: str) -> Tensor:
    return torch.empty(face.shape, dtype=face.dtype, device=face.device)
