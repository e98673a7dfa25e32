"""The multiresolution spline on the CPU, row by row: five rows become one, which is then halved; two rows of the
coarser level become one, which is then doubled. Every inner loop runs along rows and is vectorised by LLVM, and what a
row needs of the other level is still in the cache. A level holds difference and alpha as four planes of one array.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.blend_pyramid.reference import blend_pyramid as reference
from fastswap.kernels.blend_pyramid.reference import level_sizes

F = np.float32
_jit = njit(nogil=True, fastmath={"contract", "reassoc", "nsz"}, cache=True)


@_jit
def _mirrored(i, size):  # i in -2 .. size + 1
    i = abs(i)
    return i if i < size else abs(2 * (size - 1) - i)


@_jit
def _subtract(one, other, out):
    for x in range(out.shape[0]):
        out[x] = one[x] - other[x]


@_jit
def _five(a, b, c, d, e, line):
    """Five rows become one, mirrored by two samples at both ends."""
    size = a.shape[0]
    inner = line[2 : size + 2]
    for x in range(size):
        inner[x] = F(1 / 16) * (a[x] + e[x]) + F(4 / 16) * (b[x] + d[x]) + F(6 / 16) * c[x]
    for x in (-2, -1, size, size + 1):
        line[x + 2] = inner[_mirrored(x, size)]


@_jit
def _halve(line, out):
    for x in range(out.shape[0]):
        i = 2 * x
        out[x] = F(1 / 16) * (line[i] + line[i + 4]) + F(4 / 16) * (line[i + 1] + line[i + 3]) + F(6 / 16) * line[i + 2]


@_jit
def _reduce(fine, coarse):  # float32 [C, n, n] -> [C, m, m]
    size = fine.shape[1]
    line = np.empty(size + 4, np.float32)
    for c in range(fine.shape[0]):
        p = fine[c]
        for y in range(coarse.shape[1]):
            i, j = _mirrored(2 * y - 2, size), _mirrored(2 * y - 1, size)
            k, m = _mirrored(2 * y + 1, size), _mirrored(2 * y + 2, size)
            _five(p[i], p[j], p[2 * y], p[k], p[m], line)
            _halve(line, coarse[c, y])


@_jit
def _reduce_difference(face, target, coarse):  # float32 [3, n, n] x2 -> [3, m, m]; five rows of the difference at a time
    size = face.shape[1]
    line, ring = np.empty(size + 4, np.float32), np.empty((5, size), np.float32)
    for c in range(3):
        done = 0
        for y in range(coarse.shape[1]):
            while done < min(2 * y + 3, size):
                _subtract(face[c, done], target[c, done], ring[done % 5])
                done += 1
            i, j = _mirrored(2 * y - 2, size) % 5, _mirrored(2 * y - 1, size) % 5
            k, m = _mirrored(2 * y + 1, size) % 5, _mirrored(2 * y + 2, size) % 5
            _five(ring[i], ring[j], ring[2 * y % 5], ring[k], ring[m], line)
            _halve(line, coarse[c, y])


@_jit
def _between(p, y, size, line):
    """Row y of a level of `size` rows out of the rows of the coarser level p, mirrored by a sample at both ends."""
    k, inner = y // 2, line[1 : p.shape[1] + 1]
    below = p[_mirrored(2 * k + 2, size) // 2]
    here = p[k]
    if y % 2:
        for x in range(here.shape[0]):
            inner[x] = F(1 / 2) * (here[x] + below[x])
    else:
        above = p[_mirrored(2 * k - 2, size) // 2]
        for x in range(here.shape[0]):
            inner[x] = F(1 / 8) * (above[x] + below[x]) + F(6 / 8) * here[x]
    line[0] = inner[_mirrored(-2, size) // 2]
    line[p.shape[1] + 1] = inner[_mirrored(2 * p.shape[1], size) // 2]


@_jit
def _double(line, out):
    """Two samples of `out` for each sample of the line."""
    for x in range(out.shape[0] // 2):
        out[2 * x] = F(1 / 8) * (line[x] + line[x + 2]) + F(6 / 8) * line[x + 1]
        out[2 * x + 1] = F(1 / 2) * (line[x + 1] + line[x + 2])


@_jit
def _mix(alpha, difference, wide_mixed, wide_difference, out):
    for x in range(out.shape[0]):
        out[x] = alpha[x] * difference[x] + (wide_mixed[x] - alpha[x] * wide_difference[x])


@_jit
def _mix_pictures(alpha, face, target, wide_mixed, wide_difference, out):
    for x in range(out.shape[0]):
        plain = (F(1) - alpha[x]) * target[x] + alpha[x] * face[x]
        value = plain + (wide_mixed[x] - alpha[x] * wide_difference[x])
        out[x] = min(max(value, F(0)), F(1))


@_jit
def _collapse(level, coarser, mixed, out):  # [4, n, n], [4, m, m], [3, m, m] -> [3, n, n]
    size, half = out.shape[1], mixed.shape[1]
    line, wide = np.empty(half + 2, np.float32), np.empty((2, 2 * half), np.float32)
    for c in range(3):
        for y in range(size):
            _between(mixed[c], y, size, line)
            _double(line, wide[0])
            _between(coarser[c], y, size, line)
            _double(line, wide[1])
            _mix(level[3, y], level[c, y], wide[0], wide[1], out[c, y])


@_jit
def _finish(face, target, alpha, coarser, mixed, out):  # [3, n, n] x2, [1, n, n], [4, m, m], [3, m, m] -> [3, n, n]
    size, half = out.shape[1], mixed.shape[1]
    line, wide = np.empty(half + 2, np.float32), np.empty((2, 2 * half), np.float32)
    for c in range(3):
        for y in range(size):
            _between(mixed[c], y, size, line)
            _double(line, wide[0])
            _between(coarser[c], y, size, line)
            _double(line, wide[1])
            _mix_pictures(alpha[0, y], face[c, y], target[c, y], wide[0], wide[1], out[c, y])


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
