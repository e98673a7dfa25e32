"""`warp` on the CPU. One output row at a time, so that what is in work stays in the first-level cache.

A row is sampled plane by plane. In general its positions and weights are computed first (a loop that vectorises), then
its source words are fetched, eight bytes from each of two source rows with all channels of both neighbours in them, and
mixed channel by channel (which vectorises again, at twice the speed of one loop that does all). Where the matrix has
no rotation the n x n taps of all pixels are two banded products: source rows are summed down with their weights, which
reads memory in order, and that one line is summed across.

A `grid` is (height, width, samples to the next pixel, samples to the next channel), of one frame's samples in `flat`.
One thread, without Python's lock: callers run several at once. Numba's own threads would abort the process there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit, types
from numba.extending import intrinsic
from torch import Tensor

_STRIP = 8  # rows in work at once: 48 KB at 512 px, and few enough calls that counting references costs nothing
_LANES = 8  # floats that common vector units add at once
_WORD = 8  # bytes fetched at once: two neighbours of up to three uint8 or two uint16 channels
options = {"error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}


@intrinsic
def _word(typing_context, array, index):
    """The eight bytes from `array[index]` on as a little-endian uint64, aligned or not."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), context.get_value_type(types.uint64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(array, index), generate


@njit(**options)
def fill_positions(m, u, v, grid, base, right, down):
    """Of every pixel of a row: the index of its upper left source sample, and its weights to the right and down."""
    height, width, pixel, _ = grid
    across, along = m[0, 1] * v + m[0, 2] + m[0, 0] * u, m[1, 1] * v + m[1, 2] + m[1, 0] * u
    last_x, last_y = np.float64(width - 1), np.float64(height - 1)
    edge_x, edge_y = max(width - 2, 0), max(height - 2, 0)
    for x in range(base.shape[0]):
        source_x = min(max(m[0, 0] * x + across, 0.0), last_x)
        source_y = min(max(m[1, 0] * x + along, 0.0), last_y)
        x0, y0 = min(np.int64(source_x), edge_x), min(np.int64(source_y), edge_y)
        base[x] = (y0 * width + x0) * pixel
        right[x] = np.float32(source_x - x0)
        down[x] = np.float32(source_y - y0)


@njit(**options)
def _gather(flat, offset, step_x, step_y, base, right, down, out):
    """Adds the bilinear samples of one channel to a row: any type, any border."""
    for x in range(out.shape[0]):
        a = np.uintp(base[x] + offset)
        b, c = a + np.uintp(step_x), a + np.uintp(step_y)
        d = c + np.uintp(step_x)
        upper = np.float32(flat[a]) + right[x] * (np.float32(flat[b]) - np.float32(flat[a]))
        lower = np.float32(flat[c]) + right[x] * (np.float32(flat[d]) - np.float32(flat[c]))
        out[x] += upper + down[x] * (lower - upper)


@njit(**options)
def _fetch(flat, step_y, base, upper, lower):
    for x in range(base.shape[0]):
        upper[x] = _word(flat, np.uintp(base[x]))
        lower[x] = _word(flat, np.uintp(base[x] + step_y))


@njit(**options)
def _mix(upper, lower, left_bits, right_bits, bits, right, down, out):
    """As `_gather`, from words; left_bits and right_bits: where the two neighbours lie in a word."""
    mask, here, next_ = np.uint64((1 << bits) - 1), np.uint64(left_bits), np.uint64(right_bits)
    for x in range(out.shape[0]):
        a, b = np.float32(np.int32((upper[x] >> here) & mask)), np.float32(np.int32((upper[x] >> next_) & mask))
        c, d = np.float32(np.int32((lower[x] >> here) & mask)), np.float32(np.int32((lower[x] >> next_) & mask))
        above, below = a + right[x] * (b - a), c + right[x] * (d - c)
        out[x] += above + down[x] * (below - above)


@njit(**options)
def _strip_general(flat, grid, m, n, first, scratch, out):
    """Rows first, first + 1 ... of one plane under any matrix: out [channels, rows, size]."""
    base, right, down, upper, lower = scratch
    height, width, pixel, channel = grid
    step_x = pixel if width > 1 else 0
    step_y = pixel * width if height > 1 else 0
    bits = 8 * flat.itemsize
    reach = _WORD // flat.itemsize if channel == 1 and step_x > 0 else flat.size + 1
    out[:] = np.float32(0)
    for tap in range(out.shape[1] * n * n):
        y, i, j = tap // (n * n), tap % n, tap // n % n
        u, v = (i + 0.5) / n - 0.5, first + y + (j + 0.5) / n - 0.5
        fill_positions(m, u, v, grid, base, right, down)
        if base.max() + step_y + reach <= flat.size:
            _fetch(flat, step_y, base, upper, lower)
            for k in range(out.shape[0]):
                _mix(upper, lower, bits * k, bits * (k + pixel), bits, right, down, out[k, y])
        else:
            for k in range(out.shape[0]):
                _gather(flat, k * channel, step_x, step_y, base, right, down, out[k, y])
    out *= np.float32(1.0 / (n * n))


@njit(**options)
def _band(scale, shift, count, n, limit):
    """The weights of n taps a pixel along one axis: where each pixel's window starts, and its weights [count, K]."""
    start = np.empty(count, np.int64)
    width = -(-(np.int64(np.ceil(abs(scale))) + 3) // _LANES) * _LANES
    weights = np.zeros((count, width), np.float32)
    for x in range(count):
        low = min(scale * (x - 0.5 + 0.5 / n), scale * (x + 0.5 - 0.5 / n)) + shift
        start[x] = np.int64(min(max(low, 0.0), limit - 1.0))
        for i in range(n):
            source = min(max(scale * (x + (i + 0.5) / n - 0.5) + shift, 0.0), limit - 1.0)
            left = np.int64(source)
            weights[x, left - start[x]] += np.float32((1.0 - (source - left)) / n)
            if source > left:
                weights[x, left + 1 - start[x]] += np.float32((source - left) / n)
    return start, weights


@njit(**options)
def _sum_down(flat, row, last_row, weights, line):
    """The weighted sum of samples one below the other, `row` of them apart. line: which to sum, from flat[0] on."""
    for j in range(0, weights.shape[0], 4):
        w0, w1, w2, w3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
        if w0 + w1 + w2 + w3 > 0:
            a, b = flat[row * min(j, last_row) :], flat[row * min(j + 1, last_row) :]
            c, d = flat[row * min(j + 2, last_row) :], flat[row * min(j + 3, last_row) :]
            for i in range(line.shape[0]):
                line[i] += w0 * np.float32(a[i]) + w1 * np.float32(b[i]) + w2 * np.float32(c[i]) + w3 * np.float32(d[i])


@njit(**options)
def _sum_across(line, start, first, weights, out):
    for x in range(out.shape[0]):
        total = np.float32(0)
        window, weight = line[start[x] - first :], weights[x]
        for i in range(weights.shape[1]):
            total += weight[i] * window[i]
        out[x] = total


@njit(**options)
def _strip_upright(flat, grid, first, across, down, out):
    """As `_strip_general`, under a matrix without rotation: `across` and `down` are bands of weights."""
    (start_x, weight_x), (start_y, weight_y) = across, down
    height, limit, pixel, channel = grid
    lanes = pixel if channel == 1 else 1  # channels that lie interleaved
    left = min(start_x[0], start_x[-1])
    width = min(max(start_x[0], start_x[-1]) + weight_x.shape[1], limit) - left
    line = np.empty(width * lanes, np.float32)
    lane_line = np.zeros(width + weight_x.shape[1], np.float32)  # windows at the right border end in zeros
    for tap in range(out.shape[1] * (out.shape[0] // lanes)):
        y, k = tap % out.shape[1], tap // out.shape[1] * lanes
        top = start_y[first + y]
        row = limit * pixel
        line[:] = np.float32(0)
        samples = flat[k * channel + top * row + left * pixel :]
        _sum_down(samples, row, height - 1 - top, weight_y[first + y], line)
        for lane in range(lanes):
            lane_line[:width] = line[lane::lanes]
            _sum_across(lane_line, start_x, left, weight_x, out[k + lane, y])


@njit(**options)
def _plan(grid, m, n, size):
    """What all rows of one plane of one face share: bands of weights without rotation, scratch for a row with it."""
    upright = m[0, 1] == 0 and m[1, 0] == 0
    count, room = (size, 0) if upright else (0, size)
    across, down = _band(m[0, 0], m[0, 2], count, n, grid[1]), _band(m[1, 1], m[1, 2], count, n, grid[0])
    words, weights = np.empty((2, room), np.uint64), np.empty((2, room), np.float32)
    return upright, across, down, (np.empty(room, np.int64), weights[0], weights[1], words[0], words[1])


@njit(**options)
def _strip(flat, grid, m, n, plan, first, out):
    """Rows first, first + 1 ... of one plane: the means of its samples, out [channels, rows, size]."""
    upright, across, down, scratch = plan
    if upright:
        _strip_upright(flat, grid, first, across, down, out)
    else:
        _strip_general(flat, grid, m, n, first, scratch, out)


@njit(**options)
def _store(strip, scale, shift, first, out):
    """strip [C, rows, size] into out [C, size, size] from row `first` on."""
    for k in range(strip.shape[0]):
        for y in range(strip.shape[1]):
            row, target = strip[k, y], out[k, first + y]
            for x in range(row.shape[0]):
                target[x] = row[x] * scale + shift


@njit(**options)
def _store_mixed(strip, numbers, scale, shift, first, out):
    """As `_store`, from Y, Cb, Cr to RGB clamped to 0..1."""
    one, zero = np.float32(1), np.float32(0)
    for k in range(3):
        from_y, from_u, from_v, constant = numbers[k, 0], numbers[k, 1], numbers[k, 2], numbers[k, 3]
        for row in range(strip.shape[1]):
            y, u, v, target = strip[0, row], strip[1, row], strip[2, row], out[k, first + row]
            for x in range(target.shape[0]):
                value = from_y * y[x] + from_u * u[x] + from_v * v[x] + constant
                target[x] = min(max(value, zero), one) * scale + shift


@njit(cache=True, nogil=True, **options)
def _warp_yuv(luma, chroma, grid, half, matrix, chroma_matrix, frame, taps, numbers, scale, shift, out):
    """luma [M, H * W], chroma [M, h * w * 2], their grids, out [N, 3, size, size]."""
    size = out.shape[3]
    for face in range(out.shape[0]):
        m, half_m, which = matrix[face], chroma_matrix[face], frame[face]
        plan, half_plan = _plan(grid, m, taps[face, 0], size), _plan(half, half_m, taps[face, 1], size)
        for first in range(0, size, _STRIP):
            strip = np.empty((3, min(_STRIP, size - first), size), np.float32)
            _strip(luma[which], grid, m, taps[face, 0], plan, first, strip[:1])
            _strip(chroma[which], half, half_m, taps[face, 1], half_plan, first, strip[1:])
            _store_mixed(strip, numbers, scale, shift, first, out[face])


@njit(cache=True, nogil=True, **options)
def _warp_plain(flat, grid, matrix, frame, taps, scale, shift, out):
    """flat [M, samples of a frame], out [N, C, size, size]."""
    size = out.shape[3]
    for face in range(out.shape[0]):
        plan = _plan(grid, matrix[face], taps[face, 0], size)
        for first in range(0, size, _STRIP):
            strip = np.empty((out.shape[1], min(_STRIP, size - first), size), np.float32)
            _strip(flat[frame[face]], grid, matrix[face], taps[face, 0], plan, first, strip)
            _store(strip, scale, shift, first, out[face])


def warp(
    planes: Sequence[Tensor],
    matrix: Tensor,
    frame: Tensor,
    taps: Tensor,
    size: int,
    to_rgb: Sequence[float],
    siting: Sequence[float],
    mean: float,
    std: float,
    dtype: torch.dtype,
    channels_last: bool,
) -> Tensor:
    """As `reference.warp`."""
    planar = planes[0].is_floating_point()
    flat = [_flat(plane.float() if planar else plane) for plane in planes]
    height, width = planes[0].shape[2:] if planar else planes[0].shape[1:3]
    out = torch.empty(matrix.shape[0], planes[0].shape[1] if planar else 3, size, size)
    where = matrix.numpy(), frame.numpy(), taps.numpy()
    if len(planes) == 2:
        half = matrix.clone()
        half[:, :, 2] -= half.new_tensor(siting)
        numbers = np.array(to_rgb, np.float32).reshape(3, 4)
        finish = numbers, np.float32(1 / std), np.float32(-mean / std), out.numpy()
        grids = (height, width, 1, 1), (*planes[1].shape[1:3], 2, 1)
        _warp_yuv(*flat, *grids, where[0], (half / 2).numpy(), *where[1:], *finish)
    elif planar:
        finish = np.float32(1 / std), np.float32(-mean / std), out.numpy()
        _warp_plain(*flat, (height, width, 1, height * width), *where, *finish)
    else:
        finish = np.float32(1 / (255 * std)), np.float32(-mean / std), out.numpy()
        _warp_plain(*flat, (height, width, 3, 1), *where, *finish)
    return out.to(dtype=dtype, memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _flat(plane: Tensor) -> np.ndarray:
    return plane.contiguous().view(plane.shape[0], -1).numpy()
