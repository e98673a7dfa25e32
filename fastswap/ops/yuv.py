"""The numbers between RGB and YUV codes (ITU-R BT.601-7, BT.709-6, BT.2020-2 non-constant luminance).

A conversion is twelve numbers, a 3 x 4 matrix row by row: the last column is added. RGB is 0..1. Codes are 8 or 10
bits; P010 keeps a 10-bit code times 64, and `to_rgb`, given words as they lie in memory, counts that in.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray

from fastswap.ops.planes import Colour

P010_STEP = 64  # ten bits in the high end of sixteen
LEVELS = (255.0, 0.0, 0.0, 0.0, 0.0, 255.0, 0.0, 0.0, 0.0, 0.0, 255.0, 0.0)  # RGB to 8-bit RGB
_LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}  # of red, of blue


def packed(colour: Colour) -> tuple[str, bool, list[float]]:
    """A `Colour` as a custom op takes it: matrix, full_range, siting."""
    return colour.matrix, colour.full_range, list(colour.siting)


@functools.cache
def from_rgb(dtype: torch.dtype, matrix: str, full_range: bool) -> tuple[float, ...]:
    """From RGB to (Y, Cb, Cr) codes: 0..255 for uint8 planes (NV12), 0..1023 for uint16 (P010)."""
    return _flat(_codes(_depth(dtype), matrix, full_range))


@functools.cache
def to_rgb(dtype: torch.dtype, matrix: str, full_range: bool) -> tuple[float, ...]:
    """From (Y, Cb, Cr) samples, uint8 codes (NV12) or uint16 words (P010), to RGB."""
    codes = _codes(_depth(dtype), matrix, full_range)
    inverse = np.linalg.inv(codes[:, :3])
    step = P010_STEP if dtype == torch.uint16 else 1
    return _flat(np.column_stack([inverse / step, -inverse @ codes[:, 3]]))


def _codes(depth: int, matrix: str, full_range: bool) -> NDArray[np.float64]:
    red, blue = _LUMA_WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    cb = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    cr = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    if full_range:
        black, luma_span, chroma_span = 0.0, 2.0**depth - 1, 2.0**depth - 1
    else:
        black, luma_span, chroma_span = 2.0 ** (depth - 4), 219 * 2.0 ** (depth - 8), 224 * 2.0 ** (depth - 8)
    grey = 2.0 ** (depth - 1)
    return np.column_stack([np.stack([luma * luma_span, cb * chroma_span, cr * chroma_span]), [black, grey, grey]])


def _depth(dtype: torch.dtype) -> int:
    return 10 if dtype == torch.uint16 else 8


def _flat(matrix: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in matrix.flatten())
