"""Monge-Kantorovich's 3x3 map in Triton, on scalars of one program: about 1,000 operations in float32.

For the covariances A = L L^T and B = G G^T (Cholesky) and the rotation Q nearest to G^T L, T = L^-T Q^T G^T maps A
onto B: T A T^T = L^-T (Q^T G^T L)^2 L^-1 = L^-T (L^T B L) L^-1 = B, since Q^T G^T L is the root of L^T G G^T L. The
usual formula, A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2, squares what it roots, and would lose in float32 every direction in
which a face varies less than 1/60 of its main one; here nothing is squared. Q, and the eigenvalues that are bounded in
the end, come from one-sided Jacobi rotations, which keep the small columns' digits. A 3x3 matrix is a tuple of nine,
by rows.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastswap.kernels.match_colour import reference

SWEEPS = tl.constexpr(5)  # of three rotations each; columns are orthogonal to float32's last digits after four
_LEAST = tl.constexpr(reference.LEAST_DEVIATION**2)
_MAX_GAIN = tl.constexpr(reference.MAX_GAIN)


@triton.jit
def monge_kantorovich(a, b):
    """The map from covariance a to b, its gains within 1/MAX_GAIN..MAX_GAIN: symmetric, as six: 00 01 02 11 12 22.
    a, b: covariances, in the same order."""
    l00, l10, l20, l11, l21, l22 = _cholesky(a)
    g00, g10, g20, g11, g21, g22 = _cholesky(b)
    m0, m3, m6 = g00 * l00 + g10 * l10 + g20 * l20, g11 * l10 + g21 * l20, g22 * l20  # G^T L
    m1, m4, m7 = g10 * l11 + g20 * l21, g11 * l11 + g21 * l21, g22 * l21
    m, v = _orthogonal_columns((m0, m1, g20 * l22, m3, m4, g21 * l22, m6, m7, g22 * l22))
    s0, s1, s2 = 1 / _lengths(m)[0], 1 / _lengths(m)[1], 1 / _lengths(m)[2]
    u = (m[0] * s0, m[1] * s1, m[2] * s2, m[3] * s0, m[4] * s1, m[5] * s2, m[6] * s0, m[7] * s1, m[8] * s2)
    q = _times_transposed(u, v)
    x0, x1, x2 = g00 * q[0], g00 * q[1], g00 * q[2]  # X = G Q; T = (X L^-1)^T by substitution, from the last column
    x3, x4, x5 = g10 * q[0] + g11 * q[3], g10 * q[1] + g11 * q[4], g10 * q[2] + g11 * q[5]
    x6 = g20 * q[0] + g21 * q[3] + g22 * q[6]
    x7 = g20 * q[1] + g21 * q[4] + g22 * q[7]
    x8 = g20 * q[2] + g21 * q[5] + g22 * q[8]
    x2, x5, x8 = x2 / l22, x5 / l22, x8 / l22
    x1, x4, x7 = (x1 - x2 * l21) / l11, (x4 - x5 * l21) / l11, (x7 - x8 * l21) / l11
    x0 = (x0 - x1 * l10 - x2 * l20) / l00
    x3 = (x3 - x4 * l10 - x5 * l20) / l00
    x6 = (x6 - x7 * l10 - x8 * l20) / l00
    t1, t2, t5 = (x1 + x3) / 2, (x2 + x6) / 2, (x5 + x7) / 2
    return _bounded((x0, t1, t2, t1, x4, t5, t2, t5, x8))


@triton.jit
def _bounded(t):
    """A symmetric, positive matrix, its eigenvalues bounded: its turned columns are eigenvalue times eigenvector."""
    m, v = _orthogonal_columns(t)
    k0, k1, k2 = _lengths(m)
    k0 = tl.minimum(tl.maximum(k0, 1 / _MAX_GAIN), _MAX_GAIN)
    k1 = tl.minimum(tl.maximum(k1, 1 / _MAX_GAIN), _MAX_GAIN)
    k2 = tl.minimum(tl.maximum(k2, 1 / _MAX_GAIN), _MAX_GAIN)
    w = (v[0] * k0, v[1] * k1, v[2] * k2, v[3] * k0, v[4] * k1, v[5] * k2, v[6] * k0, v[7] * k1, v[8] * k2)
    t = _times_transposed(w, v)
    return t[0], t[1], t[2], t[4], t[5], t[8]


@triton.jit
def _cholesky(a):
    """The lower triangle of a covariance with LEAST_DEVIATION^2 added, by columns."""
    l00 = tl.sqrt(a[0] + _LEAST)
    l10, l20 = a[1] / l00, a[2] / l00
    l11 = tl.sqrt(tl.maximum(a[3] - l10 * l10, 0.0) + _LEAST)
    l21 = (a[4] - l20 * l10) / l11
    return l00, l10, l20, l11, l21, tl.sqrt(tl.maximum(a[5] - l20 * l20 - l21 * l21, 0.0) + _LEAST)


@triton.jit
def _orthogonal_columns(m):
    """m with its columns turned until they are orthogonal, and the rotation: m V and V."""
    zero, one = m[0] * 0, m[0] * 0 + 1
    m0, m1, m2, m3, m4, m5, m6, m7, m8 = m
    v0, v1, v2, v3, v4, v5, v6, v7, v8 = one, zero, zero, zero, one, zero, zero, zero, one
    for _ in range(SWEEPS):
        c, t = _rotation(m0, m3, m6, m1, m4, m7)
        m0, m1, m3, m4, m6, m7 = _turned(m0, m1, m3, m4, m6, m7, c, t)
        v0, v1, v3, v4, v6, v7 = _turned(v0, v1, v3, v4, v6, v7, c, t)
        c, t = _rotation(m0, m3, m6, m2, m5, m8)
        m0, m2, m3, m5, m6, m8 = _turned(m0, m2, m3, m5, m6, m8, c, t)
        v0, v2, v3, v5, v6, v8 = _turned(v0, v2, v3, v5, v6, v8, c, t)
        c, t = _rotation(m1, m4, m7, m2, m5, m8)
        m1, m2, m4, m5, m7, m8 = _turned(m1, m2, m4, m5, m7, m8, c, t)
        v1, v2, v4, v5, v7, v8 = _turned(v1, v2, v4, v5, v7, v8, c, t)
    return (m0, m1, m2, m3, m4, m5, m6, m7, m8), (v0, v1, v2, v3, v4, v5, v6, v7, v8)


@triton.jit
def _rotation(p0, p1, p2, q0, q1, q2):
    """Cosine and tangent of the turn after which two columns are orthogonal (Rutishauser's smaller angle)."""
    across = p0 * q0 + p1 * q1 + p2 * q2
    ratio = (q0 * q0 + q1 * q1 + q2 * q2 - p0 * p0 - p1 * p1 - p2 * p2) / tl.where(across == 0, 1.0, 2 * across)
    tangent = tl.where(ratio < 0, -1.0, 1.0) / (tl.abs(ratio) + tl.sqrt(1 + ratio * ratio))
    tangent = tl.where(across == 0, 0.0, tangent)
    return 1 / tl.sqrt(1 + tangent * tangent), tangent


@triton.jit
def _turned(p0, q0, p1, q1, p2, q2, c, t):
    return (
        c * (p0 - t * q0),
        c * (q0 + t * p0),
        c * (p1 - t * q1),
        c * (q1 + t * p1),
        c * (p2 - t * q2),
        c * (q2 + t * p2),
    )


@triton.jit
def _lengths(m):
    """Of the columns."""
    k0 = tl.sqrt(m[0] * m[0] + m[3] * m[3] + m[6] * m[6])
    k1 = tl.sqrt(m[1] * m[1] + m[4] * m[4] + m[7] * m[7])
    return k0, k1, tl.sqrt(m[2] * m[2] + m[5] * m[5] + m[8] * m[8])


@triton.jit
def _times_transposed(a, b):
    """a b^T."""
    c0, c1 = a[0] * b[0] + a[1] * b[1] + a[2] * b[2], a[0] * b[3] + a[1] * b[4] + a[2] * b[5]
    c2, c3 = a[0] * b[6] + a[1] * b[7] + a[2] * b[8], a[3] * b[0] + a[4] * b[1] + a[5] * b[2]
    c4, c5 = a[3] * b[3] + a[4] * b[4] + a[5] * b[5], a[3] * b[6] + a[4] * b[7] + a[5] * b[8]
    c6, c7 = a[6] * b[0] + a[7] * b[1] + a[8] * b[2], a[6] * b[3] + a[7] * b[4] + a[8] * b[5]
    return c0, c1, c2, c3, c4, c5, c6, c7, a[6] * b[6] + a[7] * b[7] + a[8] * b[8]
