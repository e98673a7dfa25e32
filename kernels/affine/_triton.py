"""Triton: what kernels share whose pixels go through a matrix, a crop's tile and the places of its pixels in a frame.

What all pixels of a tile share is computed once a program, as scalars: whether the face can be used, how many taps a
pixel takes, and where the tile's corner lies in the frame, as a whole number and a rest. Pixels are placed relative to
that corner. So float32 places them to 1e-5 px in a frame of any size, where m x + t itself loses 2e-4 px at 4K.

Error budget, with tiles of 64 x 32 and scales s up to 2: the whole number is exact; the rest is five terms of a few
pixels, 2^-22 each; p u + q v reaches 64 s < 128, whose last place is 2^-17, twice rounded: 1e-5 px in all.
"""

from __future__ import annotations

import triton
import triton.language as tl

WIDTH = tl.constexpr(64)  # of a tile, px: whole lines of 128 bytes of fp16 are written
STEPS = tl.constexpr(8)  # a program makes its tile in: what its pixels share is some 300 to 450 instructions a thread
_MAX_TAPS = tl.constexpr(64.0)  # this and the next two: the rules of ops/_matrix.py
_TAP_SLACK = tl.constexpr(1e-3)
_FLATTEST = tl.constexpr(1e-6)
_LARGEST = tl.constexpr(3e38)  # infinity and NaN are not below it
_FAR = tl.constexpr(268435456.0)  # 2^28: three of them still add up in an int32
_OUTSIDE = tl.constexpr(4194304)  # 2^22: past any frame, and exact in a float with a frame's side added


@triton.jit
def tap_count(larger):
    """n of the n x n taps, from the larger singular value."""
    return tl.minimum(tl.maximum(tl.ceil(larger - _TAP_SLACK), 1.0), _MAX_TAPS).to(tl.int32)


@triton.jit
def face_of(matrix, frame, frames, n):
    """Face n: its matrix by rows, its frame, its larger singular value, and whether it can be used. Where it cannot,
    all are 0, which is safe to compute with. Nobody can check on the host what a CUDA graph replays."""
    matrix += 6 * n
    a, b, tx = tl.load(matrix), tl.load(matrix + 1), tl.load(matrix + 2)
    c, d, ty = tl.load(matrix + 3), tl.load(matrix + 4), tl.load(matrix + 5)
    which = tl.load(frame + n)
    unit = tl.maximum(tl.maximum(tl.abs(a), tl.abs(b)), tl.maximum(tl.abs(c), tl.abs(d)))  # squares must not overflow
    p, q, r, s = a / unit, b / unit, c / unit, d / unit
    larger = (tl.sqrt((p + s) * (p + s) + (r - q) * (r - q)) + tl.sqrt((p - s) * (p - s) + (q + r) * (q + r))) / 2
    usable = (tl.abs(p * s - q * r) > larger * larger * _FLATTEST) & (unit < _LARGEST)
    usable = usable & (tl.abs(tx) < _LARGEST) & (tl.abs(ty) < _LARGEST) & (which >= 0) & (which < frames)
    a, b, tx = tl.where(usable, a, 0.0), tl.where(usable, b, 0.0), tl.where(usable, tx, 0.0)
    c, d, ty = tl.where(usable, c, 0.0), tl.where(usable, d, 0.0), tl.where(usable, ty, 0.0)
    return (a, b, tx, c, d, ty), tl.where(usable, which, 0), tl.where(usable, larger * unit, 0.0), usable


@triton.jit
def _high(x):
    """The upper twelve bits of a float: its product with a whole number of twelve bits is exact."""
    return (x.to(tl.int32, bitcast=True) & -4096).to(tl.float32, bitcast=True)


@triton.jit
def _whole(x):
    return tl.minimum(tl.maximum(tl.floor(x), -_FAR), _FAR)


@triton.jit
def origin(p, q, shift, x, y):
    """p x + q y + shift of a tile's corner, as a whole number and a rest of a few pixels, added up without loss."""
    across, along = _high(p) * x, _high(q) * y
    i, j, k = _whole(across), _whole(along), _whole(shift)
    rest = (across - i) + (along - j) + (shift - k) + (p - _high(p)) * x + (q - _high(q)) * y
    return tl.minimum(tl.maximum(i.to(tl.int32) + j.to(tl.int32) + k.to(tl.int32), -_OUTSIDE), _OUTSIDE), rest


@triton.jit
def placed(whole, rest, p, q, u, v, size):
    """Along one axis of `size` samples: the sample before each pixel, the weight of the one after it, and 1 where there
    is one after it. The position is counted from `whole`; to clamp it is what replicates the border."""
    first, last = (-whole).to(tl.float32), (size - 1 - whole).to(tl.float32)
    position = tl.minimum(tl.maximum(p * u + q * v + rest, first), last)
    before = tl.floor(position)
    return before.to(tl.int32) + whole, position - before, (before < last).to(tl.int32)


@triton.jit
def corner_of(m, x, y):
    """Where a tile's corner lies in the frame: whole number and rest, across and down."""
    whole_x, rest_x = origin(m[0], m[1], m[2], x, y)
    whole_y, rest_y = origin(m[3], m[4], m[5], x, y)
    return whole_x, rest_x, whole_y, rest_y


@triton.jit
def tile(size, tiles_across, tiles, BLOCK: tl.constexpr):
    """Which crop this program works on, its tile's corner, how many of its rows lie in the crop, and the places in the
    tile of the pixels of its first step."""
    rows: tl.constexpr = BLOCK // WIDTH
    program = tl.program_id(0)
    n, number = (program // tiles).to(tl.int64), program % tiles
    x, y = number % tiles_across * WIDTH, number // tiles_across * (rows * STEPS)
    i = tl.arange(0, BLOCK)
    return n, x, y, tl.minimum(size - y, rows * STEPS), i % WIDTH, i // WIDTH


def tiles_of(size: int, block: int) -> tuple[int, int]:
    """How many tiles lie side by side in a crop, and how many there are."""
    across = triton.cdiv(size, WIDTH.value)
    return across, across * triton.cdiv(size, block // WIDTH.value * STEPS.value)
