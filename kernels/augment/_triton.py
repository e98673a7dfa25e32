"""Augmentation on a GPU: one launch that draws, one that does everything else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastswap.kernels.augment.reference import LEAST, NODES, SPREADS
from fastswap.kernels.lab._triton import curves_from_rgb, rgb_from_curves

BLOCK = 512  # pixels a program, rows of one output
WARPS = 2  # eight pixels a thread, side by side: stored at once, and a row's nodes are read once for all of them
_WIDEST = 256  # columns a program at most: then a warp has a whole row
DRAWN = 64  # float32 a sample that `_draw` leaves for `_augment`
_ROW = tl.constexpr(NODES)
_CELLS = tl.constexpr(NODES - 1)
_NODES = tl.constexpr(NODES * NODES)
_PAIRS = tl.constexpr(16)  # lanes of a sample in `_draw`: two nodes each, 13 of them used
_POWER = tl.constexpr(NODES * NODES * (NODES + 1) / (6 * (NODES - 1)))  # sum of |w|^2 over the centred regular grid
_LEAST2 = tl.constexpr(LEAST**2)
_SPREADS = tl.constexpr(SPREADS)
_DRAWN = tl.constexpr(DRAWN)
_AFFINE, _COLOUR = tl.constexpr(50), tl.constexpr(56)  # where in the drawn numbers: after 25 x and 25 y of the nodes
_STEP = tl.constexpr(2.0**-24)


@triton.jit
def _uniforms(sample, seed, number):
    """Four uniform float32 in [0, 1) of a draw: the upper 24 bits of each Philox word, which float32 holds exactly."""
    low, high = sample.to(tl.uint32), (sample >> 32).to(tl.uint32)
    number = number.to(tl.uint32) + low * 0
    a, b, c, d = tl.philox(seed, low, high + number * 0, number, number * 0)
    a, b = (a >> 8).to(tl.int32).to(tl.float32), (b >> 8).to(tl.int32).to(tl.float32)
    c, d = (c >> 8).to(tl.int32).to(tl.float32), (d >> 8).to(tl.int32).to(tl.float32)
    return a * _STEP, b * _STEP, c * _STEP, d * _STEP


@triton.jit
def _turned(turns):
    """cos and sin of an angle in turns, by Taylor's series within an eighth of a turn: no error above 1e-7."""
    quarter = tl.floor(turns * 4 + 0.5)
    a = (turns - quarter * 0.25) * 6.283185307179586
    a2 = a * a
    cos = 1 + a2 * (-1 / 2 + a2 * (1 / 24 + a2 * (-1 / 720 + a2 * (1 / 40320))))
    sin = a * (1 + a2 * (-1 / 6 + a2 * (1 / 120 + a2 * (-1 / 5040 + a2 * (1 / 362880)))))
    quarter = quarter.to(tl.int32) & 3
    swapped = (quarter & 1) == 1
    c, s = tl.where(swapped, sin, cos), tl.where(swapped, cos, sin)
    return tl.where((quarter == 1) | (quarter == 2), -c, c), tl.where(quarter >= 2, -s, s)


@triton.jit
def _normals(u0, u1, sigma):
    """Two normal numbers of deviation `sigma` by Box and Muller."""
    radius = sigma * tl.sqrt(-2 * tl.log(u0 + _STEP))
    cos, sin = _turned(u1)
    return radius * cos, radius * sin


@triton.jit
def _similarity(dx, dy, dx2, dy2, x, y, x2, y2, first, second):
    """The reference's `realign`: (cos, sin, x, y), a scaled rotation and a shift, for [S, 16] pairs of nodes."""
    mean_x = tl.sum(tl.where(first, dx, 0.0) + tl.where(second, dx2, 0.0), 1)[:, None] / _NODES
    mean_y = tl.sum(tl.where(first, dy, 0.0) + tl.where(second, dy2, 0.0), 1)[:, None] / _NODES
    zx, zy, zx2, zy2 = x + dx - mean_x, y + dy - mean_y, x2 + dx2 - mean_x, y2 + dy2 - mean_y
    along = tl.where(first, zx * x + zy * y, 0.0) + tl.where(second, zx2 * x2 + zy2 * y2, 0.0)
    across = tl.where(first, zy * x - zx * y, 0.0) + tl.where(second, zy2 * x2 - zx2 * y2, 0.0)
    power = tl.where(first, zx * zx + zy * zy, 0.0) + tl.where(second, zx2 * zx2 + zy2 * zy2, 0.0)
    along, across = tl.sum(along, 1)[:, None] / _POWER, tl.sum(across, 1)[:, None] / _POWER
    gain = tl.sum(power, 1)[:, None] / _POWER / tl.maximum(along * along + across * across, _LEAST2)
    return gain * along, gain * across, mean_x, mean_y


@triton.jit
def _draw(
    sample, drawn, n, seed, rotation, zoom, shift, flip, grid, lightness, ab, crop, grid_spread, side, coverage,
    REALIGN: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    """Draws for SAMPLES samples, and leaves in a row of `drawn` what `_augment` needs: the face pixel of each grid
    node, the target's affine, and the colour shift as a map of the curves that L, a and b are made of."""
    row = tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)[:, None]
    there = row < n
    number = tl.load(sample + row, there, 0)
    zero = tl.arange(0, 1)[None, :]
    u0, u1, u2, u3 = _uniforms(number, seed, zero)
    v0, v1, v2, v3 = _uniforms(number, seed, zero + 1)
    w0, w1, _, _ = _uniforms(number, seed, zero + _SPREADS)
    part = 1 + (2 * w0 - 1) * crop
    sigma = grid * (1 + (2 * w1 - 1) * grid_spread) / part

    cos, sin = _turned((2 * u0 - 1) * rotation)
    scale = side * coverage / (1 + (2 * u1 - 1) * zoom)
    cos, sin, centre = cos * scale, sin * scale, (side - 1) * 0.5
    tx, ty = (2 * u2 - 1) * shift, (2 * u3 - 1) * shift
    x0, y0 = centre - cos * tx - sin * ty, centre + sin * tx - cos * ty
    mirror = tl.where(v0 < flip, -part, part)
    xx, yx, xy, yy = cos * mirror, -sin * mirror, sin * part, cos * part

    pair = tl.arange(0, _PAIRS)[None, :]
    k, k2 = 2 * pair, 2 * pair + 1
    first, second = there & (k < _NODES), there & (k2 < _NODES)
    a0, a1, a2, a3 = _uniforms(number, seed, pair + 2)
    dx, dy = _normals(a0, a1, sigma)
    dx2, dy2 = _normals(a2, a3, sigma)
    x, y = (k % _ROW).to(tl.float32) / _CELLS - 0.5, (k // _ROW).to(tl.float32) / _CELLS - 0.5
    x2, y2 = (k2 % _ROW).to(tl.float32) / _CELLS - 0.5, (k2 // _ROW).to(tl.float32) / _CELLS - 0.5
    to = drawn + row * _DRAWN
    tl.store(to + k, xx * (x + dx) + xy * (y + dy) + x0, first)
    tl.store(to + _NODES + k, yx * (x + dx) + yy * (y + dy) + y0, first)
    tl.store(to + k2, xx * (x2 + dx2) + xy * (y2 + dy2) + x0, second)
    tl.store(to + _NODES + k2, yx * (x2 + dx2) + yy * (y2 + dy2) + y0, second)

    if REALIGN:
        c, s, mx, my = _similarity(dx, dy, dx2, dy2, x, y, x2, y2, k < _NODES, k2 < _NODES)
        x0, y0 = xx * mx + xy * my + x0, yx * mx + yy * my + y0
        xx, xy, yx, yy = xx * c + xy * s, xy * c - xx * s, yx * c + yy * s, yy * c - yx * s
    to += zero
    tl.store(to + _AFFINE, x0, there)
    tl.store(to + _AFFINE + 1, xx, there)
    tl.store(to + _AFFINE + 2, xy, there)
    tl.store(to + _AFFINE + 3, y0, there)
    tl.store(to + _AFFINE + 4, yx, there)
    tl.store(to + _AFFINE + 5, yy, there)

    # An 8-bit value v of L, a or b becomes (1 - |r|) v + 255 max(r, 0); L = 116 fy - 16, a = 500 (fx - fy), ...
    rl, ra, rb = (2 * v1 - 1) * lightness, (2 * v2 - 1) * ab, (2 * v3 - 1) * ab
    kl, ka, kb = 1 - tl.abs(rl), 1 - tl.abs(ra), 1 - tl.abs(rb)
    tl.store(to + _COLOUR, kl, there)
    tl.store(to + _COLOUR + 1, (16 * (1 - kl) + 100 * tl.maximum(rl, 0.0)) / 116, there)
    tl.store(to + _COLOUR + 2, ka, there)
    tl.store(to + _COLOUR + 3, (255 * tl.maximum(ra, 0.0) + 128 * (ka - 1)) / 500, there)
    tl.store(to + _COLOUR + 4, kb, there)
    tl.store(to + _COLOUR + 5, (255 * tl.maximum(rb, 0.0) + 128 * (kb - 1)) / 200, there)


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
    to = numbers + _AFFINE
    x = tl.load(to) + tl.load(to + 2) * (v - 0.5) + tl.load(to + 1) * t
    return x, tl.load(to + 3) + tl.load(to + 5) * (v - 0.5) + tl.load(to + 4) * t


@triton.jit
def _shift_colour(r, g, b, numbers):
    to = numbers + _COLOUR
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
    numbers = drawn + n * _DRAWN
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
    words, drawn = faces.contiguous().view(torch.int32), torch.empty(n, DRAWN, device=faces.device)
    rotation, zoom, shift, flip, grid, lightness, ab, realign, crop, grid_spread = jitter
    amounts = (rotation / 360, zoom, shift, flip, grid, lightness, ab, crop, grid_spread)
    samples = min(BLOCK // 64, triton.next_power_of_2(n))
    _draw[(triton.cdiv(n, samples),)](
        sample.contiguous(), drawn, n, seed, *amounts, side, coverage, REALIGN=realign > 0, SAMPLES=samples, num_warps=4
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
