"""Colour match on the CPU, one core, a pixel's colours read once for the statistics and once for the result.

Pixels go in chunks of CHUNK: three rows of colours and one of weights stay in the first-level cache while they are
converted, summed, and summed again about the chunk's own mean in float32, all of it in SIMD. They are merged in
float64 (Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances", 1979), so
that a small deviation on a large mean keeps its digits. Chunks outside of the mask are not looked at. CIELAB is not
stored: to convert the face again costs less (0.9 ns a pixel) than the memory.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.lab._numba import lab_from_rgb, rgb_from_lab
from fastswap.kernels.match_colour._numba_histogram import match
from fastswap.kernels.match_colour.reference import LEAST, LEAST_DEVIATION, LEAST_WEIGHT, MAX_GAIN

F = np.float32
CHUNK = 1024  # px: 16 KB of rows
SWEEPS = 6  # of Jacobi's rotations; 3x3 matrices are diagonal to float64's last digits after five
_jit = njit(nogil=True, fastmath=True, cache=True)


# Moments: [weight, three means, six sums of products about them: 00 01 02 11 12 22]


@_jit
def _add_chunk(x, y, z, mask, total, moments):  # float32 [CHUNK or less] each; the mask's sum, above 0
    """Merges the chunk's moments into `moments`."""
    sx, sy, sz = F(0), F(0), F(0)
    for i in range(mask.shape[0]):
        m = mask[i]
        sx += m * x[i]
        sy += m * y[i]
        sz += m * z[i]
    mx, my, mz = sx / total, sy / total, sz / total
    xx, xy, xz, yy, yz, zz = F(0), F(0), F(0), F(0), F(0), F(0)
    for i in range(mask.shape[0]):
        m, dx, dy, dz = mask[i], x[i] - mx, y[i] - my, z[i] - mz
        xx += m * dx * dx
        xy += m * dx * dy
        xz += m * dx * dz
        yy += m * dy * dy
        yz += m * dy * dz
        zz += m * dz * dz
    weight = moments[0] + total
    ax, ay, az = mx - moments[1], my - moments[2], mz - moments[3]
    part, both = total / weight, moments[0] * total / weight
    for k, own, product in ((4, xx, ax * ax), (5, xy, ax * ay), (6, xz, ax * az)):
        moments[k] += own + both * product
    for k, own, product in ((7, yy, ay * ay), (8, yz, ay * az), (9, zz, az * az)):
        moments[k] += own + both * product
    moments[0] = weight
    moments[1] += part * ax
    moments[2] += part * ay
    moments[3] += part * az


@_jit
def _weight(mask):
    total = F(0)
    for i in range(mask.shape[0]):
        total += mask[i]
    return total


@_jit
def _rgb_moments(rgb, mask, moments):  # float32 [3, P], [P]; float64 [10], overwritten
    moments[:] = 0
    for begin in range(0, mask.shape[0], CHUNK):
        end = min(begin + CHUNK, mask.shape[0])
        total = _weight(mask[begin:end])
        if total > 0:
            _add_chunk(rgb[0, begin:end], rgb[1, begin:end], rgb[2, begin:end], mask[begin:end], total, moments)


@_jit
def _lab_moments(rgb, mask, row, moments):  # row: float32 [3, CHUNK], scratch
    moments[:] = 0
    for begin in range(0, mask.shape[0], CHUNK):
        end = min(begin + CHUNK, mask.shape[0])
        total = _weight(mask[begin:end])
        if total > 0:
            x, y, z = row[0, : end - begin], row[1, : end - begin], row[2, : end - begin]
            _to_lab(rgb[0, begin:end], rgb[1, begin:end], rgb[2, begin:end], x, y, z)
            _add_chunk(x, y, z, mask[begin:end], total, moments)


@_jit
def _to_lab(r, g, b, x, y, z):
    for i in range(r.shape[0]):
        x[i], y[i], z[i] = lab_from_rgb(r[i], g[i], b[i])


@_jit
def _reinhard(face, target, mask, out):  # float32 [N, 3, P] x2, [N, P], [N, 3, P]
    have, want, row = np.empty(10), np.empty(10), np.empty((3, CHUNK), np.float32)
    gain, offset = np.empty(3), np.empty(3)
    for n in range(mask.shape[0]):
        _lab_moments(face[n], mask[n], row, have)
        if have[0] < LEAST_WEIGHT:
            out[n] = face[n]
            continue
        _lab_moments(target[n], mask[n], row, want)
        for c, square in ((0, 4), (1, 7), (2, 9)):
            deviation, wanted = math.sqrt(have[square] / have[0]), math.sqrt(want[square] / want[0])
            gain[c] = min(max((wanted + LEAST) / (deviation + LEAST), 1 / MAX_GAIN), MAX_GAIN)
            offset[c] = want[1 + c] - have[1 + c] * gain[c]
        _apply_lab(face[n], gain, offset, row, out[n])


@_jit
def _apply_lab(rgb, gain, offset, row, out):
    k0, k1, k2 = F(gain[0]), F(gain[1]), F(gain[2])
    o0, o1, o2 = F(offset[0]), F(offset[1]), F(offset[2])
    for begin in range(0, rgb.shape[1], CHUNK):  # there and back in one loop would need more registers than there are
        end = min(begin + CHUNK, rgb.shape[1])
        x, y, z = row[0, : end - begin], row[1, : end - begin], row[2, : end - begin]
        _to_lab(rgb[0, begin:end], rgb[1, begin:end], rgb[2, begin:end], x, y, z)
        r, g, b = out[0, begin:end], out[1, begin:end], out[2, begin:end]
        for i in range(end - begin):
            r[i], g[i], b[i] = rgb_from_lab(x[i] * k0 + o0, y[i] * k1 + o1, z[i] * k2 + o2)


# Monge-Kantorovich: T = L^-T Q^T G^T for A = L L^T, B = G G^T and Q the nearest rotation to G^T L, for then
# T A T = L^-T (Q^T (G^T L)) (Q^T (G^T L))^T L^-1 = B. No root of a matrix is taken, and nothing is squared.


@_jit
def _monge_kantorovich(have, want, gain):  # moments; float64 [3, 3], overwritten
    lower, wanted = _cholesky(have), _cholesky(want)
    turned = wanted.T @ lower
    vectors = _orthogonal_columns(turned)
    for c in range(3):
        turned[:, c] /= math.sqrt((turned[:, c] ** 2).sum())
    rest = wanted @ (turned @ vectors.T)  # G Q; T = (G Q L^-1)^T, by substitution from the right
    for c in range(2, -1, -1):
        for k in range(c + 1, 3):
            rest[:, c] -= rest[:, k] * lower[k, c]
        rest[:, c] /= lower[c, c]
    gain[:] = (rest + rest.T) / 2
    vectors = _orthogonal_columns(gain)  # gain's columns: eigenvalue times eigenvector
    values = np.empty(3)
    for c in range(3):
        values[c] = min(max(math.sqrt((gain[:, c] ** 2).sum()), 1 / MAX_GAIN), MAX_GAIN)
    gain[:] = (vectors * values) @ vectors.T


@_jit
def _cholesky(moments):
    """The lower triangle of the covariance, LEAST_DEVIATION added."""
    w, least = moments[0], LEAST_DEVIATION**2
    lower = np.zeros((3, 3))
    lower[0, 0] = math.sqrt(moments[4] / w + least)
    lower[1, 0] = moments[5] / w / lower[0, 0]
    lower[2, 0] = moments[6] / w / lower[0, 0]
    lower[1, 1] = math.sqrt(max(moments[7] / w - lower[1, 0] ** 2, 0.0) + least)
    lower[2, 1] = (moments[8] / w - lower[2, 0] * lower[1, 0]) / lower[1, 1]
    lower[2, 2] = math.sqrt(max(moments[9] / w - lower[2, 0] ** 2 - lower[2, 1] ** 2, 0.0) + least)
    return lower


@_jit
def _orthogonal_columns(matrix):
    """Turns the columns of `matrix` until they are orthogonal (one-sided Jacobi); returns the rotation."""
    vectors = np.eye(3)
    for _ in range(SWEEPS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            pp, qq, pq = (matrix[:, p] ** 2).sum(), (matrix[:, q] ** 2).sum(), (matrix[:, p] * matrix[:, q]).sum()
            if abs(pq) > 1e-300:
                ratio = (qq - pp) / (2 * pq)
                tangent = math.copysign(1.0, ratio) / (abs(ratio) + math.sqrt(1 + ratio * ratio))
                cosine = 1 / math.sqrt(1 + tangent * tangent)
                for columns in (matrix, vectors):
                    for k in range(3):
                        a, b = columns[k, p], columns[k, q]
                        columns[k, p], columns[k, q] = cosine * (a - tangent * b), cosine * (b + tangent * a)
    return vectors


@_jit
def _covariance(face, target, mask, out):
    have, want, gain = np.empty(10), np.empty(10), np.empty((3, 3))
    for n in range(mask.shape[0]):
        _rgb_moments(face[n], mask[n], have)
        if have[0] < LEAST_WEIGHT:
            out[n] = face[n]
            continue
        _rgb_moments(target[n], mask[n], want)
        _monge_kantorovich(have, want, gain)
        _apply_rgb(face[n], gain, want[1:4] - gain @ have[1:4], out[n])


@_jit
def _apply_rgb(rgb, gain, offset, out):
    r, g, b = rgb
    for c in range(3):
        x, y, z, o, row = F(gain[c, 0]), F(gain[c, 1]), F(gain[c, 2]), F(offset[c]), out[c]
        for i in range(r.shape[0]):
            row[i] = min(max(r[i] * x + g[i] * y + b[i] * z + o, F(0)), F(1))


def reinhard(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s] -> [N, 3, s, s]
    return _run(_reinhard, face, target, mask)


def covariance(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # the same
    return _run(_covariance, face, target, mask)


def histogram(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # the same
    return _run(match, face, target, mask)


def _run(method, face: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """As the reference, computed in float32."""
    source, wanted, weights = (x.float().contiguous() for x in (face, target, mask))
    out = torch.empty_like(source)
    method(*(x.numpy() for x in (source.flatten(2), wanted.flatten(2), weights.flatten(1), out.flatten(2))))
    return out.to(face.dtype)
