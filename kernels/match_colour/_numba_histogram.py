"""Histogram match on the CPU: counting is one addition a sample in the first-level cache, mapping two reads of a table.

Levels are found in SIMD, a chunk at a time; chunks outside of the mask are not counted. What is whole in the reference
is whole here: the counts, and so the bins between which the map goes, are the same to the last digit.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fastswap.kernels.match_colour.reference import BINS, LEAST_WEIGHT

F = np.float32
CHUNK = 1024  # px
_jit = njit(nogil=True, fastmath=True, cache=True)


@_jit
def _levels(values, into):
    for i in range(values.shape[0]):
        into[i] = np.uint8(min(max(values[i] * F(BINS), F(0)), F(BINS - 1)))


@_jit
def _count(rgb, mask, row, counts):  # float32 [3, P], [P]; uint8 [4, CHUNK], scratch; int64 [3, BINS], overwritten
    counts[:] = 0
    for begin in range(0, mask.shape[0], CHUNK):
        end = min(begin + CHUNK, mask.shape[0])
        _levels(mask[begin:end], row[3])
        if row[3, : end - begin].max() == 0:
            continue
        for c in range(3):
            _levels(rgb[c, begin:end], row[c])
        for i in range(end - begin):
            steps = row[3, i]
            for c in range(3):
                counts[c, row[c, i]] += steps


@_jit
def _shifts(have, want, shift):  # int64 [BINS] x2; float32 [BINS], overwritten: reference._shifts in one walk
    below, at_left, at_right = 0, 0, 0
    left, right, last, high = -1, -1, -1, 0  # bins of the target about `below`, and the face's last that held something
    wanted = 0  # weight of the target's bins before `high`
    for k in range(BINS):
        if have[k] == 0:
            continue
        middle = 2 * below + have[k]
        below += have[k]
        while high < BINS and at_right <= middle:
            if want[high] > 0:
                left, at_left = right, at_right
                right, at_right = high, 2 * wanted + want[high]
                wanted += want[high]
            high += 1
        if right >= 0 and at_right <= middle:
            left, at_left = right, at_right
        place = float(right)
        if left >= 0 and right > left:
            place = left + (middle - at_left) / (at_right - at_left) * (right - left)
        shift[k] = (place - k) / BINS
        for j in range(last + 1, k):  # straight from the bin before, or the same as here below all of them
            shift[j] = shift[k] if last < 0 else shift[last] + (shift[k] - shift[last]) * F((j - last) / (k - last))
        last = k
    for j in range(last + 1, BINS):
        shift[j] = shift[last]


@_jit
def _apply_shifts(values, shift, out):
    for i in range(values.shape[0]):
        place = values[i] * F(BINS) - F(0.5)
        low = np.int32(min(max(place, F(0)), F(BINS - 2)))
        part = min(max(place - F(low), F(0)), F(1))
        moved = shift[low] + part * (shift[low + 1] - shift[low])
        out[i] = min(max(values[i] + moved, F(0)), F(1))


@_jit
def match(face, target, mask, out):
    have, want = np.empty((3, BINS), np.int64), np.empty((3, BINS), np.int64)
    row, shift = np.empty((4, CHUNK), np.uint8), np.empty(BINS, np.float32)
    for n in range(mask.shape[0]):
        _count(face[n], mask[n], row, have)
        if have[0].sum() < LEAST_WEIGHT * (BINS - 1):
            out[n] = face[n]
            continue
        _count(target[n], mask[n], row, want)
        for c in range(3):
            _shifts(have[c], want[c], shift)
            _apply_shifts(face[n, c], shift, out[n, c])
