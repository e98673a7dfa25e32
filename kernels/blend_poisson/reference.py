"""Poisson blending in plain PyTorch.

The discrete Laplacian of a square with zeros round it has the sine waves as its eigenvectors: with S the matrix of the
discrete sine transform (DST-I; orthonormal and symmetric, so that it is its own inverse), the equation

    Laplacian(c) = r      becomes      (S c S)_jk (l_j + l_k) = (S r S)_jk,      l_j = 2 cos(pi j / (n + 1)) - 2.

Four matrix products a channel and a division: no iteration, nothing to converge.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TIE = 1e-4  # 0..1: of two differences that are equal to within this, neither is the stronger one


def blend_poisson(face: Tensor, target: Tensor, mask: Tensor, mode: str) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s]
    dtype = torch.promote_types(face.dtype, torch.float32)
    blended = target.to(dtype, copy=True, memory_format=torch.contiguous_format)
    size = face.shape[-1]
    if size >= 3:
        right_side = source(face.to(dtype), target.to(dtype), mask.to(dtype), mode)
        waves = sine_matrix(size - 2).to(face.device, dtype)
        along = eigenvalues(size - 2).to(face.device, dtype)
        blended[..., 1:-1, 1:-1] += waves @ (waves @ right_side @ waves / (along[:, None] + along)) @ waves
    return blended.clamp(0, 1).to(face.dtype)


def source(face: Tensor, target: Tensor, mask: Tensor, mode: str) -> Tensor:
    """The divergence of what is wanted beyond the target's own differences: [N, 3, s - 2, s - 2]."""
    across = _wanted(face.diff(dim=-1), target.diff(dim=-1), torch.minimum(mask[..., 1:], mask[..., :-1]), mode)
    down = _wanted(face.diff(dim=-2), target.diff(dim=-2), torch.minimum(mask[..., 1:, :], mask[..., :-1, :]), mode)
    return across[..., 1:-1, :].diff(dim=-1) + down[..., 1:-1].diff(dim=-2)


def _wanted(of_face: Tensor, of_target: Tensor, weight: Tensor, mode: str) -> Tensor:
    """v - dt between neighbours, from their differences in face and target."""
    beyond = weight * (of_face - of_target)
    return torch.where(of_face.abs() > of_target.abs() + TIE, beyond, 0) if mode == "mixed" else beyond


def sine_matrix(n: int) -> Tensor:
    """The DST-I of n numbers, orthonormal: float64 [n, n], sqrt(2 / (n + 1)) sin(pi j k / (n + 1)), j and k from 1."""
    k = torch.arange(1, n + 1)
    turns = torch.outer(k, k) % (2 * (n + 1))  # sin of a small angle keeps its last digits
    return math.sqrt(2 / (n + 1)) * torch.sin(turns.double() * (math.pi / (n + 1)))


def eigenvalues(n: int) -> Tensor:
    """Of the second difference of n numbers between zeros: float64 [n], l_k = -4 sin^2(pi k / (2 (n + 1)))."""
    return -4 * torch.sin(torch.arange(1, n + 1, dtype=torch.float64) * (math.pi / (2 * (n + 1)))) ** 2
