"""The accelerated operations. Each has one module of its name; its docstring is every implementation's contract."""

from fastswap.ops._impl import OPERATIONS, implementations
from fastswap.ops._matrix import unchecked
from fastswap.ops.augment import GAN_2018, Jitter, augment
from fastswap.ops.blend_poisson import blend_poisson
from fastswap.ops.blend_pyramid import blend_pyramid
from fastswap.ops.match_colour import match_colour
from fastswap.ops.paste import paste
from fastswap.ops.planes import Colour, Planes
from fastswap.ops.sharpen import sharpen
from fastswap.ops.soft_mask import soft_mask
from fastswap.ops.warp import warp

__all__ = [
    "GAN_2018",
    "OPERATIONS",
    "Colour",
    "Jitter",
    "Planes",
    "augment",
    "blend_poisson",
    "blend_pyramid",
    "implementations",
    "match_colour",
    "paste",
    "sharpen",
    "soft_mask",
    "unchecked",
    "warp",
]
