"""How a swapped face is joined to its surroundings on the aligned square, and with which alpha it is pasted then.

Whatever the blend changes reaches the frame through that alpha, which is 0 outside of the eroded mask and on the
square's border: no blend shows a rectangle, none touches a sample that a plain paste would leave alone, and A's
surroundings are not resampled for a difference in tone that nobody sees out there.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch import Tensor

from fastswap.ops import blend_poisson, blend_pyramid, soft_mask
from fastswap.ops.blend_pyramid import MAX_LEVELS

Blend = Literal["none", "pyramid", "poisson"]
BLENDS: tuple[Blend, ...] = get_args(Blend)


def joined(
    colour: Tensor,  # float [N, 3, s, s], the swapped face
    target: Tensor,  # float [N, 3, s, s], the face of the frame
    mask: Tensor,  # float [N, 1, s, s]
    blend: Blend,
    erode: float,  # px
    feather: float,  # px
    impl: str = "auto",
) -> tuple[Tensor, Tensor]:
    """The picture to paste, [N, 3, s, s], and the alpha to paste it with, [N, 1, s, s].

    none: the swapped face, and a ramp of `feather` px. pyramid: the seam lies in the middle of that ramp, where the
    swapped face's detail gives way to the frame's. Tone changes over about a quarter of the square: inside of the seam
    as far as that reaches; outside of it the pasted picture is the frame's own but for its tone, and fades to it over
    the outer half of the ramp. poisson: the swapped face's differences between pixels count by the same ramp as of
    none, by which it is pasted then. Not by the mask: where its edge lies in hair on one side and on skin on the other,
    the step there would be the face's, and its dark colour run into the face's light one on both sides.
    """
    if blend != "pyramid":
        alpha = soft_mask(mask, erode, feather, impl=impl)
        return (blend_poisson(colour, target, alpha, impl=impl) if blend == "poisson" else colour), alpha
    seam = soft_mask(mask, erode + feather / 2, feather / 4, impl=impl)
    levels = min(max(round(math.log2(colour.shape[-1])) - 3, 1), MAX_LEVELS)  # tone over 2^(levels + 1) px
    picture = blend_pyramid(colour, target, seam, levels, impl=impl)
    return picture, soft_mask(mask, erode, feather / 2, impl=impl)
