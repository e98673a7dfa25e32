"""How far the structure of a picture is from what it should be: SSIM (Wang et al. 2004, doi
10.1109/TIP.2003.819861; K1 = .01, K2 = .03, each channel for itself, windows that lie inside the picture) and its form
on several scales (Wang, Simoncelli, Bovik 2003, doi 10.1109/ACSSC.2003.1292216).

Computed from the sum s and the difference d of the two pictures, of which
    1 - luminance = mean(d)^2 / ((mean(s)^2 + mean(d)^2) / 2 + C1)
    1 - contrast  = var(d)    / ((var(s)    + var(d))    / 2 + C2)
That takes the means of four pictures where the textbook takes five, gives exactly 0 for identical pictures, and no
small variance is left as the difference of two large numbers, so that matrix products in TF32 are exact enough."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional

from fastswap.training.losses.reconstruction import weighted_mean

WINDOW = 11
_SIGMA = 1.5 / WINDOW
"""Of the Gaussian, in windows."""
_C1 = 0.01**2
_C2 = 0.03**2
_TWO_WINDOWS_FROM = 256
_WINDOWS = (1 / 11.6, 1 / 23.2)
"""Shares of the picture's side."""
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The exponents of Wang, Simoncelli and Bovik, from the full size on."""
_LEAST_CONTRAST = 0.01
"""A power of something below 0 is not a number, and its slope at 0 has no bound."""


def windows(size: int) -> tuple[int, ...]:
    """The sides of the windows that `dssim` is taken with for pictures of `size` pixels: 11, and from 256 px on two,
    1/11.6 and 1/23.2 of the picture as DeepFaceLab's, each the nearest odd number (256: 23 and 11; 512: 45 and 23).
    DeepFaceLab's Gaussian keeps a sigma of 1.5 px in both, so that they see nearly the same; here it grows with the
    window."""
    if size < _TWO_WINDOWS_FROM:
        return (WINDOW,)
    return tuple(2 * int(share * size / 2) + 1 for share in _WINDOWS)


def scales(size: int) -> int:
    """On how many scales `ms_ssim` sees pictures of `size` pixels: as many as the window fits, 5 at most (64 px: 3,
    96: 4, 256: 5). Raises ValueError where it does not fit the full size."""
    if size < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW} pixels, got {size}")
    return sum(size >> scale >= WINDOW for scale in range(len(_SCALES)))


def dssim(
    output: Tensor,  # [n, C, H, W]
    target: Tensor,  # [n, C, H, W]
    weight: Tensor,  # [n, 1, H, W]
    total: Tensor | None = None,  # [], of the windows' weight: `crop`
    *,
    window: int = WINDOW,
) -> Tensor:
    """Weighted mean of (1 - SSIM) / 2 of each window, by the weight at its centre. Pictures smaller than the window
    raise ValueError."""
    if min(output.shape[-2:]) < window:
        raise ValueError(f"SSIM needs pictures of at least {window} pixels, got {tuple(output.shape[-2:])}")
    luminance, contrast = _unlikeness(output + target, output - target, window)
    structure = (luminance + contrast - luminance * contrast) / 2
    return weighted_mean(structure, crop(weight, window), total)


def crop(
    weight: Tensor,  # [n, 1, H, W]
    window: int,
) -> Tensor:
    """The weight at the centres of the windows that lie inside: [n, 1, H - window + 1, W - window + 1]."""
    margin = window // 2
    return weight[..., margin:-margin, margin:-margin]


def ms_ssim(
    output: Tensor,  # [n, C, H, W]
    target: Tensor,  # [n, C, H, W]
    weight: Tensor,  # [n, 1, H, W]
) -> Tensor:
    """1 - MS-SSIM, the mean over the examples. Of each example the weighted means of contrast on all scales and of
    luminance on the last, as powers, are multiplied; each scale is the mean of 2 x 2 pixels of the one before. Where
    the window fits fewer than five times the exponents of those that are left are made to sum up to 1. An example
    without weight costs nothing. Raises ValueError for pictures smaller than the window."""
    count = scales(min(output.shape[-2:]))
    both, apart = output + target, output - target
    product: Tensor | None = None
    for scale, exponent in enumerate(_SCALES[:count]):
        if scale:
            both, apart, weight = (functional.avg_pool2d(x, 2) for x in (both, apart, weight))
        luminance, likeness = _unlikeness(both, apart, WINDOW)
        if scale == count - 1:
            likeness = luminance + likeness - luminance * likeness
        mean = (1 - _example_mean(likeness, crop(weight, WINDOW))).clamp_min(_LEAST_CONTRAST)
        power = mean ** (exponent / sum(_SCALES[:count]))
        product = power if product is None else product * power
    assert product is not None
    return 1 - product.mean()


def _example_mean(
    values: Tensor,  # [n, C, H, W]
    weight: Tensor,  # [n, 1, H, W]
) -> Tensor:
    """The weighted mean of each example: [n]."""
    sums = (values * weight).sum(dim=(1, 2, 3))
    return sums / (weight.sum(dim=(1, 2, 3)) * values.shape[1]).clamp_min(1e-6)


def _unlikeness(
    both: Tensor,  # [..., H, W]: output + target
    apart: Tensor,  # [..., H, W]: output - target
    window: int,
) -> tuple[Tensor, Tensor]:
    """1 - luminance and 1 - contrast (with structure) of each window that lies inside."""
    centred = both - 1  # a variance is the same about every point, and has the least rounding about the middle
    mean_both, mean_apart = _blur(centred, window), _blur(apart, window)
    power_apart = mean_apart.square()
    variance_both = _blur(centred.square(), window) - mean_both.square()
    variance_apart = _blur(apart.square(), window) - power_apart
    luminance = power_apart / (((mean_both + 1).square() + power_apart) / 2 + _C1)
    contrast = variance_apart / ((variance_both + variance_apart) / 2 + _C2)
    return luminance, contrast


def _blur(x: Tensor, window: int) -> Tensor:
    """The Gaussian mean of each window, [..., H, W] -> [..., H - window + 1, W - window + 1]. As two products with a
    banded matrix, which on a CPU run several times faster than depthwise convolutions, take as long for a large window
    as for a small one, and need no other layout than the pictures'."""
    rows = _window_matrix(x.shape[-2], window, x.device, x.dtype)
    columns = _window_matrix(x.shape[-1], window, x.device, x.dtype)
    return rows @ (x @ columns.T)


@functools.cache  # without a bound: a captured graph reads these matrices for as long as it lives
def _window_matrix(size: int, window: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    offset = torch.arange(window, dtype=torch.float64) - window // 2
    gaussian = torch.exp(-offset.square() / (2 * (_SIGMA * window) ** 2))
    matrix = torch.zeros(size - window + 1, size, dtype=torch.float64)
    for row in range(matrix.shape[0]):
        matrix[row, row : row + window] = gaussian / gaussian.sum()
    return matrix.to(device, dtype)
