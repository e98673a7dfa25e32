"""sRGB to CIELAB and back, a pixel at a time, for the other Numba kernels to inline into loops that LLVM vectorises.

No pow and no cbrt: the curves are polynomials, in x or in the fourth root of x, fitted for the least maximal error.
That is 2e-6 (sRGB to linear), 1e-6 (cube root) and 2e-6 (linear to sRGB); there and back stays within 1e-4 of 0..1, a
fortieth of a level of 255. Constants are float32: a float64 among them would widen the loop.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fastswap.kernels.lab.reference import DELTA, XYZ_FROM_RGB

F = np.float32
_M = np.array(XYZ_FROM_RGB)
(_XR, _XG, _XB), (_YR, _YG, _YB), (_ZR, _ZG, _ZB) = ((F(v) for v in row) for row in _M)
(_RX, _RY, _RZ), (_GX, _GY, _GZ), (_BX, _BY, _BZ) = ((F(v) for v in row) for row in np.linalg.inv(_M))
_DELTA, _DELTA3 = F(DELTA), F(DELTA**3)
_SLOPE, _OFFSET = F(3 * DELTA**2), F(4 / 29)
_INVERSE_SLOPE = F(1 / (3 * DELTA**2))

_inline = njit(inline="always", fastmath=True)


@_inline
def linear(x):
    """The linear light of an sRGB value in 0..1."""
    p = F(-0.277564817) + x * F(0.0621646944)
    p = F(0.804599312) + x * (F(-0.663258111) + x * (F(0.544278579) + x * p))
    p = F(0.000870136042) + x * (F(0.0346638349) + x * (F(0.494248075) + x * p))
    return x * F(1 / 12.92) if x <= F(0.04045) else p


@_inline
def curve(t):
    """CIELAB's f: the cube root, by a polynomial in the fourth root, and its tangent near black."""
    z = math.sqrt(math.sqrt(max(t, F(0))))
    p = F(0.70069298) + z * (F(-0.32510106) + z * F(0.0661907363))
    p = F(-0.0108664633) + z * (F(0.467037731) + z * (F(1.01419337) + z * (F(-0.912147308) + z * p)))
    return p if t > _DELTA3 else t * _INVERSE_SLOPE + _OFFSET


@_inline
def inverse_curve(f):
    return f * f * f if f > _DELTA else (f - _OFFSET) * _SLOPE


@_inline
def gamma(x):
    """The sRGB value, 0..1, of linear light, which is clamped to 0..1 first."""
    x = min(max(x, F(0)), F(1))
    z = math.sqrt(math.sqrt(x))
    p = F(0.657165903) + z * (F(-0.318400755) + z * F(0.0682038274))
    p = F(-0.059546718) + z * (F(0.139605501) + z * (F(1.36591432) + z * (F(-0.852940677) + z * p)))
    return x * F(12.92) if x <= F(0.0031308) else min(p, F(1))


@_inline
def lab_from_rgb(r, g, b):
    """L 0..100, a, b of an sRGB colour in 0..1."""
    r, g, b = linear(r), linear(g), linear(b)
    fx = curve(_XR * r + _XG * g + _XB * b)
    fy = curve(_YR * r + _YG * g + _YB * b)
    fz = curve(_ZR * r + _ZG * g + _ZB * b)
    return F(116) * fy - F(16), F(500) * (fx - fy), F(200) * (fy - fz)


@_inline
def rgb_from_lab(lightness, a, b):
    """The sRGB colour, clamped to 0..1, of a CIELAB colour."""
    fy = (lightness + F(16)) * F(1 / 116)
    x = inverse_curve(fy + a * F(1 / 500))
    y = inverse_curve(fy)
    z = inverse_curve(fy - b * F(1 / 200))
    return (
        gamma(_RX * x + _RY * y + _RZ * z),
        gamma(_GX * x + _GY * y + _GZ * z),
        gamma(_BX * x + _BY * y + _BZ * z),
    )
