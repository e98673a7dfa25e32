"""The soft mask on the CPU: two scans along each row, then the least over a window of rows, which LLVM vectorises."""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.soft_mask.reference import MIN_RAMP, reach

F = np.float32
_jit = njit(nogil=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, cache=True)  # not "ninf": `far` may be inf


@_jit
def _along(row, far, out):
    """The squared distance of each pixel of a row to the nearest crossing of one half in that row, or `far`."""
    size = row.shape[0]
    last = -math.inf
    for x in range(size):
        out[x] = F(x - last)
        if x + 1 < size and (row[x] >= F(0.5)) != (row[x + 1] >= F(0.5)):
            last = x + (0.5 - row[x]) / (row[x + 1] - row[x])
    following = math.inf
    for x in range(size - 1, -1, -1):
        if x + 1 < size and (row[x] >= F(0.5)) != (row[x + 1] >= F(0.5)):
            following = x + (0.5 - row[x]) / (row[x + 1] - row[x])
        nearest = min(out[x], F(following - x))
        out[x] = min(nearest * nearest, far)


@_jit
def _lower(best, row, add):
    for x in range(best.shape[0]):
        best[x] = min(best[x], row[x] + add)


@_jit
def _squared(mask, limit, along, out):
    """The squared distance to the nearest crossing between two pixels of one row, `limit` squared at most."""
    size = mask.shape[0]
    far = F(limit * limit)
    nearest = np.empty(size, np.float32)
    for y in range(size):
        _along(mask[y], far, along[y])
        nearest[y] = along[y].min()
    for y in range(size):
        best = out[y]
        best[:] = far
        for k in range(max(y - limit, 0), min(y + limit + 1, size)):
            add = F((k - y) * (k - y))
            if nearest[k] + add < far:
                _lower(best, along[k], add)


@_jit
def _sign(mask, first, second, out):
    """The nearer of two squared distances, the second transposed, with the sign of the mask."""
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            d = F(math.sqrt(min(first[y, x], second[x, y])))
            out[y, x] = d if mask[y, x] >= F(0.5) else -d


@_jit
def _smooth(distance, y, line, out):
    """Row y of the distance through (1 2 1) / 4 both ways, borders replicated."""
    size = distance.shape[0]
    above, here, below = distance[max(y - 1, 0)], distance[y], distance[min(y + 1, size - 1)]
    for x in range(size):
        line[x + 1] = F(0.25) * (above[x] + F(2) * here[x] + below[x])
    line[0], line[size + 1] = line[1], line[size]
    for x in range(size):
        out[x] = F(0.25) * (line[x] + F(2) * line[x + 1] + line[x + 2])


@_jit
def _ramp(distance, y, erode, ramp, out):
    """The smooth step over row y's distance from the eroded edge or from the square's border, whichever is nearer."""
    size = distance.shape[0]
    border = F(max(erode, 0.0))
    row = F(min(y, size - 1 - y))
    begin, slope = F(erode), F(1 / ramp)
    for x in range(size):
        column = F(np.int32(min(x, size - 1 - x)))
        inside = min(distance[x] - begin, min(row, column) - border)
        t = min(max(inside * slope, F(0)), F(1))
        out[x] = t * t * (F(3) - F(2) * t)


@_jit
def _soft_mask(mask, erode, ramp, limit, out):
    size = mask.shape[1]
    first, second = np.empty((size, size), np.float32), np.empty((size, size), np.float32)
    along = np.empty((size, size), np.float32)
    line, smoothed = np.empty(size + 2, np.float32), np.empty(size, np.float32)
    for n in range(mask.shape[0]):
        _squared(mask[n], limit, along, first)
        _squared(np.ascontiguousarray(mask[n].T), limit, along, second)
        _sign(mask[n], first, second, along)
        for y in range(size):
            _smooth(along, y, line, smoothed)
            _ramp(smoothed, y, erode, ramp, out[n, y])


def soft_mask(mask: Tensor, erode: float, feather: float) -> Tensor:  # [N, 1, s, s] -> the same
    """As the reference, computed in float32."""
    ramp = max(feather, MIN_RAMP)
    source = mask[:, 0].float().contiguous()
    out = torch.empty_like(source)
    _soft_mask(source.numpy(), float(erode), ramp, reach(erode, ramp), out.numpy())
    return out[:, None].to(mask.dtype)
