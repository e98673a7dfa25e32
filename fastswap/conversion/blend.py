"""How a swapped face is joined to its surroundings on the aligned square.

Whatever the blend changes reaches the frame through the alpha that it is pasted with, which is 0 outside of the eroded
mask and on the square's border: no blend shows a rectangle, none touches a sample that a plain paste would leave alone,
and A's surroundings are not resampled for a difference in tone that nobody sees out there.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch import Tensor

from fastswap.ops import blend_poisson, blend_pyramid
from fastswap.ops.blend_pyramid import MAX_LEVELS

Blend = Literal["none", "pyramid", "poisson"]
BLENDS: tuple[Blend, ...] = get_args(Blend)


def joined(
    colour: Tensor,  # float [N, 3, s, s], the swapped face
    target: Tensor,  # float [N, 3, s, s], the frame where it is pasted
    alpha: Tensor,  # float [N, 1, s, s], what it is pasted with: the mask and its soft ramp
    blend: Blend,
    impl: str = "auto",
) -> Tensor:
    """The picture to paste with `alpha`, [N, 3, s, s].

    none: the swapped face as it is. pyramid: mixed by the alpha's ramp at every scale, so that tone changes over about
    a quarter of the square: far inside of the ramp, where the swapped face is pasted whole, and outwards as far as the
    ramp lets it be seen. A seam within the ramp and a steeper one to paste by was tried: more of the frame is replaced
    by its own resampled picture, a smear beside the jaw at 64 px. poisson: the swapped face's differences between
    pixels count by the ramp. Not by the mask: where its edge lies in hair on one side and on skin on the other, the
    step there would be the face's, and its dark colour run into the face's light one on both sides.
    """
    if blend == "pyramid":
        levels = min(max(round(math.log2(colour.shape[-1])) - 3, 1), MAX_LEVELS)  # tone over 2^(levels + 1) px
        return blend_pyramid(colour, target, alpha, levels, impl=impl)
    if blend == "poisson":
        return blend_poisson(colour, target, alpha, impl=impl)
    return colour
