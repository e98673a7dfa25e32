"""What the network is judged by. Pictures are float [N, C, H, W] in 0..1, weights float [N, 1, H, W]; each loss is a
scalar, 0 for identical pictures."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

WINDOW = 11
SIGMA = 1.5
_C1 = 0.01**2
_C2 = 0.03**2
_FLOOR = 1e-6
"""Keeps the mean over an empty mask from dividing by zero."""


def weighted_mean(
    values: Tensor,  # [N, C, H, W]
    weight: Tensor,  # [N, 1, H, W]
) -> Tensor:
    """The mean of `values` under `weight`, over the whole batch: a face with a large mask counts for more than one
    with a small one, and none counts where no weight is."""
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp_min(_FLOOR)


def l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean absolute difference."""
    return weighted_mean((output - target).abs(), weight)


def mse(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared difference."""
    return weighted_mean((output - target).square(), weight)


def dssim(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of (1 - SSIM) / 2, SSIM after Wang et al. 2004 (doi 10.1109/TIP.2003.819861): Gaussian window of 11
    pixels and sigma 1.5, K1 = .01, K2 = .03, each channel for itself, windows that lie inside the picture.

    The weight is taken at the window's centre. Pictures smaller than the window raise ValueError."""
    margin = WINDOW // 2
    structure = (1 - similarity_map(output, target)) / 2
    return weighted_mean(structure, weight[..., margin:-margin, margin:-margin])


def similarity_map(output: Tensor, target: Tensor) -> Tensor:
    """The SSIM of each window that lies inside: [N, C, H - 10, W - 10]."""
    if min(output.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW} pixels, got {tuple(output.shape[-2:])}")
    moments = torch.stack((output, target, output.square(), target.square(), output * target))
    mean_o, mean_t, square_o, square_t, product = _blur(moments).unbind(0)
    both = mean_o * mean_t
    power = mean_o.square() + mean_t.square()
    luminance = (2 * both + _C1) / (power + _C1)
    contrast = (2 * (product - both) + _C2) / (square_o + square_t - power + _C2)
    return luminance * contrast


def inside(
    output: Tensor,  # [N, C, H, W]
    target: Tensor,  # [N, C, H, W]
    mask: Tensor,  # [N, 1, H, W]
) -> Tensor:
    """`output` inside the mask and `target` outside of it: a window across the mask's edge then sees only the error
    that is inside, and neither an edge of the mask's own making nor a background that nobody asks for."""
    return torch.lerp(target, output, mask)


def agreement(
    code: Tensor,  # [sides * N, D], side after side; the n-th faces of all sides do about the same thing
    sides: int,
) -> Tensor:
    """How far the codes of faces that do the same lie from their mean, squared, over the variance of codes within a
    side. 0 where they agree.

    A decoder has only learned the codes of its own side. While the codes of A lie elsewhere, B's decoder makes of
    them something that is neither, with A's beard; where they agree it makes B. The gradient goes through the variance
    too: without it the loss is served by codes that shrink until they say nothing (seen at a weight of 0.07)."""
    groups = code.reshape(sides, -1, code.shape[-1])
    apart = (groups - groups.mean(dim=0)).square().sum(dim=-1).mean()
    within = (groups - groups.mean(dim=1, keepdim=True)).square().sum(dim=-1).mean()
    return apart / (within + _FLOOR)


def _blur(x: Tensor) -> Tensor:
    """The Gaussian mean of each window, [..., H, W] -> [..., H - 10, W - 10]. As two products with a banded matrix,
    which on a CPU run several times faster than depthwise convolutions and need no other layout than the
    pictures'."""
    rows = _window_matrix(x.shape[-2], x.device)
    columns = _window_matrix(x.shape[-1], x.device)
    return rows @ (x @ columns.T)


@functools.lru_cache(maxsize=8)
def _window_matrix(size: int, device: torch.device) -> Tensor:
    offset = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    gaussian = torch.exp(-offset.square() / (2 * SIGMA**2))
    matrix = torch.zeros(size - WINDOW + 1, size, dtype=torch.float64)
    for row in range(matrix.shape[0]):
        matrix[row, row : row + WINDOW] = gaussian / gaussian.sum()
    return matrix.float().to(device)
