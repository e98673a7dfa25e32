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

    The alpha is a ramp of `feather` px for every blend. none: the swapped face as it is. pyramid: mixed by that ramp at
    every scale, so that tone changes over about a quarter of the square: far inside of the ramp, where the swapped face
    is pasted whole, and outwards as far as the ramp lets it be seen. A seam within the ramp and a steeper one to paste
    by was tried: more of the frame is replaced by its own resampled picture, a smear beside the jaw at 64 px. poisson:
    the swapped face's differences between pixels count by the ramp. Not by the mask: where its edge lies in hair on one
    side and on skin on the other, the step there would be the face's, and its dark colour run into the face's light one
    on both sides.
    """
    alpha = soft_mask(mask, erode, feather, impl=impl)
    if blend == "pyramid":
        levels = min(max(round(math.log2(colour.shape[-1])) - 3, 1), MAX_LEVELS)  # tone over 2^(levels + 1) px
        colour = blend_pyramid(colour, target, alpha, levels, impl=impl)
    elif blend == "poisson":
        colour = blend_poisson(colour, target, alpha, impl=impl)
    return colour, alpha
