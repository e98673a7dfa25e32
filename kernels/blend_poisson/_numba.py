"""Poisson blending on the CPU: every second row eliminated, a sine transform along the rows, and equations down them.

With T the tridiagonal matrix (1, -4, 1) the equation of row y is c[y - 1] + T c[y] + c[y + 1] = r[y]. The rows above
and below, less T times this one, leave an equation of every second row alone (one step of cyclic reduction):

    c[y - 2] + (2 - T^2) c[y] + c[y + 2] = r[y - 1] - T r[y] + r[y + 1].

The sine waves are T's eigenvectors too, with l_k - 2. So a transform along x, a product with a fixed matrix, turns that
into one tridiagonal equation for each wave, solved in two passes down the columns, all waves side by side in a vector
(Thomas; the pivots depend on the size only). The rows between follow from T c[y] = r[y] - c[y - 1] - c[y + 1], where
the inverse of T is a short filter: it falls by 3.7 a pixel. (Hockney: A Fast Direct Solution of Poisson's Equation
Using Fourier Analysis, Journal of the ACM 12(1), 1965, does all of this with a Fourier transform.)

Waves of odd number are even about the middle, the others odd: rows folded about their middle halve the products. Left
are 0.4 GFLOP for a face of 512 px, in float32, by torch's matrix product, where transforms of all rows both ways take
3.2. A fast Fourier transform would be no gain: it is slow at lengths such as 511 = 7 x 73 and 127, which is what
pictures of 512 and 128 px have. Products take 5 of 7 ms, and obey torch.set_num_threads; all the rest is one thread.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.blend_poisson.reference import TIE, eigenvalues, sine_matrix

F = np.float32
REACH = 10  # px of the filter that is T's inverse: what is left out is 2e-6 of it
_FALL = 2 - math.sqrt(3)
INVERSE = np.array([-(_FALL**d) / (2 * math.sqrt(3)) for d in range(REACH + 1)], F)
_jit = njit(nogil=True, fastmath=True, cache=True)


@_jit
def _wanted(face_p, face_q, target_p, target_q, weight, mixed):
    """v - dt of the reference, from p to its neighbour q."""
    of_face, of_target = face_q - face_p, target_q - target_p
    keep = mixed and not abs(of_face) > abs(of_target) + F(TIE)
    return F(0) if keep else weight * (of_face - of_target)


@_jit
def _source(face, target, mask, mixed, r):  # float32 [s, s] each; r: the right side, and zeros on the border
    size = mask.shape[0]
    above, across = np.zeros(size, F), np.empty(size, F)
    r[0], r[size - 1], r[:, 0], r[:, size - 1] = F(0), F(0), F(0), F(0)
    for y in range(size - 1):
        for x in range(size - 1):
            weight = min(mask[y, x], mask[y, x + 1])
            across[x] = _wanted(face[y, x], face[y, x + 1], target[y, x], target[y, x + 1], weight, mixed)
        for x in range(1, size - 1):
            weight = min(mask[y, x], mask[y + 1, x])
            below = _wanted(face[y, x], face[y + 1, x], target[y, x], target[y + 1, x], weight, mixed)
            if y > 0:
                r[y, x] = across[x] - across[x - 1] + below - above[x]
            above[x] = below


@_jit
def _fold(r, odd, even):  # [s, s] -> [m, (n + 1) // 2], [m, n // 2]: n = s - 2, and m = n // 2 rows remain
    """The right sides of the rows that remain, 2, 4, ..: sums of pixels that mirror each other, and differences."""
    n, half = r.shape[0] - 2, (r.shape[0] - 2) // 2
    row = np.empty(n + 2, F)
    for i in range(n // 2):
        y = 2 * i + 2
        next_one = F(1 if y < n else 0)  # below the last row is the border, whose equation there is none of
        for x in range(1, n + 1):
            row[x] = r[y - 1, x] + F(4) * r[y, x] - r[y, x - 1] - r[y, x + 1] + next_one * r[y + 1, x]
        for x in range(half):
            odd[i, x] = row[1 + x] + row[n - x]
        for x in range(half):
            even[i, x] = row[1 + x] - row[n - x]
        if n % 2:
            odd[i, half] = row[1 + half]


@_jit
def _solve_columns(waves, pivots):  # float32 [m, k] each, in place
    rows, columns = waves.shape
    for y in range(rows):
        for k in range(columns):
            waves[y, k] = (waves[y, k] - (waves[y - 1, k] if y > 0 else F(0))) * pivots[y, k]
    for y in range(rows - 2, -1, -1):
        for k in range(columns):
            waves[y, k] -= pivots[y, k] * waves[y + 1, k]


@_jit
def _unfold(odd, even, r):
    """Rows 2, 4, .. of the right side become those of the correction."""
    n, half = r.shape[0] - 2, (r.shape[0] - 2) // 2
    for i in range(n // 2):
        y = 2 * i + 2
        for x in range(half):
            r[y, 1 + x] = odd[i, x] + even[i, x]
        for x in range(half):
            r[y, n - x] = odd[i, x] - even[i, x]
        if n % 2:
            r[y, 1 + half] = odd[i, half]


@_jit
def _finish(r, target, out):  # [s, s] each
    """Rows 1, 3, .. of the correction from their neighbours, and all of it onto the target."""
    size = r.shape[0]
    right, c = np.empty(size + 2 * REACH, F), np.zeros(size, F)  # a row of right sides, with what mirrors it
    for y in range(size):
        if y % 2 and y < size - 1:
            for x in range(size):
                right[REACH + x] = r[y, x] - r[y - 1, x] - r[y + 1, x]
            for d in range(1, REACH + 1):  # odd about both borders, where the correction is zero
                right[REACH - d] = -right[REACH + d]
                right[REACH + size - 1 + d] = -right[REACH + size - 1 - d]
            for x in range(1, size - 1):
                total = INVERSE[0] * right[REACH + x]
                for d in range(1, REACH + 1):
                    total += INVERSE[d] * (right[REACH + x - d] + right[REACH + x + d])
                c[x] = total
        else:
            c[:] = r[y]
        for x in range(size):
            out[y, x] = min(max(target[y, x] + c[x], F(0)), F(1))


def blend_poisson(face: Tensor, target: Tensor, mask: Tensor, mode: str) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s]
    """As the reference, computed in float32, a plane at a time so that it stays in the core's own cache."""
    faces, targets, masks = (x.float().contiguous() for x in (face, target, mask))
    size = face.shape[-1]
    if size < 3:
        return target.clamp(0, 1).contiguous()
    out = torch.empty_like(faces)
    right_side = np.empty((size, size), np.float32)
    tables = _tables(size - 2)
    folded = [torch.empty(len(pivots), len(sines)) for sines, pivots in tables]
    waves = [torch.empty_like(x) for x in folded]
    for i in range(len(faces)):
        for c in range(3):
            plane = (faces[i, c].numpy(), targets[i, c].numpy(), masks[i, 0].numpy())
            _source(*plane, mode == "mixed", right_side)
            _fold(right_side, *(x.numpy() for x in folded))
            for (sines, pivots), x, k in zip(tables, folded, waves, strict=True):
                torch.mm(x, sines, out=k)
                _solve_columns(k.numpy(), pivots.numpy())
                torch.mm(k, sines.mT, out=x)
            _unfold(*(x.numpy() for x in folded), right_side)
            _finish(right_side, plane[1], out[i, c].numpy())
    return out.to(face.dtype)


@functools.lru_cache(maxsize=4)
def _tables(n: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Of the odd and of the even waves: the sines that fold and unfold, [half, waves], and the pivots, [m, waves]."""
    of_t = eigenvalues(n) - 2
    diagonal = (2 - of_t**2).repeat(n // 2, 1)
    if n % 2 == 0:
        diagonal[-1] -= 1  # the last row that remains has one neighbour to be rid of, not two
    pivots = torch.empty_like(diagonal)
    for y in range(n // 2):
        pivots[y] = 1 / (diagonal[y] - (pivots[y - 1] if y else 0))
    sines = sine_matrix(n)

    def of(first: int, rows: int) -> tuple[Tensor, Tensor]:
        return sines[:rows, first::2].float().contiguous(), pivots[:, first::2].float().contiguous()

    return of(0, (n + 1) // 2), of(1, n // 2)
