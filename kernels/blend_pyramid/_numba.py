"""The multiresolution spline on the CPU, row by row: five rows become one, which is then halved; two rows of the
coarser level become one, which is then doubled. Every inner loop runs along rows and is vectorised by LLVM, and what a
row needs of the other level is still in the cache. A level holds difference and alpha as four planes of one array.

Rows are told by their numbers, not handed over as views: a view costs 10 ns of reference counting, which made the whole
twice as slow at 256 px.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.blend_pyramid.reference import blend_pyramid as reference
from fastswap.kernels.blend_pyramid.reference import level_sizes

F = np.float32
_jit = njit(nogil=True, fastmath={"contract", "nsz"}, cache=True)  # no "reassoc": exactness hangs on the brackets


@_jit
def _mirrored(i, size):  # i in -2 .. size + 1
    i = abs(i)
    return i if i < size else abs(2 * (size - 1) - i)


@_jit
def _subtract(one, other, c, y, ring, slot):
    for x in range(one.shape[2]):
        ring[slot, x] = one[c, y, x] - other[c, y, x]


@_jit
def _five(p, i, j, k, m, n, line):
    """Five rows become one, mirrored by two samples at both ends."""
    size = p.shape[1]
    for x in range(size):
        line[x + 2] = F(1 / 16) * (p[i, x] + p[n, x]) + F(4 / 16) * (p[j, x] + p[m, x]) + F(6 / 16) * p[k, x]
    for x in (-2, -1, size, size + 1):
        line[x + 2] = line[_mirrored(x, size) + 2]


@_jit
def _halve(line, out, c, y):
    for x in range(out.shape[2]):
        i = 2 * x
        sides = F(1 / 16) * (line[i] + line[i + 4]) + F(4 / 16) * (line[i + 1] + line[i + 3])
        out[c, y, x] = sides + F(6 / 16) * line[i + 2]


@_jit
def _reduce(fine, coarse):  # float32 [C, n, n] -> [C, m, m]
    size = fine.shape[1]
    line = np.empty(size + 4, np.float32)
    for c in range(fine.shape[0]):
        plane = fine[c]
        for y in range(coarse.shape[1]):
            i, j = _mirrored(2 * y - 2, size), _mirrored(2 * y - 1, size)
            m, n = _mirrored(2 * y + 1, size), _mirrored(2 * y + 2, size)
            _five(plane, i, j, 2 * y, m, n, line)
            _halve(line, coarse, c, y)


@_jit
def _reduce_difference(
    face, target, coarse
):  # float32 [3, n, n] x2 -> [3, m, m]; five rows of the difference at a time
    size = face.shape[1]
    line, ring = np.empty(size + 4, np.float32), np.empty((5, size), np.float32)
    for c in range(3):
        done = 0
        for y in range(coarse.shape[1]):
            while done < min(2 * y + 3, size):
                _subtract(face, target, c, done, ring, done % 5)
                done += 1
            i, j = _mirrored(2 * y - 2, size) % 5, _mirrored(2 * y - 1, size) % 5
            m, n = _mirrored(2 * y + 1, size) % 5, _mirrored(2 * y + 2, size) % 5
            _five(ring, i, j, 2 * y % 5, m, n, line)
            _halve(line, coarse, c, y)


@_jit
def _between(p, c, y, size, line):
    """Row y of a level of `size` rows out of the rows of the coarser level p, mirrored by a sample at both ends."""
    half, k = p.shape[1], y // 2
    below = _mirrored(2 * k + 2, size) // 2
    if y % 2:
        for x in range(half):
            line[x + 1] = F(1 / 2) * (p[c, k, x] + p[c, below, x])
    else:
        above = _mirrored(2 * k - 2, size) // 2
        for x in range(half):
            line[x + 1] = F(1 / 8) * (p[c, above, x] + p[c, below, x]) + F(6 / 8) * p[c, k, x]
    line[0] = line[_mirrored(-2, size) // 2 + 1]
    line[half + 1] = line[_mirrored(2 * half, size) // 2 + 1]


@_jit
def _double(line, out):
    """Two samples of `out` for each sample of the line."""
    for x in range(out.shape[0] // 2):
        out[2 * x] = F(1 / 8) * (line[x] + line[x + 2]) + F(6 / 8) * line[x + 1]
        out[2 * x + 1] = F(1 / 2) * (line[x + 1] + line[x + 2])


@_jit
def _collapse(level, coarser, mixed, out):  # [4, n, n], [4, m, m], [3, m, m] -> [3, n, n]
    size, half = out.shape[1], mixed.shape[1]
    line, more, less = np.empty(half + 2, np.float32), np.empty(2 * half, np.float32), np.empty(2 * half, np.float32)
    for c in range(3):
        for y in range(size):
            _between(mixed, c, y, size, line)
            _double(line, more)
            _between(coarser, c, y, size, line)
            _double(line, less)
            for x in range(size):
                a = level[3, y, x]
                out[c, y, x] = a * level[c, y, x] + (more[x] - a * less[x])


@_jit
def _finish(face, target, alpha, coarser, mixed, out):  # [3, n, n] x2, [1, n, n], [4, m, m], [3, m, m] -> [3, n, n]
    size, half = out.shape[1], mixed.shape[1]
    line, more, less = np.empty(half + 2, np.float32), np.empty(2 * half, np.float32), np.empty(2 * half, np.float32)
    for c in range(3):
        for y in range(size):
            _between(mixed, c, y, size, line)
            _double(line, more)
            _between(coarser, c, y, size, line)
            _double(line, less)
            for x in range(size):
                a = alpha[0, y, x]
                value = (F(1) - a) * target[c, y, x] + a * face[c, y, x] + (more[x] - a * less[x])
                out[c, y, x] = min(max(value, F(0)), F(1))


@_jit
def _level(flat, begin, planes, size):
    """The level that begins there, as planes."""
    return flat[begin : begin + planes * size * size].reshape(planes, size, size)


@_jit
def _blend(face, target, alpha, sizes, out):  # [N, 3, s, s] x2, [N, 1, s, s], the sides of two levels or more
    coarsest = len(sizes) - 1
    begin = np.zeros(len(sizes) + 1, np.int64)  # of each level but the square itself, in planes' samples
    for k in range(1, len(sizes)):
        begin[k + 1] = begin[k] + sizes[k] * sizes[k]
    levels, mixed = np.empty(4 * begin[-1], np.float32), np.empty(3 * begin[-1], np.float32)
    for n in range(face.shape[0]):
        first = _level(levels, 0, 4, sizes[1])
        _reduce_difference(face[n], target[n], first)
        _reduce(alpha[n], first[3:])
        for k in range(1, coarsest):
            _reduce(_level(levels, 4 * begin[k], 4, sizes[k]), _level(levels, 4 * begin[k + 1], 4, sizes[k + 1]))
        last = _level(levels, 4 * begin[coarsest], 4, sizes[coarsest])
        _level(mixed, 3 * begin[coarsest], 3, sizes[coarsest])[:] = last[3] * last[:3]
        for k in range(coarsest - 1, 0, -1):
            coarser = _level(levels, 4 * begin[k + 1], 4, sizes[k + 1])
            below = _level(mixed, 3 * begin[k + 1], 3, sizes[k + 1])
            here = _level(mixed, 3 * begin[k], 3, sizes[k])
            _collapse(_level(levels, 4 * begin[k], 4, sizes[k]), coarser, below, here)
        _finish(face[n], target[n], alpha[n], first, _level(mixed, 0, 3, sizes[1]), out[n])


def blend_pyramid(face: Tensor, target: Tensor, alpha: Tensor, levels: int) -> Tensor:
    """As the reference, computed in float32."""
    sizes = level_sizes(face.shape[-1], levels)
    if len(sizes) == 1:  # a square of one pixel has nothing but itself to mix
        return reference(face, target, alpha, levels)
    faces, targets, alphas = (x.float().contiguous() for x in (face, target, alpha))
    out = torch.empty_like(faces)
    _blend(faces.numpy(), targets.numpy(), alphas.numpy(), np.array(sizes), out.numpy())
    return out.to(face.dtype)
