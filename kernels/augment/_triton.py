"""Augmentation on a GPU: a small launch that draws, and one that samples, shifts colours and writes all outputs.

Bytes: at 256 px in 16 bits a sample reads its face once (256 KiB, neighbours come from the caches) and writes 7 planes
(896 KiB): 0.25 us at the 4.8 TB/s of an H200. Operations: compiled for sm_90, a pixel of warped or target takes 231
instructions for one tap: the colour shift is 129 of them (see kernels/lab), the bytes of four words 14 conversions and
14 multiply-adds, the place 30. That is 3.0e7 a sample of 2 x 256 x 256 px, and an H200 issues 3.3e13 a second: 0.9 us a
sample at best, so operations bind, not bytes; without the colour shift 0.40 us. The special-function units do 12 square
roots and, it seems, the 14 conversions a pixel at an eighth of that rate: as much time again, beside it.

Why two launches: what a sample draws takes some 2,500 instructions, which each of its hundreds of programs would make
anew. `_triton_draw.py` makes them once and leaves 64 floats: the grid's nodes, already in face pixels, so that no pixel
goes through mirror, rotation, zoom and shift, and the colour shift as a linear map of the curves that L, a and b are
differences of.

Along a row the places are then straight between five points: a middle, two slopes and two kinks, no search for a cell.
A thread has eight pixels side by side: it reads a row's nodes once and stores 16 bytes at a time; a face's pixel is one
32-bit load for four channels. Sums, places and colours are float32; only what is stored is 16 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastswap.kernels.augment._triton_draw import AFFINE, COLOUR, DRAWN, SAMPLES, draw
from fastswap.kernels.augment.reference import NODES
from fastswap.kernels.lab._triton import curves_from_rgb, rgb_from_curves

BLOCK = 512  # pixels a program, rows of one output
WARPS = 2  # eight pixels a thread, side by side: stored at once, and a row's nodes are read once for all of them
_WIDEST = 256  # columns a program at most: then a warp has a whole row
_ROW = tl.constexpr(NODES)
_CELLS = tl.constexpr(NODES - 1)
_NODES = tl.constexpr(NODES * NODES)


@triton.jit
def _blend(a, b, c, d, BIT: tl.constexpr, wa, wb, wc, wd):
    """Of four words, the byte that starts at BIT, weighted."""
    top = wa * ((a >> BIT) & 255).to(tl.float32) + wb * ((b >> BIT) & 255).to(tl.float32)
    return top + wc * ((c >> BIT) & 255).to(tl.float32) + wd * ((d >> BIT) & 255).to(tl.float32)


@triton.jit
def _taps(face, x, y, there, side, RIGHT: tl.constexpr):
    """The four words round each place, borders replicated, and their weights. RIGHT: 1, or 0 in a face of one pixel."""
    x = tl.minimum(tl.maximum(x, 0.0), side - 1.0)
    y = tl.minimum(tl.maximum(y, 0.0), side - 1.0)
    ix, iy = tl.minimum(x.to(tl.int32), side - 1 - RIGHT), tl.minimum(y.to(tl.int32), side - 1 - RIGHT)
    wx, wy = x - ix.to(tl.float32), y - iy.to(tl.float32)
    top = face + (iy * side + ix)
    bottom = top + RIGHT * side
    a, b = tl.load(top, there, 0), tl.load(top + RIGHT, there, 0)
    c, d = tl.load(bottom, there, 0), tl.load(bottom + RIGHT, there, 0)
    wd = wx * wy
    return a, b, c, d, 1 - wx - wy + wd, wx - wd, wy - wd, wd


@triton.jit
def _mixed(at, share):
    """The drawn number at `at` and that of the node below it, mixed."""
    above, below = tl.load(at), tl.load(at + _ROW)
    return above + share * (below - above)


@triton.jit
def _line(at, share, t):
    """One coordinate along a row: straight between five nodes, at places t from -.5 to .5 of the crop."""
    p0, p1, p2 = _mixed(at, share), _mixed(at + 1, share), _mixed(at + 2, share)
    p3, p4 = _mixed(at + 3, share), _mixed(at + 4, share)
    place = p2 + (p3 - p2) * _CELLS * tl.maximum(t, 0.0) + (p2 - p1) * _CELLS * tl.minimum(t, 0.0)
    place += ((p4 - p3) - (p3 - p2)) * _CELLS * tl.maximum(t - 0.25, 0.0)
    return place + ((p1 - p0) - (p2 - p1)) * _CELLS * tl.minimum(t + 0.25, 0.0)


@triton.jit
def _places(numbers, v, t, WARPED: tl.constexpr):
    """Where in the face the crop shows (t, v): t from its middle, v from its top."""
    if WARPED:
        cell = tl.minimum((v * _CELLS).to(tl.int32), _CELLS - 1)
        share = v * _CELLS - cell.to(tl.float32)
        at = numbers + cell * _ROW
        return _line(at, share, t), _line(at + _NODES, share, t)
    to = numbers + AFFINE
    x = tl.load(to) + tl.load(to + 2) * (v - 0.5) + tl.load(to + 1) * t
    return x, tl.load(to + 3) + tl.load(to + 5) * (v - 0.5) + tl.load(to + 4) * t


@triton.jit
def _shift_colour(r, g, b, numbers):
    to = numbers + COLOUR
    fx, fy, fz = curves_from_rgb(r, g, b)
    ky, cy, kx, cx = tl.load(to), tl.load(to + 1), tl.load(to + 2), tl.load(to + 3)
    kz, cz = tl.load(to + 4), tl.load(to + 5)
    shifted = ky * fy + cy
    return rgb_from_curves(shifted + kx * (fx - fy) + cx, shifted, shifted - kz * (fy - fz) - cz)


@triton.jit
def _fill(
    face, numbers, out, mask, tile, size, side,
    TAPS: tl.constexpr, WARPED: tl.constexpr, SHIFTS: tl.constexpr, RIGHT: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """ROWS x COLUMNS pixels of one output picture."""
    across = tl.cdiv(size, COLUMNS)
    px = (tile % across) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    py = (tile // across) * ROWS + tl.arange(0, ROWS)[:, None]
    there = (py < size) & (px < size)
    r = tl.zeros((ROWS, COLUMNS), tl.float32)
    g, b, m = r, r, r
    pixel = 1.0 / size
    for i in range(TAPS):
        v = tl.minimum((py.to(tl.float32) + (i + 0.5) / TAPS) * pixel, 1.0)  # rows past the end have no nodes
        for j in range(TAPS):
            t = px.to(tl.float32) * pixel + ((j + 0.5) / TAPS * pixel - 0.5)
            x, y = _places(numbers, v, t, WARPED)
            w0, w1, w2, w3, wa, wb, wc, wd = _taps(face, x, y, there, side, RIGHT)
            r += _blend(w0, w1, w2, w3, 0, wa, wb, wc, wd)
            g += _blend(w0, w1, w2, w3, 8, wa, wb, wc, wd)
            b += _blend(w0, w1, w2, w3, 16, wa, wb, wc, wd)
            if not WARPED:
                m += _blend(w0, w1, w2, w3, 24, wa, wb, wc, wd)
    scale = 1 / (255 * TAPS * TAPS)
    r, g, b = r * scale, g * scale, b * scale
    if SHIFTS:
        r, g, b = _shift_colour(r, g, b, numbers)
    else:
        r, g, b = tl.minimum(r, 1.0), tl.minimum(g, 1.0), tl.minimum(b, 1.0)
    at = py * size + px
    kind = out.dtype.element_ty
    tl.store(out + at, r.to(kind), there)
    tl.store(out + at + size * size, g.to(kind), there)
    tl.store(out + at + 2 * size * size, b.to(kind), there)
    if not WARPED:
        tl.store(mask + at, tl.minimum(m * scale, 1.0).to(kind), there)


@triton.jit
def _augment(
    faces, index, drawn, warped, target, mask, count, side, size_in, size_out, tiles_in, tiles_out,
    TAPS_IN: tl.constexpr, TAPS_OUT: tl.constexpr, SHIFTS: tl.constexpr, RIGHT: tl.constexpr,
    ROWS_IN: tl.constexpr, COLUMNS_IN: tl.constexpr, ROWS_OUT: tl.constexpr, COLUMNS_OUT: tl.constexpr,
):  # fmt: skip
    """A program makes one tile of one example: of the warped picture the first `tiles_in`, then of the target."""
    tiles = tiles_in + tiles_out
    n, tile = tl.program_id(0) // tiles, tl.program_id(0) % tiles
    which = tl.minimum(tl.maximum(tl.load(index + n), 0), count - 1)
    face = faces + which * side * side
    numbers = drawn + n * DRAWN
    n = n.to(tl.int64)
    if tile < tiles_in:
        out = warped + n * (3 * size_in * size_in)
        _fill(face, numbers, out, mask, tile, size_in, side, TAPS_IN, True, SHIFTS, RIGHT, ROWS_IN, COLUMNS_IN)
    else:
        out = target + n * (3 * size_out * size_out)
        mask += n * (size_out * size_out)
        _fill(
            face,
            numbers,
            out,
            mask,
            tile - tiles_in,
            size_out,
            side,
            TAPS_OUT,
            False,
            SHIFTS,
            RIGHT,
            ROWS_OUT,
            COLUMNS_OUT,
        )


def augment(
    faces: Tensor,  # uint8 [M, S, S, 4]
    index: Tensor,  # int64 [N]
    sample: Tensor,  # int64 [N]
    seed: int,
    size_in: int,
    size_out: int,
    coverage: float,
    taps_in: int,
    taps_out: int,
    jitter: Sequence[float],  # the fields of Jitter, in their order
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """As the reference. A face set that is not contiguous is copied for each call."""
    n, side = len(index), faces.shape[1]
    warped = faces.new_empty((n, 3, size_in, size_in), dtype=dtype)
    target = faces.new_empty((n, 3, size_out, size_out), dtype=dtype)
    mask = faces.new_empty((n, 1, size_out, size_out), dtype=dtype)
    if n == 0:
        return warped, target, mask
    words, drawn = faces.contiguous().view(torch.int32), torch.empty(n, DRAWN.value, device=faces.device)
    rotation, zoom, shift, flip, grid, lightness, ab, realign, crop, grid_spread = jitter
    amounts = (rotation / 360, zoom, shift, flip, grid, lightness, ab, crop, grid_spread)
    draw[(triton.cdiv(n, SAMPLES),)](
        sample.contiguous(), drawn, n, seed, *amounts, side, coverage, REALIGN=realign > 0, ROWS=SAMPLES
    )
    (rows_in, columns_in), (rows_out, columns_out) = _tile(size_in), _tile(size_out)
    tiles_in = triton.cdiv(size_in, rows_in) * triton.cdiv(size_in, columns_in)
    tiles_out = triton.cdiv(size_out, rows_out) * triton.cdiv(size_out, columns_out)
    _augment[(n * (tiles_in + tiles_out),)](
        words, index.contiguous(), drawn, warped, target, mask,
        len(faces), side, size_in, size_out, tiles_in, tiles_out,
        TAPS_IN=taps_in, TAPS_OUT=taps_out, SHIFTS=lightness > 0 or ab > 0, RIGHT=min(side - 1, 1),
        ROWS_IN=rows_in, COLUMNS_IN=columns_in, ROWS_OUT=rows_out, COLUMNS_OUT=columns_out, num_warps=WARPS,
    )  # fmt: skip
    return warped, target, mask


def _tile(size: int) -> tuple[int, int]:
    """Rows and columns of a program's pixels."""
    columns = min(triton.next_power_of_2(size), _WIDEST)
    return BLOCK // columns, columns
