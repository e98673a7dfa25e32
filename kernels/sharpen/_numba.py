"""Sharpening on the CPU: a row at a time, blurred down, then across, and used while it is in the first cache.

Both blurs add pairs of equal weight, row by row: loops over contiguous rows that LLVM vectorises (over slices: where an
index is computed, Numba's wrap of negative ones keeps the loop scalar, three times slower). A picture is read once and
written once (OpenCV's chain of a blur, a sum and a clamp goes over it three times), and of the blur one row is kept.

A box has equal weights, so its sum over rows is that of the row before with one row more and one less, at any radius.
The sum is float64: float32 would keep a trace of every row that passed, half of 6e-8 of the sum each.
It is for pictures in 0..1, as the operation is: a value that is not finite would spoil the rest of its column.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.sharpen.reference import SHARE, weights

F = np.float32
_jit = njit(nogil=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, cache=True)


@_jit
def _down(plane, y, half, line):
    """Row y of the plane blurred over its rows: `line` without its ends, which replicate."""
    radius, size = half.shape[0] - 1, plane.shape[0]
    inner = line[radius : radius + size]
    here, above, below = plane[y], plane[max(y - 1, 0)], plane[min(y + 1, size - 1)]
    for x in range(size):
        inner[x] = half[0] * here[x] + half[1] * (above[x] + below[x])
    for k in range(2, radius + 1):
        above, below, weight = plane[max(y - k, 0)], plane[min(y + k, size - 1)], half[k]
        for x in range(size):
            inner[x] += weight * (above[x] + below[x])
    line[:radius], line[radius + size :] = inner[0], inner[size - 1]


@_jit
def _window_above(plane, radius, total):
    """The sum of the rows under a box around the row above the first, all of them replicated but the last few."""
    total[:] = 0
    for k in range(-1 - radius, radius):
        row = plane[min(max(k, 0), plane.shape[0] - 1)]
        for x in range(total.shape[0]):
            total[x] += row[x]


@_jit
def _box_down(plane, y, weight, total, line):
    """As `_down` for a box, from `total` around row y - 1, which becomes that around row y."""
    size = plane.shape[0]
    radius = (line.shape[0] - size) // 2
    inner = line[radius : radius + size]
    entering, leaving = plane[min(y + radius, size - 1)], plane[max(y - radius - 1, 0)]
    for x in range(size):
        total[x] += np.float64(entering[x]) - np.float64(leaving[x])
        inner[x] = weight * total[x]
    line[:radius], line[radius + size :] = inner[0], inner[size - 1]


@_jit
def _across(line, half, blurred):
    radius, size = half.shape[0] - 1, blurred.shape[0]
    here, left, right = line[radius:], line[radius - 1 :], line[radius + 1 :]
    for x in range(size):
        blurred[x] = half[0] * here[x] + half[1] * (left[x] + right[x])
    for k in range(2, radius + 1):
        left, right, weight = line[radius - k :], line[radius + k :], half[k]
        for x in range(size):
            blurred[x] += weight * (left[x] + right[x])


@_jit
def _sharpened(row, blurred, strength, threshold, out):
    for x in range(row.shape[0]):
        d = row[x] - blurred[x]
        d -= min(max(d, -threshold), threshold)
        out[x] = min(max(row[x] + strength * d, F(0)), F(1))


@_jit
def _sharpen(planes, half, box, strength, threshold, out):  # float32 [P, s, s], [radius + 1], bool -> [P, s, s]
    size, radius = planes.shape[1], half.shape[0] - 1
    line, blurred = np.empty(size + 2 * radius, np.float32), np.empty(size, np.float32)
    total = np.empty(size, np.float64)
    for p in range(planes.shape[0]):
        if box:
            _window_above(planes[p], radius, total)
        for y in range(size):
            if box:
                _box_down(planes[p], y, np.float64(half[0]), total, line)
            else:
                _down(planes[p], y, half, line)
            _across(line, half, blurred)
            _sharpened(planes[p, y], blurred, strength, threshold, out[p, y])


def sharpen(picture: Tensor, method: str, amount: float, radius: int, threshold: float) -> Tensor:  # [N, C, s, s]
    """As the reference, computed in float32."""
    source = picture.float().contiguous()
    out = torch.empty_like(source)
    planes, result = source.flatten(0, 1).numpy(), out.flatten(0, 1).numpy()
    half = np.array(weights(method, radius)[radius:], np.float32)
    strength = F(SHARE[method] * amount)
    box = method == "box" and radius >= 2  # of three rows the sum is as cheap
    _sharpen(planes, half, box, strength, F(threshold if method == "unsharp" else 0), result)
    return out.to(picture.dtype)
