"""The soft mask on the CPU: distances along rows and columns, the nearest over a bounded window, ramp.

1. Along each row, and down and up all columns at once, how far each pixel is from the last crossing of one half.
   Nothing is transposed: a row is filled run by run, and a column's distance is that of the row before, plus one.
2. A row's square distances: the least of k^2 + those k rows above and below, and k^2 + those k px left and right, one
   loop for all four that LLVM vectorises over the row. The ramp cannot tell far distances apart (`inner` px inside of
   the mask, `outer` outside): a row wholly outside looks no further than MARGIN unless the mask is dilated.
3. The distance smoothed and the ramp, a row at a time.

Step 2 is the largest part, two fifths of the time for a face of 256 px: eight vector instructions for 16 px and a k,
24 k for an erosion of 6 px and a feather of 16. It takes its rows and shifts inside of its own loop over k: to pass
five slices to a function takes 56 ns, in which the loop does more than 2,000 px that are in the first cache.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.soft_mask.reference import MARGIN, MIN_RAMP

F = np.float32
NOWHERE = F(1e9)  # px: the distance of a crossing that does not exist; its square is finite
_jit = njit(  # "numpy": a check for a division by zero keeps a loop scalar
    nogil=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy", cache=True
)


@_jit
def _run(since, until, out):
    """The squared distance to the nearer end of a run: `since` px from its first pixel, `until` px from its last."""
    last = np.int32(out.shape[0] - 1)
    for i in range(out.shape[0]):
        x = np.int32(i)
        d = min(since + F(x), until + F(last - x))
        out[i] = d * d


@_jit
def _along(row, out):
    """The squared distance of each pixel of a row to the nearest crossing of one half in that row."""
    begin, since = 0, NOWHERE
    for x in range(1, row.shape[0]):
        before, here = row[x - 1], row[x]
        if (before >= F(0.5)) != (here >= F(0.5)):
            past = (here - F(0.5)) / (here - before)
            _run(since, F(1) - past, out[begin:x])
            begin, since = x, past
    _run(since, NOWHERE, out[begin:])


@_jit
def _onward(before, row, since):
    """From the row `before`, above or below, to this one: each pixel's distance to the last crossing in its column."""
    for x in range(row.shape[0]):
        crosses = (before[x] >= F(0.5)) != (row[x] >= F(0.5))
        past = (row[x] - F(0.5)) / (row[x] - before[x])
        since[x] = past if crosses else since[x] + F(1)


@_jit
def _begin(row, across, since, until, inner, outer, down, best):
    """The squared distances of a row in its columns, and the least that is known without looking aside."""
    for x in range(row.shape[0]):
        d = min(since[x], until[x])
        down[x] = d * d
        limit = inner if row[x] >= F(0.5) else outer
        best[x] = min(min(d * d, across[x]), limit * limit)


@_jit
def _nearest(best, across, y, down, last):
    """Row y's least of k^2 + `across` k rows away and k^2 + `down` k px aside, k up to `last`.

    A row past the border stands for the border's, k too far away: it never wins. `down` has a margin of NOWHERE.
    """
    size = best.shape[0]
    margin = (down.shape[0] - size) // 2
    for k in range(1, last + 1):
        add = F(k * k)
        above, below = across[max(y - k, 0)], across[min(y + k, size - 1)]
        left, right = down[margin - k :], down[margin + k :]
        for x in range(size):
            best[x] = min(best[x], min(min(above[x], below[x]), min(left[x], right[x])) + add)


@_jit
def _any_inside(row):
    found = False
    for x in range(row.shape[0]):  # to the end: without a way out it vectorises
        found |= row[x] >= F(0.5)
    return found


@_jit
def _root(row, best):
    """Of a row's squared distances: the distances with the sign of the mask."""
    for x in range(row.shape[0]):
        d = math.sqrt(best[x])
        best[x] = d if row[x] >= F(0.5) else -d


@_jit
def _distance(mask, inner, outer, across, down, out):
    """The signed distance, at most `inner` inside of the mask and `outer` outside; `across`, `down`: scratch."""
    size = mask.shape[0]
    since = np.full(size, NOWHERE, np.float32)
    for y in range(size):
        _along(mask[y], across[y])
        if y > 0:
            _onward(mask[y - 1], mask[y], since)
        down[y] = since
    outside = min(math.ceil(outer), size - 1)
    inside = max(min(math.ceil(inner), size - 1), outside)
    until = np.full(size, NOWHERE, np.float32)
    padded = np.full(size + 2 * inside, NOWHERE * NOWHERE, np.float32)
    for y in range(size - 1, -1, -1):
        if y + 1 < size:
            _onward(mask[y + 1], mask[y], until)
        _begin(mask[y], across[y], down[y], until, inner, outer, padded[inside : inside + size], out[y])
        _nearest(out[y], across, y, padded, inside if _any_inside(mask[y]) else outside)
        _root(mask[y], out[y])


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
def _soft_mask(mask, erode, ramp, out):
    size = mask.shape[1]
    inner, outer = F(max(erode + ramp, 0.0) + MARGIN), F(max(-erode, 0.0) + MARGIN)
    across, down = np.empty((size, size), np.float32), np.empty((size, size), np.float32)
    distance = np.empty((size, size), np.float32)
    line, smoothed = np.empty(size + 2, np.float32), np.empty(size, np.float32)
    for n in range(mask.shape[0]):
        _distance(mask[n], inner, outer, across, down, distance)
        for y in range(size):
            _smooth(distance, y, line, smoothed)
            _ramp(smoothed, y, erode, ramp, out[n, y])


def soft_mask(mask: Tensor, erode: float, feather: float) -> Tensor:  # [N, 1, s, s] -> the same
    """As the reference, computed in float32."""
    source = mask[:, 0].float().contiguous()
    out = torch.empty_like(source)
    _soft_mask(source.numpy(), float(erode), max(feather, MIN_RAMP), out.numpy())
    return out[:, None].to(mask.dtype)
