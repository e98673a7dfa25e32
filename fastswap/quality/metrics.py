"""How near one picture comes to another: closed formulas on RGB uint8 pictures [h, w, 3] inside a mask [h, w], 0..1.

All are means weighted by the mask; a mask without weight gives nan.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Mask = NDArray[np.floating]
Array = NDArray[np.float64]

SSIM_SIGMA = 1.5  # Wang et al. 2004: a gaussian window of 11 x 11 px
SSIM_WINDOW = 11
K1, K2 = 0.01, 0.03
STILL = 1e-4  # a track whose deviation is below this does not move: what is left is rounding
BEST_PSNR = 100.0  # dB, what two equal pictures score: finite, so that medians and differences stay numbers
WHITE_D65 = (0.95047, 1.0, 1.08883)
SRGB_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)  # IEC 61966-2-1


def weighted_mean(values: NDArray[np.floating], mask: Mask) -> float:
    """The mean of values [h, w] under the mask."""
    weight = float(mask.sum())
    return float((values * mask).sum() / weight) if weight > 0 else float("nan")


def psnr(one: Picture, other: Picture, mask: Mask) -> float:
    """Peak signal-to-noise ratio in dB, all three channels together."""
    squared = np.square(one.astype(np.float64) - other).mean(axis=2)
    error = weighted_mean(squared, mask)
    if np.isnan(error):
        return error
    return BEST_PSNR if error == 0 else min(BEST_PSNR, float(10 * np.log10(255.0**2 / error)))


def ssim(one: Picture, other: Picture, mask: Mask) -> float:
    """Structural similarity of the luma (BT.601 weights), gaussian window (Wang et al. 2004)."""
    x, y = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64) for picture in (one, other))
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return weighted_mean(top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)), mask)


def _blur(plane: Array) -> Array:
    return np.asarray(
        cv2.GaussianBlur(plane, (SSIM_WINDOW, SSIM_WINDOW), SSIM_SIGMA, borderType=cv2.BORDER_REFLECT_101)
    )


def sharpness(one: Picture, other: Picture, mask: Mask) -> float:
    """The Laplacian energy of `one` over that of `other`: below 1 it is blurred, above 1 noisier."""
    energy = [weighted_mean(np.square(_laplacian(picture)), mask) for picture in (one, other)]
    return energy[0] / energy[1] if energy[1] > 0 else float("nan")


def _laplacian(picture: Picture) -> Array:
    return np.asarray(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_64F))


def gradient(picture: Picture) -> Array:
    """The magnitude of the luma's gradient, levels a px (Sobel / 8): [h, w]."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(np.hypot(*(cv2.Sobel(grey, cv2.CV_64F, dx, 1 - dx, scale=1 / 8) for dx in (0, 1))))


def lab(picture: Picture) -> Array:
    """sRGB uint8 [..., 3] -> CIE 1976 L*a*b* under D65: float64 [..., 3]."""
    linear = _LINEAR[picture] @ np.asarray(SRGB_TO_XYZ).T / np.asarray(WHITE_D65)
    root = np.where(linear > (6 / 29) ** 3, np.cbrt(linear), linear / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _linear_levels() -> Array:
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


_LINEAR = _linear_levels()


def ciede2000(one: Array, other: Array) -> Array:
    """The colour difference dE2000 of L*a*b* values [..., 3] (Sharma, Wu, Dalal 2005, kL = kC = kH = 1): [...]."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(np.asarray(colours, np.float64), -1, 0) for colours in (one, other))
    g = 0.5 * (1 - _chroma_share((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.arctan2(b1, a1) % (2 * np.pi), np.arctan2(b2, a2) % (2 * np.pi)
    grey = c1 * c2 == 0
    turn = np.where(grey, 0, (h2 - h1 + np.pi) % (2 * np.pi) - np.pi)
    # A turn of exactly half a circle keeps the sign of h2 - h1, as the paper's equation 10 has it.
    turn = np.where((h2 - h1 == np.pi) & ~grey, np.pi, turn)
    lightness, chroma, hue = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(turn / 2)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    mean_h = np.where(grey, h1 + h2, _mean_hue(h1, h2))
    t = (
        1 - 0.17 * np.cos(mean_h - np.pi / 6) + 0.24 * np.cos(2 * mean_h)
        + 0.32 * np.cos(3 * mean_h + np.deg2rad(6)) - 0.20 * np.cos(4 * mean_h - np.deg2rad(63))
    )  # fmt: skip
    blue = np.exp(-(((np.rad2deg(mean_h) - 275) / 25) ** 2))
    rotation = -2 * _chroma_share(mean_c) * np.sin(np.deg2rad(60) * blue)
    off = (mean_l - 50) ** 2
    dl = lightness / (1 + 0.015 * off / np.sqrt(20 + off))
    dc, dh = chroma / (1 + 0.045 * mean_c), hue / (1 + 0.015 * mean_c * t)
    return np.asarray(np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0)))


def _chroma_share(chroma: Array) -> Array:
    seventh = chroma**7
    return np.asarray(np.sqrt(seventh / (seventh + 25.0**7)))


def _mean_hue(h1: Array, h2: Array) -> Array:
    total = h1 + h2
    wrapped = np.where(total < 2 * np.pi, total + 2 * np.pi, total - 2 * np.pi)
    return np.where(np.abs(h1 - h2) <= np.pi, total, wrapped) / 2


def correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Pearson's, over the entries that are finite in both: nan of fewer than three or where one stands still."""
    finite = np.isfinite(one) & np.isfinite(other)
    x, y = np.asarray(one, np.float64)[finite], np.asarray(other, np.float64)[finite]
    if len(x) < 3 or min(x.std(), y.std()) < STILL:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
