"""Colour match on a GPU, in Triton: two launches for reinhard and covariance, three for histogram (a file of its own).

1. `_moments`: PARTS programs a face and picture read it and the mask once, a chunk of BLOCK px at a time, and keep
   weight, means, and sums of products about the means: of CIELAB in registers (reinhard) or of RGB (covariance). A
   chunk is summed about its own mean and merged with those before it (Chan, Golub, LeVeque 1979), so that a small
   deviation on a large mean keeps its digits. What a program found, ten floats, goes to its own place: no atomics, the
   same in every run. One program for both pictures would save a read of the mask, which the second cache holds; it
   took 90 registers a thread where this takes 64, and spilled on sm_100.
2. `_apply`: every program merges the 32 parts of its face again (2.4 KB from the second cache; a sum over a warp's
   width is five shuffles), finds gain and offset, and maps its pixels. That saves a launch between the two, which
   below about 16 faces would cost more than this.

Bytes a pixel in float32: 32 read by the first, 12 read and 12 written by the second (which needs no mask); half of
that in half precision. Operations a pixel: reinhard 120, and 12 square roots on the special-function units, for both
conversions there, then 60 + 12 there and back; covariance 40 and 20. So covariance should be bound by memory, reinhard
in float32 by memory and in half precision by its arithmetic.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastswap.kernels.lab._triton import lab_from_rgb, rgb_from_lab
from fastswap.kernels.match_colour import _triton_histogram, reference
from fastswap.kernels.match_colour._triton_transport import monge_kantorovich

BLOCK = 1024  # px of a chunk: eight a thread, 16 bytes of half precision
_WARPS = 4
PARTS = tl.constexpr(32)  # programs at most, a picture and launch
_VALUES = 10  # of a part of a picture: weight, three means, and 00 01 02 11 12 22
_MAX_GAIN, _LEAST = tl.constexpr(reference.MAX_GAIN), tl.constexpr(reference.LEAST)
_LEAST_WEIGHT = tl.constexpr(reference.LEAST_WEIGHT)
_TYPES = (torch.float32, torch.float16, torch.bfloat16)


@triton.jit
def _colours(picture, place, inside, pixels, LAB: tl.constexpr):
    """Three channels of a chunk, float32, in CIELAB or RGB."""
    r = tl.load(picture + place, inside, 0.0).to(tl.float32)
    g = tl.load(picture + pixels + place, inside, 0.0).to(tl.float32)
    b = tl.load(picture + 2 * pixels + place, inside, 0.0).to(tl.float32)
    if LAB:
        r, g, b = lab_from_rgb(r, g, b)
    return r, g, b


@triton.jit
def _about_mean(x, y, z, m, total, LAB: tl.constexpr):
    """A chunk's three means and six sums of products about them, of which reinhard needs no mixed ones."""
    share = 1 / tl.maximum(total, 1e-30)
    mx, my, mz = tl.sum(x * m, 0) * share, tl.sum(y * m, 0) * share, tl.sum(z * m, 0) * share
    x, y, z = x - mx, y - my, z - mz
    xx, yy, zz = tl.sum(m * x * x, 0), tl.sum(m * y * y, 0), tl.sum(m * z * z, 0)
    if LAB:
        xy, xz, yz = total * 0, total * 0, total * 0
    else:
        xy, xz, yz = tl.sum(m * x * y, 0), tl.sum(m * x * z, 0), tl.sum(m * y * z, 0)
    return mx, my, mz, xx, xy, xz, yy, yz, zz


@triton.jit
def _merged(a, b, weight, total):
    """Of what has been seen, of `weight`, and a chunk of weight `total`."""
    part = total / tl.maximum(weight + total, 1e-30)
    both = weight * part
    x, y, z = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    xx, xy, xz = a[3] + b[3] + both * x * x, a[4] + b[4] + both * x * y, a[5] + b[5] + both * x * z
    yy, yz, zz = a[6] + b[6] + both * y * y, a[7] + b[7] + both * y * z, a[8] + b[8] + both * z * z
    return a[0] + part * x, a[1] + part * y, a[2] + part * z, xx, xy, xz, yy, yz, zz


@triton.jit
def _moments(face, target, mask, parts, pixels, chunks, LAB: tl.constexpr, BLOCK: tl.constexpr):
    """face, target [N, 3, pixels], mask [N, pixels] -> parts [N, 2, 10, PARTS]; program (2 part + picture, n)."""
    n, part, picture = tl.program_id(1).to(tl.int64), tl.program_id(0) // 2, tl.program_id(0) % 2
    face, target, mask = face + n * 3 * pixels, target + n * 3 * pixels, mask + n * pixels
    weight = part.to(tl.float32) * 0
    seen = (weight, weight, weight, weight, weight, weight, weight, weight, weight)
    for chunk in range(chunks):
        place = (part * chunks + chunk) * BLOCK + tl.arange(0, BLOCK)
        inside = place < pixels
        m = tl.load(mask + place, inside, 0.0).to(tl.float32)
        total = tl.sum(m, 0)
        if picture == 0:
            x, y, z = _colours(face, place, inside, pixels, LAB)
        else:
            x, y, z = _colours(target, place, inside, pixels, LAB)
        seen = _merged(seen, _about_mean(x, y, z, m, total, LAB), weight, total)
        weight += total
    parts += (n * 2 + picture) * (10 * PARTS) + part
    tl.store(parts, weight)
    for i in tl.static_range(9):
        tl.store(parts + (1 + i) * PARTS, seen[i])


@triton.jit
def _row(parts, VALUE: tl.constexpr):
    """One value of all parts of a face, 0 for those that a small face has not."""
    i = tl.arange(0, PARTS)
    return tl.load(parts + VALUE * PARTS + i, i < tl.num_programs(0), 0.0)


@triton.jit
def _picture(parts, w, share):
    """Means and covariances of one picture out of its parts; w: the parts' weights [PARTS], share: 1 / their sum."""
    x, y, z = _row(parts, 1), _row(parts, 2), _row(parts, 3)
    mx, my, mz = tl.sum(w * x, 0) * share, tl.sum(w * y, 0) * share, tl.sum(w * z, 0) * share
    x, y, z = x - mx, y - my, z - mz
    xx, xy = tl.sum(_row(parts, 4) + w * x * x, 0), tl.sum(_row(parts, 5) + w * x * y, 0)
    xz, yy = tl.sum(_row(parts, 6) + w * x * z, 0), tl.sum(_row(parts, 7) + w * y * y, 0)
    yz, zz = tl.sum(_row(parts, 8) + w * y * z, 0), tl.sum(_row(parts, 9) + w * z * z, 0)
    return (mx, my, mz), (xx * share, xy * share, xz * share, yy * share, yz * share, zz * share)


@triton.jit
def _gain(have, want):
    """Reinhard's, from two variances."""
    gain = (tl.sqrt(want) + _LEAST) / (tl.sqrt(have) + _LEAST)
    return tl.minimum(tl.maximum(gain, 1 / _MAX_GAIN), _MAX_GAIN)


@triton.jit
def _apply(face, parts, out, pixels, chunks, LAB: tl.constexpr, BLOCK: tl.constexpr):
    """face [N, 3, pixels], parts -> out, as face; program (part, n)."""
    n = tl.program_id(1).to(tl.int64)
    face, out, parts = face + n * 3 * pixels, out + n * 3 * pixels, parts + n * (20 * PARTS)
    w = _row(parts, 0)
    weight = tl.sum(w, 0)
    share = 1 / tl.maximum(weight, _LEAST_WEIGHT)
    mean, have = _picture(parts, w, share)
    wanted, want = _picture(parts + 10 * PARTS, w, share)
    if LAB:
        k00, k11, k22 = _gain(have[0], want[0]), _gain(have[3], want[3]), _gain(have[5], want[5])
    else:
        k00, k01, k02, k11, k12, k22 = monge_kantorovich(have, want)
    for chunk in range(chunks):
        place = (tl.program_id(0) * chunks + chunk) * BLOCK + tl.arange(0, BLOCK)
        inside = place < pixels
        x, y, z = _colours(face, place, inside, pixels, LAB)
        x, y, z = x - mean[0], y - mean[1], z - mean[2]
        if LAB:
            r, g, b = rgb_from_lab(x * k00 + wanted[0], y * k11 + wanted[1], z * k22 + wanted[2])
        else:
            r = x * k00 + y * k01 + z * k02 + wanted[0]
            g = x * k01 + y * k11 + z * k12 + wanted[1]
            b = x * k02 + y * k12 + z * k22 + wanted[2]
        if weight < _LEAST_WEIGHT:
            r, g, b = _colours(face, place, inside, pixels, False)
        else:
            r, g, b = _clamped(r), _clamped(g), _clamped(b)
        tl.store(out + place, r.to(out.dtype.element_ty), inside)
        tl.store(out + pixels + place, g.to(out.dtype.element_ty), inside)
        tl.store(out + 2 * pixels + place, b.to(out.dtype.element_ty), inside)


@triton.jit
def _clamped(x):
    return tl.minimum(tl.maximum(x, 0.0), 1.0)


def reinhard(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s] -> [N, 3, s, s]
    return _by_moments(face, target, mask, lab=True)


def covariance(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # the same
    return _by_moments(face, target, mask, lab=False)


def histogram(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # the same
    return _triton_histogram.histogram(*(_stored(x) for x in (face, target, mask)), BLOCK).to(face.dtype)


def _by_moments(face: Tensor, target: Tensor, mask: Tensor, lab: bool) -> Tensor:
    source, wanted, weights = (_stored(x) for x in (face, target, mask))
    out, pixels = torch.empty_like(source), mask[0, 0].numel() if len(mask) else 0
    if out.numel():
        parts = torch.empty((len(mask), 2, _VALUES, PARTS.value), dtype=torch.float32, device=face.device)
        chunks = triton.cdiv(pixels, PARTS.value * BLOCK)
        used, count = triton.cdiv(pixels, chunks * BLOCK), len(mask)
        chosen = {"LAB": lab, "BLOCK": BLOCK, "num_warps": _WARPS}
        _moments[(2 * used, count)](source, wanted, weights, parts, pixels, chunks, **chosen)
        _apply[(used, count)](source, parts, out, pixels, chunks, **chosen)
    return out.to(face.dtype)


def _stored(picture: Tensor) -> Tensor:
    """Contiguous, of a type that the kernels read: float64 becomes float32."""
    return (picture if picture.dtype in _TYPES else picture.float()).contiguous()
