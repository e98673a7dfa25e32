"""Augmentation on the CPU: an example at a time, a row at a time, so that rows stay in the cache and LLVM vectorises.

A face's pixel is read as one 32-bit word, R in its lowest byte: one load (or one lane of a gather) for four channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.augment.reference import KEY_STEPS, LEAST, MULTIPLIERS, NODES, ROUNDS, SPREADS
from fastswap.kernels.lab._numba import lab_from_rgb, rgb_from_lab
from fastswap.kernels.simd._numba import gather, load, store

F, I32, U32, U64 = np.float32, np.int32, np.uint32, np.uint64
_M0, _M1 = (U64(m) for m in MULTIPLIERS)
_K0, _K1 = (U32(k) for k in KEY_STEPS)
_WORD, _32 = U64(0xFFFFFFFF), U64(32)
_CELLS = NODES - 1
_POWER = NODES * NODES * (NODES + 1) / (6 * _CELLS)  # the sum of |w|^2 over the regular grid's centred nodes
LANES = 16  # rows of taps are padded to whole vectors of the widest units

_jit = njit(nogil=True, fastmath=True, cache=True)
_inline = njit(inline="always", fastmath=True)


@_jit
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 on uint32 words."""
    for _ in range(ROUNDS):
        product0, product1 = _M0 * U64(c0), _M1 * U64(c2)
        c0, c1, c2, c3 = (
            U32(product1 >> _32) ^ c1 ^ k0,
            U32(product1 & _WORD),
            U32(product0 >> _32) ^ c3 ^ k1,
            U32(product0 & _WORD),
        )
        k0, k1 = U32(k0 + _K0), U32(k1 + _K1)
    return c0, c1, c2, c3


@_jit
def _uniforms(sample, seed, number):
    s, k = U64(sample), U64(seed)
    c0, c1, c2, c3 = philox(U32(s & _WORD), U32(s >> _32), U32(number), U32(0), U32(k & _WORD), U32(k >> _32))
    step = 2.0**-24
    return (c0 >> U32(8)) * step, (c1 >> U32(8)) * step, (c2 >> U32(8)) * step, (c3 >> U32(8)) * step


@_jit
def _draw_nodes(sample, seed, sigma, nodes):  # nodes: float64 [25, 2]
    for pair in range((NODES * NODES + 1) // 2):
        u0, u1, u2, u3 = _uniforms(sample, seed, 2 + pair)
        for k, u, turn in ((2 * pair, u0, u1), (2 * pair + 1, u2, u3)):
            if k < NODES * NODES:
                radius = sigma * math.sqrt(-2 * math.log(u + 2.0**-24))
                nodes[k, 0] = radius * math.cos(2 * math.pi * turn)
                nodes[k, 1] = radius * math.sin(2 * math.pi * turn)


@_jit
def _draw_spreads(sample, seed, jitter):
    """The side of the crop, as a factor, and the deviation of the grid in sides of it."""
    u0, u1, _, _ = _uniforms(sample, seed, SPREADS)
    crop = 1 + (2 * u0 - 1) * jitter[8]
    return crop, jitter[4] * (1 + (2 * u1 - 1) * jitter[9]) / crop


@_jit
def _realign(nodes, out):
    """The displacements of the similarity that follows the grid's: the reference's `realign`. float64 [25, 2] both."""
    mean_x, mean_y = nodes[:, 0].mean(), nodes[:, 1].mean()
    along, across, power = 0.0, 0.0, 0.0
    for k in range(NODES * NODES):
        x, y = (k % NODES) / _CELLS - 0.5, (k // NODES) / _CELLS - 0.5
        zx, zy = x + nodes[k, 0] - mean_x, y + nodes[k, 1] - mean_y
        along += (zx * x + zy * y) / _POWER
        across += (zy * x - zx * y) / _POWER
        power += (zx * zx + zy * zy) / _POWER
    gain = power / max(along * along + across * across, LEAST * LEAST)
    for k in range(NODES * NODES):
        x, y = (k % NODES) / _CELLS - 0.5, (k // NODES) / _CELLS - 0.5
        out[k, 0] = gain * (along * x - across * y) + mean_x - x
        out[k, 1] = gain * (across * x + along * y) + mean_y - y


@_jit
def _draw_affine(sample, seed, jitter, crop, side, centre):
    """Centred crop units -> face pixels, as (xx, xy, x0, yx, yy, y0): the drawn crop, the mirror, the affine, the
    face's size."""
    u0, u1, u2, u3 = _uniforms(sample, seed, 0)
    angle = (2 * u0 - 1) * jitter[0] * (math.pi / 180)
    scale = side / (1 + (2 * u1 - 1) * jitter[1])
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    tx, ty = (2 * u2 - 1) * jitter[2], (2 * u3 - 1) * jitter[2]
    mirror = -crop if _uniforms(sample, seed, 1)[0] < jitter[3] else crop
    return (
        cos * mirror,
        sin * crop,
        centre - cos * tx - sin * ty,
        -sin * mirror,
        cos * crop,
        centre + sin * tx - cos * ty,
    )


@_jit
def _draw_colour(sample, seed, jitter):
    """(factor, offset) of L 0..100, a and b: the shift of an 8-bit value c is (1 - |r|) c + 255 max(r, 0)."""
    _, u1, u2, u3 = _uniforms(sample, seed, 1)
    rl, ra, rb = (2 * u1 - 1) * jitter[5], (2 * u2 - 1) * jitter[6], (2 * u3 - 1) * jitter[6]
    kl, ka, kb = 1 - abs(rl), 1 - abs(ra), 1 - abs(rb)
    ol, oa, ob = 100 * max(rl, 0), 255 * max(ra, 0) + 128 * (ka - 1), 255 * max(rb, 0) + 128 * (kb - 1)
    return F(kl), F(ol), F(ka), F(oa), F(kb), F(ob)


@_jit
def _place(px, py, size, width, taps, v, affine, nodes, still):
    """The places in the face of one row of taps: px[j * width + x] is at u = (x + (j + .5) / taps) / size of the crop,
    and all are at its height v, 0..1.

    Between two columns of nodes the grid and the affine are linear, so each of the four stretches is a straight line;
    where the nodes are `still`, a similar grid, the whole row is one.
    """
    xx, xy, x0, yx, yy, y0 = affine
    row = min(int(v * _CELLS), _CELLS - 1)
    part = v * _CELLS - row
    stretch = _CELLS if still else 1
    left_x, left_y = 0.0, 0.0
    for column in range(0, NODES, stretch):
        k = row * NODES + column
        cx = column / _CELLS - 0.5 + (1 - part) * nodes[k, 0] + part * nodes[k + NODES, 0]
        cy = v - 0.5 + (1 - part) * nodes[k, 1] + part * nodes[k + NODES, 1]
        right_x, right_y = xx * cx + xy * cy + x0, yx * cx + yy * cy + y0
        if column > 0:
            first, last = size * (column - stretch) / _CELLS, size * column / _CELLS
            bx, by = (right_x - left_x) / (last - first), (right_y - left_y) / (last - first)
            for j in range(taps):
                aside = (j + 0.5) / taps
                begin, end = _from(first - aside), min(_from(last - aside), size)
                _ramp(px, j * width, begin, end, F(left_x + bx * (aside - first)), F(bx))
                _ramp(py, j * width, begin, end, F(left_y + by * (aside - first)), F(by))
        left_x, left_y = right_x, right_y


@_inline
def _from(position):
    """The first whole number, from 0 on, that is not below `position`."""
    whole = int(position)
    return 0 if position <= 0 else whole + (whole < position)


@_jit
def _ramp(line, offset, begin, end, start, step):
    for x in range(begin, end):
        store(line, offset + x, start + step * F(I32(x)))


@_jit
def _add_taps(face, side, px, py, offset, rows, width):
    """Adds the bilinear samples of `face` (uint32 [side * side]) at a line of places, borders replicated, to `rows`,
    the sums of R, G, B and mask: float32 [4 * width]."""
    last, stride = I32(side - 1), I32(side)
    edge = F(last)
    for x in range(width):
        fx, fy = min(max(load(px, offset + x), F(0)), edge), min(max(load(py, offset + x), F(0)), edge)
        ix, iy = I32(fx), I32(fy)
        wx, wy = fx - F(ix), fy - F(iy)
        base = iy * stride + ix
        right = I32(1) if ix < last else I32(0)
        below = stride if iy < last else I32(0)
        a, b = gather(face, I32(base)), gather(face, I32(base + right))
        c, d = gather(face, I32(base + below)), gather(face, I32(base + below + right))
        wd = wx * wy
        wb, wc = wx - wd, wy - wd
        wa = F(1) - wx - wc
        store(rows, x, load(rows, x) + _blend(a, b, c, d, 0, wa, wb, wc, wd))
        store(rows, width + x, load(rows, width + x) + _blend(a, b, c, d, 8, wa, wb, wc, wd))
        store(rows, 2 * width + x, load(rows, 2 * width + x) + _blend(a, b, c, d, 16, wa, wb, wc, wd))
        store(rows, 3 * width + x, load(rows, 3 * width + x) + _blend(a, b, c, d, 24, wa, wb, wc, wd))


@_inline
def _blend(a, b, c, d, bit, wa, wb, wc, wd):
    """Of four words, the byte that starts at `bit`, weighted."""
    return wa * _byte(a, bit) + wb * _byte(b, bit) + wc * _byte(c, bit) + wd * _byte(d, bit)


@_inline
def _byte(word, bit):
    return F(I32((word >> U32(bit)) & U32(0xFF)))


@_jit
def _finish(rows, width, scale, colour, shifts, out, y):
    """The taps' sums, times `scale`, through the colour shift into row y of `out`, float32 [3, size, size]."""
    kl, ol, ka, oa, kb, ob = colour
    for x in range(out.shape[2]):
        r, g, b = load(rows, x) * scale, load(rows, width + x) * scale, load(rows, 2 * width + x) * scale
        if shifts:
            lightness, a, bb = lab_from_rgb(r, g, b)
            r, g, b = rgb_from_lab(lightness * kl + ol, a * ka + oa, bb * kb + ob)
        out[0, y, x], out[1, y, x], out[2, y, x] = min(r, F(1)), min(g, F(1)), min(b, F(1))


@_jit
def _fill(face, side, affine, nodes, still, colour, shifts, taps, out, mask):
    """One output picture of one example; `mask` (float32 [size, size]) is empty where none is wanted."""
    size = out.shape[1]
    width = -(-size // LANES) * LANES  # the last taps of a row, past its end, sample somewhere and are not used
    rows = np.empty(4 * width, np.float32)
    px, py = np.zeros(taps * width, np.float32), np.zeros(taps * width, np.float32)
    scale = F(1 / (255 * taps * taps))
    for y in range(size):
        rows[:] = F(0)
        for i in range(taps):
            _place(px, py, size, width, taps, (y + (i + 0.5) / taps) / size, affine, nodes, still)
            for j in range(taps):
                _add_taps(face, side, px, py, j * width, rows, width)
        _finish(rows, width, scale, colour, shifts, out, y)
        if mask.size:
            for x in range(size):
                mask[y, x] = min(load(rows, 3 * width + x) * scale, F(1))


@_jit
def _augment(faces, index, sample, seed, coverage, taps_in, taps_out, jitter, warped, target, mask):
    nodes, still = np.zeros((NODES * NODES, 2)), np.zeros((NODES * NODES, 2))
    side = int(math.sqrt(faces.shape[1]) + 0.5)
    shifts = jitter[5] > 0 or jitter[6] > 0
    for n in range(index.shape[0]):
        face = faces[index[n]]
        crop, sigma = _draw_spreads(sample[n], seed, jitter)
        affine = _draw_affine(sample[n], seed, jitter, crop, coverage * side, (side - 1) / 2)
        colour = _draw_colour(sample[n], seed, jitter)
        _draw_nodes(sample[n], seed, sigma, nodes)
        if jitter[7] > 0:
            _realign(nodes, still)
        _fill(face, side, affine, nodes, False, colour, shifts, taps_in, warped[n], mask[n, 0, :0])
        _fill(face, side, affine, still, True, colour, shifts, taps_out, target[n], mask[n, 0])


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
    """As the reference. A face set that is not contiguous is copied for each call; 16-bit outputs are rounded in a
    second pass, for Numba knows no bfloat16."""
    n = len(index)
    warped = torch.empty(n, 3, size_in, size_in)
    target, mask = torch.empty(n, 3, size_out, size_out), torch.empty(n, 1, size_out, size_out)
    words = faces.contiguous().flatten(1).view(torch.uint32).numpy()
    numbers = np.array(jitter, np.float64)
    arrays = (index.contiguous().numpy(), sample.contiguous().numpy())
    outputs = (warped.numpy(), target.numpy(), mask.numpy())
    _augment(words, *arrays, seed, coverage, taps_in, taps_out, numbers, *outputs)
    return warped.to(dtype), target.to(dtype), mask.to(dtype)
