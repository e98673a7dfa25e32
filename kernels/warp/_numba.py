"""`warp` on the CPU. One output row at a time, so that what is in work stays in the first-level cache.

A row is sampled plane by plane. In general its positions and weights are computed first (a loop that vectorises), then
it is gathered channel by channel. Where the matrix has no rotation the n x n taps of all pixels are two banded products:
source rows are summed down with their weights, which reads memory in order, and that one line is summed across.

One thread, without Python's lock: callers run several at once. Numba's own threads would abort the process there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from torch import Tensor

_options = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}


@njit(**_options)
def _positions(m, u, v, limits, pixel, base, right, down):
    """Of every pixel of a row: the index of its upper left source sample, and its weights to the right and down."""
    height, width = limits
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


@njit(**_options)
def _gather(flat, offset, step_x, step_y, base, right, down, out):
    """Adds the bilinear samples of one channel to a row."""
    for x in range(out.shape[0]):
        a = np.uintp(base[x] + offset)
        b, c = a + np.uintp(step_x), a + np.uintp(step_y)
        d = c + np.uintp(step_x)
        upper = np.float32(flat[a]) + right[x] * (np.float32(flat[b]) - np.float32(flat[a]))
        lower = np.float32(flat[c]) + right[x] * (np.float32(flat[d]) - np.float32(flat[c]))
        out[x] += upper + down[x] * (lower - upper)


@njit(**_options)
def _row_general(flat, limits, pixel, channel, m, y, n, base, right, down, out):
    step_x = pixel if limits[1] > 1 else 0
    step_y = pixel * limits[1] if limits[0] > 1 else 0
    for j in range(n):
        for i in range(n):
            _positions(m, (i + 0.5) / n - 0.5, y + (j + 0.5) / n - 0.5, limits, pixel, base, right, down)
            for k in range(out.shape[0]):
                _gather(flat, k * channel, step_x, step_y, base, right, down, out[k])
    share = np.float32(1.0 / (n * n))
    for k in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[k, x] *= share


@njit(**_options)
def _band(scale, shift, count, n, limit):
    """The weights of n taps a pixel along one axis: where each pixel's window starts, and its weights [count, K]."""
    start = np.empty(count, np.int64)
    weights = np.zeros((count, np.int64(np.ceil(abs(scale))) + 3), np.float32)
    for x in range(count):
        first = min(scale * (x - 0.5 + 0.5 / n), scale * (x + 0.5 - 0.5 / n)) + shift
        start[x] = np.int64(min(max(first, 0.0), limit - 1.0))
        for i in range(n):
            source = min(max(scale * (x + (i + 0.5) / n - 0.5) + shift, 0.0), limit - 1.0)
            low = min(np.int64(source), max(limit - 2, 0))
            weights[x, max(low - start[x], 0)] += np.float32((1.0 - (source - low)) / n)
            if source > low:
                weights[x, low + 1 - start[x]] += np.float32((source - low) / n)
    return start, weights


@njit(**_options)
def _row_upright(flat, limits, pixel, channel, y, across, down, line, out):
    """A row under a matrix without rotation: `down` and `across` are bands of weights."""
    (start_x, weight_x), (start_y, weight_y) = across, down
    lanes = pixel if channel == 1 else 1  # channels that lie interleaved
    first = min(start_x[0], start_x[-1]) * pixel
    last = min((max(start_x[0], start_x[-1]) + weight_x.shape[1]), limits[1]) * pixel
    for k in range(0, out.shape[0], lanes):
        line[first:last] = np.float32(0)
        for j in range(weight_y.shape[1]):
            weight = weight_y[y, j]
            if weight != np.float32(0):
                row = flat[k * channel + (start_y[y] + j) * limits[1] * pixel :]
                for i in range(first, last):
                    line[i] += weight * np.float32(row[i])
        for lane in range(lanes):
            for x in range(out.shape[1]):
                total = np.float32(0)
                reach = min(weight_x.shape[1], limits[1] - start_x[x])
                for i in range(reach):
                    total += weight_x[x, i] * line[(start_x[x] + i) * pixel + lane]
                out[k + lane, x] = total


@njit(**_options)
def _plan(limits, pixel, m, n, size):
    """What all rows of one plane of one face share: bands of weights without rotation, scratch for a row with it."""
    upright = m[0, 1] == 0 and m[1, 0] == 0
    count, room = (size, 0) if upright else (0, size)
    across, down = _band(m[0, 0], m[0, 2], count, n, limits[1]), _band(m[1, 1], m[1, 2], count, n, limits[0])
    line = np.empty(limits[1] * pixel if upright else 0, np.float32)
    return upright, across, down, line, np.empty(room, np.int64), np.empty(room, np.float32), np.empty(room, np.float32)


@njit(**_options)
def _row(flat, limits, pixel, channel, m, n, plan, y, out):
    """Row y of one plane: the means of its samples, out [channels, size]. flat: the frame's samples."""
    upright, across, down, line, base, right, below = plan
    if upright:
        _row_upright(flat, limits, pixel, channel, y, across, down, line, out)
    else:
        out[:] = np.float32(0)
        _row_general(flat, limits, pixel, channel, m, y, n, base, right, below, out)


@njit(**_options)
def _convert(row, numbers):
    """Y, Cb, Cr to RGB in place, clamped. row [3, size], numbers [3, 4]."""
    one, zero = np.float32(1), np.float32(0)
    for x in range(row.shape[1]):
        y, u, v = row[0, x], row[1, x], row[2, x]
        for k in range(3):
            value = numbers[k, 0] * y + numbers[k, 1] * u + numbers[k, 2] * v + numbers[k, 3]
            row[k, x] = min(max(value, zero), one)


@njit(**_options)
def _store(row, scale, shift, out, y):
    for k in range(row.shape[0]):
        for x in range(row.shape[1]):
            out[k, y, x] = row[k, x] * scale + shift


@njit(**_options)
def _warp_yuv(luma, chroma, limits, half, matrix, chroma_matrix, frame, taps, numbers, scale, shift, out):
    """luma [M, H * W], chroma [M, h * w * 2], limits (H, W), half (h, w), out [N, 3, size, size]."""
    size = out.shape[3]
    row = np.empty((3, size), np.float32)
    for face in range(out.shape[0]):
        m, half_m, which = matrix[face], chroma_matrix[face], frame[face]
        plan, half_plan = _plan(limits, 1, m, taps[face, 0], size), _plan(half, 2, half_m, taps[face, 1], size)
        for y in range(size):
            _row(luma[which], limits, 1, 1, m, taps[face, 0], plan, y, row[:1])
            _row(chroma[which], half, 2, 1, half_m, taps[face, 1], half_plan, y, row[1:])
            _convert(row, numbers)
            _store(row, scale, shift, out[face], y)


@njit(**_options)
def _warp_plain(flat, limits, pixel, channel, matrix, frame, taps, scale, shift, out):
    """flat [M, samples of a frame], pixel and channel: steps in it to the next; out [N, C, size, size]."""
    size = out.shape[3]
    row = np.empty((out.shape[1], size), np.float32)
    for face in range(out.shape[0]):
        plan = _plan(limits, pixel, matrix[face], taps[face, 0], size)
        for y in range(size):
            _row(flat[frame[face]], limits, pixel, channel, matrix[face], taps[face, 0], plan, y, row)
            _store(row, scale, shift, out[face], y)


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
) -> Tensor:
    """As `reference.warp`."""
    planar = planes[0].is_floating_point()
    flat = [_flat(plane.float() if planar else plane) for plane in planes]
    limits = tuple(planes[0].shape[2:] if planar else planes[0].shape[1:3])
    out = torch.empty(matrix.shape[0], planes[0].shape[1] if planar else 3, size, size)
    where = matrix.numpy(), frame.numpy(), taps.numpy()
    if len(planes) == 2:
        half = matrix.clone()
        half[:, :, 2] -= half.new_tensor(siting)
        numbers = np.array(to_rgb, np.float32).reshape(3, 4)
        finish = numbers, np.float32(1 / std), np.float32(-mean / std), out.numpy()
        _warp_yuv(*flat, limits, tuple(planes[1].shape[1:3]), where[0], (half / 2).numpy(), *where[1:], *finish)
    elif planar:
        finish = np.float32(1 / std), np.float32(-mean / std), out.numpy()
        _warp_plain(*flat, limits, 1, limits[0] * limits[1], *where, *finish)
    else:
        finish = np.float32(1 / (255 * std)), np.float32(-mean / std), out.numpy()
        _warp_plain(*flat, limits, 3, 1, *where, *finish)
    return out.to(dtype)


def _flat(plane: Tensor) -> np.ndarray:
    return plane.contiguous().view(plane.shape[0], -1).numpy()
