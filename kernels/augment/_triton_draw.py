"""What augment draws, on a GPU: a lane for two grid nodes, SAMPLES examples a program, 64 floats an example.

Philox is Triton's own, with the reference's keys and counters: the same integers. Cosines and sines are short series,
since those of libdevice spill, and the interpreter has no libdevice.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastswap.kernels.augment.reference import LEAST, NODES, SPREADS

SAMPLES = 8  # a program: 128 lanes, one a thread
DRAWN = tl.constexpr(64)  # float32 an example
AFFINE, COLOUR = tl.constexpr(50), tl.constexpr(56)  # places among them, after 25 x and 25 y of the nodes
_ROW = tl.constexpr(NODES)
_CELLS = tl.constexpr(NODES - 1)
_NODES = tl.constexpr(NODES * NODES)
_PAIRS = tl.constexpr(16)  # lanes of an example, 13 of them used
_POWER = tl.constexpr(NODES * NODES * (NODES + 1) / (6 * (NODES - 1)))  # sum of |w|^2 over the centred regular grid
_LEAST2 = tl.constexpr(LEAST**2)
_SPREADS = tl.constexpr(SPREADS)
_STEP = tl.constexpr(2.0**-24)


@triton.jit
def uniforms(sample, seed, number):
    """Four uniform float32 in [0, 1) of a draw: the upper 24 bits of each Philox word, which float32 holds exactly."""
    low, high = sample.to(tl.uint32), (sample >> 32).to(tl.uint32)
    number = number.to(tl.uint32) + low * 0
    a, b, c, d = tl.philox(seed, low, high + number * 0, number, number * 0)
    a, b = (a >> 8).to(tl.int32).to(tl.float32), (b >> 8).to(tl.int32).to(tl.float32)
    c, d = (c >> 8).to(tl.int32).to(tl.float32), (d >> 8).to(tl.int32).to(tl.float32)
    return a * _STEP, b * _STEP, c * _STEP, d * _STEP


@triton.jit
def turned(turns):
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
    cos, sin = turned(u1)
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


@triton.jit(do_not_specialize=["seed"])
def draw(
    sample, drawn, n, seed, rotation, zoom, shift, flip, grid, lightness, ab, crop, grid_spread, side, coverage,
    REALIGN: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Draws for ROWS examples, and leaves in a row of `drawn` what `augment` needs: the face pixel of each grid
    node, the target's affine, and the colour shift as a map of the curves that L, a and b are made of."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    there = row < n
    number = tl.load(sample + row, there, 0)
    zero = tl.arange(0, 1)[None, :]
    u0, u1, u2, u3 = uniforms(number, seed, zero)
    v0, v1, v2, v3 = uniforms(number, seed, zero + 1)
    w0, w1, _, _ = uniforms(number, seed, zero + _SPREADS)
    part = 1 + (2 * w0 - 1) * crop
    sigma = grid * (1 + (2 * w1 - 1) * grid_spread) / part

    cos, sin = turned((2 * u0 - 1) * rotation)
    scale = side * coverage / (1 + (2 * u1 - 1) * zoom)
    cos, sin, centre = cos * scale, sin * scale, (side - 1) * 0.5
    tx, ty = (2 * u2 - 1) * shift, (2 * u3 - 1) * shift
    x0, y0 = centre - cos * tx - sin * ty, centre + sin * tx - cos * ty
    mirror = tl.where(v0 < flip, -part, part)
    xx, yx, xy, yy = cos * mirror, -sin * mirror, sin * part, cos * part

    pair = tl.arange(0, _PAIRS)[None, :]
    k, k2 = 2 * pair, 2 * pair + 1
    first, second = there & (k < _NODES), there & (k2 < _NODES)
    a0, a1, a2, a3 = uniforms(number, seed, pair + 2)
    dx, dy = _normals(a0, a1, sigma)
    dx2, dy2 = _normals(a2, a3, sigma)
    x, y = (k % _ROW).to(tl.float32) / _CELLS - 0.5, (k // _ROW).to(tl.float32) / _CELLS - 0.5
    x2, y2 = (k2 % _ROW).to(tl.float32) / _CELLS - 0.5, (k2 // _ROW).to(tl.float32) / _CELLS - 0.5
    to = drawn + row * DRAWN
    tl.store(to + k, xx * (x + dx) + xy * (y + dy) + x0, first)
    tl.store(to + _NODES + k, yx * (x + dx) + yy * (y + dy) + y0, first)
    tl.store(to + k2, xx * (x2 + dx2) + xy * (y2 + dy2) + x0, second)
    tl.store(to + _NODES + k2, yx * (x2 + dx2) + yy * (y2 + dy2) + y0, second)

    if REALIGN:
        c, s, mx, my = _similarity(dx, dy, dx2, dy2, x, y, x2, y2, k < _NODES, k2 < _NODES)
        x0, y0 = xx * mx + xy * my + x0, yx * mx + yy * my + y0
        xx, xy, yx, yy = xx * c + xy * s, xy * c - xx * s, yx * c + yy * s, yy * c - yx * s
    to += zero
    tl.store(to + AFFINE, x0, there)
    tl.store(to + AFFINE + 1, xx, there)
    tl.store(to + AFFINE + 2, xy, there)
    tl.store(to + AFFINE + 3, y0, there)
    tl.store(to + AFFINE + 4, yx, there)
    tl.store(to + AFFINE + 5, yy, there)

    # An 8-bit value v of L, a or b becomes (1 - |r|) v + 255 max(r, 0); L = 116 fy - 16, a = 500 (fx - fy), ...
    rl, ra, rb = (2 * v1 - 1) * lightness, (2 * v2 - 1) * ab, (2 * v3 - 1) * ab
    kl, ka, kb = 1 - tl.abs(rl), 1 - tl.abs(ra), 1 - tl.abs(rb)
    tl.store(to + COLOUR, kl, there)
    tl.store(to + COLOUR + 1, (16 * (1 - kl) + 100 * tl.maximum(rl, 0.0)) / 116, there)
    tl.store(to + COLOUR + 2, ka, there)
    tl.store(to + COLOUR + 3, (255 * tl.maximum(ra, 0.0) + 128 * (ka - 1)) / 500, there)
    tl.store(to + COLOUR + 4, kb, there)
    tl.store(to + COLOUR + 5, (255 * tl.maximum(rb, 0.0) + 128 * (kb - 1)) / 200, there)
