"""sharpen: fine detail of a swapped face made stronger, in aligned space."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastswap.ops._impl import resolve, run

METHODS = ("unsharp", "box", "gaussian")
MAX_RADIUS = 32  # px: more is a change of contrast, not of sharpness, and the blur is written for small windows


def sharpen(
    picture: Tensor,  # [N, C, s, s] 0..1
    method: str = "unsharp",
    *,
    amount: float = 1.5,
    radius: int = 1,
    threshold: float = 5 / 255,
    impl: str = "auto",
) -> Tensor:
    """`picture` with the difference to its own blur added: [N, C, s, s] in 0..1 -> the same, each channel by itself.

    With p a pixel, d = p - blur(p), the result is, clamped to 0..1,

        unsharp    p + amount (d - clamp(d, -threshold, threshold))     blur: Gaussian
        box        p + amount d                                         blur: the mean of the window
        gaussian   p + amount / 2 d                                     blur: Gaussian

    amount: a factor; 1.5 is the 150 % of other tools. radius: in px, the window is 2 radius + 1 wide and the Gaussian's
    standard deviation 0.3 (radius - 1) + 0.8 px (OpenCV's, for a kernel of that size). threshold: in 0..1, of
    `unsharp` only; what differs by less from its surroundings, grain and blocks of a codec, is left alone. Borders
    replicate. Computed in float32 at least; not differentiable: it comes after a network, never before a loss.

    The methods, the halved amount of `gaussian` and the defaults are those of Faceswap's convert, with two differences.
    Faceswap's code changes what is *below* the threshold, the reverse of what its help text says; here the text holds.
    And the threshold is subtracted (a soft threshold), where others switch: a switch makes a pixel near it jump by
    amount x threshold, 7.5 levels, from one frame of a film to the next.

    Raises TypeError for a picture that is not floating point or a `radius` that is no integer, ValueError for another
    shape, an unknown method, a `radius` outside of 1..32, or an `amount` or `threshold` that is negative or not finite.
    """
    if method not in METHODS:
        raise ValueError(f"no sharpening {method!r}: use one of {', '.join(METHODS)}")
    if not picture.is_floating_point():
        raise TypeError(f"a picture is floating point in 0..1, got {picture.dtype}")
    if picture.ndim != 4 or picture.shape[2] != picture.shape[3] or picture.shape[2] < 1:
        raise ValueError(f"a picture is [N, C, s, s], got {list(picture.shape)}")
    if not isinstance(radius, int):
        raise TypeError(f"the radius is a whole number of pixels, got {radius!r}")
    if not 1 <= radius <= MAX_RADIUS:
        raise ValueError(f"the radius is 1 to {MAX_RADIUS} pixels, got {radius}")
    for name, value in (("amount", amount), ("threshold", threshold)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is a number from 0 on, got {value}")
    implementation = resolve("sharpen", impl, picture.device)
    sharp: Tensor = _sharpen(picture, method, float(amount), radius, float(threshold), implementation)
    return sharp


@torch.library.custom_op("fastswap::sharpen", mutates_args=())
def _sharpen(picture: Tensor, method: str, amount: float, radius: int, threshold: float, impl: str) -> Tensor:
    out: Tensor = run("sharpen", impl, picture, method, amount, radius, threshold)
    return out


@_sharpen.register_fake
def _(picture: Tensor, method: str, amount: float, radius: int, threshold: float, impl: str) -> Tensor:
    return torch.empty(picture.shape, dtype=picture.dtype, device=picture.device)
