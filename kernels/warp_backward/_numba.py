"""The gradient of `warp` on the CPU: each tap's share goes back to its four pixels, row by row of the crops, in one
fixed order. Places and weights of a row come from the loop of the forward pass; the scatter cannot be vectorised.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.warp._numba import fill_positions, options


@njit(**options)
def _scatter(row, share, step_x, step_y, base, right, down, plane):
    for x in range(row.shape[0]):
        value = row[x] * share
        below = value * down[x]
        above = value - below
        a = base[x]
        b, c = a + step_x, a + step_y
        plane[a] += above - above * right[x]
        plane[b] += above * right[x]
        plane[c] += below - below * right[x]
        plane[c + step_x] += below * right[x]


@njit(cache=True, nogil=True, **options)
def _warp_backward(gradient, matrix, frame, taps, scale, width, height, out):
    """gradient [N, C, size, size], out [M, C, height * width], zeros before."""
    size = gradient.shape[3]
    grid = height, width, 1, height * width
    step_x, step_y = 1 if width > 1 else 0, width if height > 1 else 0
    base, right, down = np.empty(size, np.int64), np.empty(size, np.float32), np.empty(size, np.float32)
    for face in range(gradient.shape[0]):
        n = taps[face, 0]
        share = np.float32(scale / (n * n))
        for tap in range(size * n * n):
            y, i, j = tap // (n * n), tap % n, tap // n % n
            u, v = (i + 0.5) / n - 0.5, y + (j + 0.5) / n - 0.5
            fill_positions(matrix[face], u, v, grid, base, right, down)
            for k in range(gradient.shape[1]):
                _scatter(gradient[face, k, y], share, step_x, step_y, base, right, down, out[frame[face], k])


def warp_backward(
    gradient: Tensor, matrix: Tensor, frame: Tensor, taps: Tensor, shape: Sequence[int], std: float
) -> Tensor:
    """As `reference.warp_backward`."""
    frames, channels, height, width = shape
    out = torch.zeros(frames, channels, height * width)
    where = matrix.numpy(), frame.numpy(), taps.numpy()
    _warp_backward(gradient.detach().float().contiguous().numpy(), *where, 1 / std, width, height, out.numpy())
    return out.view(*shape)
