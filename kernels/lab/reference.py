"""sRGB to CIELAB and back in plain PyTorch, any float dtype: what augment and match_colour compute colours in.

Channels lie on axis -3. RGB is 0..1 (sRGB primaries and curve, IEC 61966-2-1); L is 0..100, a and b are about
-128..127, for the D65 white: the CIELAB of OpenCV and of Faceswap.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Linear sRGB to XYZ, each row divided by D65's white (0.950456, 1, 1.088754), so that white is (1, 1, 1).
XYZ_FROM_RGB = (
    (0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754),
)
DELTA = 6 / 29  # CIE 15: below DELTA**3 the cube root is replaced by its tangent


def lab_from_rgb(rgb: Tensor) -> Tensor:  # [..., 3, H, W] -> the same
    """CIELAB of sRGB colours."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    xyz = _mix(torch.tensor(XYZ_FROM_RGB, dtype=torch.float64), linear)
    fx, fy, fz = torch.where(xyz > DELTA**3, xyz.clamp_min(DELTA**3) ** (1 / 3), xyz / (3 * DELTA**2) + 4 / 29).unbind(
        -3
    )
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), -3)


def rgb_from_lab(lab: Tensor) -> Tensor:  # [..., 3, H, W] -> the same
    """sRGB of CIELAB colours, clamped to 0..1 where a colour is outside of what sRGB can show."""
    lightness, a, b = lab.unbind(-3)
    fy = (lightness + 16) / 116
    f = torch.stack((fy + a / 500, fy, fy - b / 200), -3)
    xyz = torch.where(f > DELTA, f**3, (f - 4 / 29) * (3 * DELTA**2))
    linear = _mix(torch.tensor(XYZ_FROM_RGB, dtype=torch.float64).inverse(), xyz).clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def _mix(matrix: Tensor, colour: Tensor) -> Tensor:
    """The 3x3 `matrix` applied to every colour, in the colour's dtype."""
    return torch.einsum("ij,...jhw->...ihw", matrix.to(colour), colour).contiguous()
