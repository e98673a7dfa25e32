"""Poisson blending on the CPU: a sine transform along the rows, tridiagonal equations down the columns.

After a transform along x alone the equation falls apart into one for each wave k, down the columns:

    c[y - 1] + (l_k - 2) c[y] + c[y + 1] = r[y],

which elimination solves in two passes over the plane, all k side by side in one vector (Thomas; its pivots depend on
the size only). This needs two products a channel where transforms both ways need four. Waves of odd number are even
about the middle and the others odd, so that folding each row about its middle halves both products:

    510 x 255 by 255 x 255, eight times... of a face of 512 px: 0.8 GFLOP, in float32, by torch's matrix product.

Lengths such as 511 = 7 x 73 (a 512 px face), 255 or 127 are what fast Fourier transforms are slow at: the transform of
510 rows of 1022 numbers costs more than the folded products. Multigrid needs n + 1 even at each level, which no usual
size has. Both were measured: see the journal. The products obey torch.set_num_threads, the rest is one thread.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.blend_poisson.reference import TIE, eigenvalues, sine_matrix

F = np.float32
_jit = njit(nogil=True, fastmath=True, cache=True)


@_jit
def _wanted(face_p, face_q, target_p, target_q, weight, mixed):
    """v - dt of the reference, from p to its neighbour q."""
    of_face, of_target = face_q - face_p, target_q - target_p
    keep = mixed and not abs(of_face) > abs(of_target) + F(TIE)
    return F(0) if keep else weight * (of_face - of_target)


@_jit
def _source(face, target, mask, mixed, odd, even):  # float32 [s, s] x3 -> [n, (n + 1) // 2], [n, n // 2]
    """The right side, each row folded: sums of pixels that mirror each other for the odd waves, differences for the even."""
    size = mask.shape[0]
    n, half = size - 2, (size - 2) // 2
    above, across, row = np.zeros(size, F), np.empty(size, F), np.empty(size, F)
    for y in range(size - 1):
        for x in range(size - 1):
            weight = min(mask[y, x], mask[y, x + 1])
            across[x] = _wanted(face[y, x], face[y, x + 1], target[y, x], target[y, x + 1], weight, mixed)
        for x in range(1, size - 1):
            weight = min(mask[y, x], mask[y + 1, x])
            below = _wanted(face[y, x], face[y + 1, x], target[y, x], target[y + 1, x], weight, mixed)
            row[x] = across[x] - across[x - 1] + below - above[x]
            above[x] = below
        if y > 0:
            for x in range(half):
                odd[y - 1, x] = row[1 + x] + row[n - x]
            for x in range(half):
                even[y - 1, x] = row[1 + x] - row[n - x]
            if n % 2:
                odd[y - 1, half] = row[1 + half]


@_jit
def _solve_columns(waves, pivots):  # float32 [n, m] each, in place
    rows, columns = waves.shape
    for k in range(columns):
        waves[0, k] *= pivots[0, k]
    for y in range(1, rows):
        for k in range(columns):
            waves[y, k] = (waves[y, k] - waves[y - 1, k]) * pivots[y, k]
    for y in range(rows - 2, -1, -1):
        for k in range(columns):
            waves[y, k] -= pivots[y, k] * waves[y + 1, k]


@_jit
def _finish(odd, even, target, out):  # the correction folded, float32 [s, s] x2
    size = target.shape[0]
    n, half = size - 2, (size - 2) // 2
    for y in range(size):
        for x in range(size):
            out[y, x] = min(max(target[y, x], F(0)), F(1))
    for y in range(1, size - 1):
        for x in range(half):
            out[y, 1 + x] = min(max(target[y, 1 + x] + (odd[y - 1, x] + even[y - 1, x]), F(0)), F(1))
        for x in range(half):
            out[y, n - x] = min(max(target[y, n - x] + (odd[y - 1, x] - even[y - 1, x]), F(0)), F(1))
        if n % 2:
            out[y, 1 + half] = min(max(target[y, 1 + half] + odd[y - 1, half], F(0)), F(1))


def blend_poisson(face: Tensor, target: Tensor, mask: Tensor, mode: str) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s]
    """As the reference, computed in float32, a plane at a time so that it stays in the core's own cache."""
    faces, targets, masks = (x.float().contiguous() for x in (face, target, mask))
    size = face.shape[-1]
    if size < 3:
        return target.clamp(0, 1).contiguous()
    out = torch.empty_like(faces)
    tables = _tables(size - 2)
    right_sides = [torch.empty(size - 2, len(waves)) for waves, _ in tables]
    transformed = [torch.empty_like(right_side) for right_side in right_sides]
    for i in range(len(faces)):
        for c in range(3):
            plane = (faces[i, c].numpy(), targets[i, c].numpy(), masks[i, 0].numpy())
            _source(*plane, mode == "mixed", *(x.numpy() for x in right_sides))
            for (waves, pivots), x, k in zip(tables, right_sides, transformed, strict=True):
                torch.mm(x, waves, out=k)
                _solve_columns(k.numpy(), pivots.numpy())
                torch.mm(k, waves.mT, out=x)
            _finish(*(x.numpy() for x in right_sides), plane[1], out[i, c].numpy())
    return out.to(face.dtype)


@functools.lru_cache(maxsize=4)
def _tables(n: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Of the odd and of the even waves: the sines that fold and unfold, [half, waves], and the pivots, [n, waves]."""
    pivots = torch.empty(n, n, dtype=torch.float64)
    diagonal = eigenvalues(n) - 2
    pivots[0] = 1 / diagonal
    for y in range(1, n):
        pivots[y] = 1 / (diagonal - pivots[y - 1])
    sines = sine_matrix(n)

    def of(first: int, rows: int) -> tuple[Tensor, Tensor]:
        return sines[:rows, first::2].float().contiguous(), pivots[:, first::2].float().contiguous()

    return of(0, (n + 1) // 2), of(1, n // 2)
