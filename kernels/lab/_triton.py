"""sRGB to CIELAB and back, a pixel at a time, for the other Triton kernels to call: float32 in, float32 out.

The curves are those of `_numba.py`: polynomials in x or in its fourth root. A power by exp2 and log2 takes twice the
instructions (log2 is libdevice's polynomial, and the interpreter has no libdevice), while a square root is one
instruction of the special-function units, which run beside the rest. Compiled, a pixel takes 140 instructions there and
back, 12 of them square roots. Errors are `_numba.py`'s: 2e-6 a curve, within 1e-4 of 0..1 there and back.

Constants stand on the right of a product: the interpreter makes no tensor of `constexpr * tensor`.
"""

from __future__ import annotations

import numpy as np
import triton
import triton.language as tl

from fastswap.kernels.lab.reference import DELTA, XYZ_FROM_RGB

_M = np.array(XYZ_FROM_RGB)
_XR, _XG, _XB, _YR, _YG, _YB, _ZR, _ZG, _ZB = (tl.constexpr(float(v)) for v in _M.flat)
_RX, _RY, _RZ, _GX, _GY, _GZ, _BX, _BY, _BZ = (tl.constexpr(float(v)) for v in np.linalg.inv(_M).flat)
_DELTA, _DELTA3 = tl.constexpr(DELTA), tl.constexpr(DELTA**3)
_SLOPE, _OFFSET = tl.constexpr(3 * DELTA**2), tl.constexpr(4 / 29)
_INVERSE_SLOPE = tl.constexpr(1 / (3 * DELTA**2))


@triton.jit
def linear(x):
    """The linear light of an sRGB value in 0..1."""
    p = -0.277564817 + x * 0.0621646944
    p = 0.804599312 + x * (-0.663258111 + x * (0.544278579 + x * p))
    p = 0.000870136042 + x * (0.0346638349 + x * (0.494248075 + x * p))
    return tl.where(x <= 0.04045, x * (1 / 12.92), p)


@triton.jit
def curve(t):
    """CIELAB's f, t >= 0: the cube root, by a polynomial in the fourth root, and its tangent near black."""
    z = tl.sqrt(tl.sqrt(t))
    p = 0.70069298 + z * (-0.32510106 + z * 0.0661907363)
    p = -0.0108664633 + z * (0.467037731 + z * (1.01419337 + z * (-0.912147308 + z * p)))
    return tl.where(t > _DELTA3, p, t * _INVERSE_SLOPE + _OFFSET)


@triton.jit
def inverse_curve(f):
    return tl.where(f > _DELTA, f * f * f, (f - _OFFSET) * _SLOPE)


@triton.jit
def gamma(x):
    """The sRGB value, 0..1, of linear light, which is clamped to 0..1 first."""
    x = tl.minimum(tl.maximum(x, 0.0), 1.0)
    z = tl.sqrt(tl.sqrt(x))
    p = 0.657165903 + z * (-0.318400755 + z * 0.0682038274)
    p = -0.059546718 + z * (0.139605501 + z * (1.36591432 + z * (-0.852940677 + z * p)))
    return tl.where(x <= 0.0031308, x * 12.92, tl.minimum(p, 1.0))


@triton.jit
def curves_from_rgb(r, g, b):
    """f of X, Y and Z of an sRGB colour in 0..1: L, a and b are linear in them."""
    r, g, b = linear(r), linear(g), linear(b)
    fx = curve(r * _XR + g * _XG + b * _XB)
    fy = curve(r * _YR + g * _YG + b * _YB)
    return fx, fy, curve(r * _ZR + g * _ZG + b * _ZB)


@triton.jit
def rgb_from_curves(fx, fy, fz):
    """The sRGB colour, clamped to 0..1, of f of X, Y and Z."""
    x, y, z = inverse_curve(fx), inverse_curve(fy), inverse_curve(fz)
    r = gamma(x * _RX + y * _RY + z * _RZ)
    g = gamma(x * _GX + y * _GY + z * _GZ)
    return r, g, gamma(x * _BX + y * _BY + z * _BZ)


@triton.jit
def lab_from_rgb(r, g, b):
    """L 0..100, a, b of an sRGB colour in 0..1."""
    fx, fy, fz = curves_from_rgb(r, g, b)
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@triton.jit
def rgb_from_lab(lightness, a, b):
    """The sRGB colour, clamped to 0..1, of a CIELAB colour."""
    fy = (lightness + 16) * (1 / 116)
    return rgb_from_curves(fy + a * (1 / 500), fy, fy - b * (1 / 200))
