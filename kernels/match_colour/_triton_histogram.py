"""Colour match by histograms on a GPU, in Triton: three launches, whole numbers throughout, no atomics.

1. `_count`: six programs, one a channel, for each of PARTS parts of a face. A histogram of 256 bins is a matrix
   product: the upper four bits of each level as a one-hot column of 16, times the pixel's weight, by the lower four
   bits as another: [16, px] x [px, 16], on the matrix units where a GPU has them for it (sm_80 on), each warp its own
   pixels. Weights are whole numbers to 255, exact in float16, and a sum of 65,793 of them is exact in float32: no
   atomics, so no contention on a flat face, and the same in every run.
2. `_tables`: a program a face and channel adds the parts, and finds what to add to each of 256 levels: below every bin
   the cumulated weight, by a search among the target's (nine reads of a table of 2 KB, in cache), straight between.
   Both pictures weigh the same, so that cumulated weights compare as whole numbers, without a division.
3. `_map`: a pixel takes two neighbours of its channel's table, and what lies between.

Bytes a pixel in float32: 28 read (the mask five times more from the second cache), then 12 read and 12 written; the
parts are 1 KB a channel each. Operations a pixel: 6 x 32 comparisons and selections for the one-hot rows, an H200's
time for 30 bytes, and their way through shared memory: they should bind the first launch, reads of a cached table the
last.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastswap.kernels.match_colour import reference

PARTS = 32  # of a face, at most, unless it is larger than 32 x MOST
WARPS = tl.constexpr(4)  # each multiplies one-hot rows of its own pixels: a batch of products
ROWS = tl.constexpr(32)  # px of a product: 16 float16 a thread and side; 64 take 246 registers without matrix units
LEAST, MOST = 1024, 65536  # px a program: no less than it has counts; the sum of their weights is exact in float32
BINS = tl.constexpr(reference.BINS)
_EMPTY = tl.constexpr(int(reference.LEAST_WEIGHT) * (reference.BINS - 1))


@triton.jit
def _level(values):
    """The bin of a value in 0..1, int32."""
    return tl.minimum(tl.maximum(values.to(tl.float32) * BINS, 0.0), BINS - 1.0).to(tl.int32)


@triton.jit
def _count(face, target, mask, parts, pixels, rows):
    """face, target [N, 3, pixels], mask [N, pixels] -> parts int32 [N, programs, 6, BINS]; program (6 part + c, n)."""
    n, c = tl.program_id(1).to(tl.int64), tl.program_id(0) % 6
    face, target, mask = face + (n * 3 + c) * pixels, target + (n * 3 + c - 3) * pixels, mask + n * pixels
    digit = tl.arange(0, 16)
    counts = tl.zeros((WARPS, 16, 16), tl.float32)
    first = tl.program_id(0) // 6 * (rows * WARPS * ROWS)
    own = tl.arange(0, WARPS)[:, None] * ROWS + tl.arange(0, ROWS)[None, :]
    for row in range(rows):
        place = first + row * (WARPS * ROWS) + own
        inside = place < pixels
        steps = _level(tl.load(mask + place, inside, 0.0)).to(tl.float32)
        if c < 3:  # noqa: SIM108 (not both loads)
            level = _level(tl.load(face + place, inside, 0.0))
        else:
            level = _level(tl.load(target + place, inside, 0.0))
        upper = tl.where((level >> 4)[:, None, :] == digit[None, :, None], steps[:, None, :], 0.0).to(tl.float16)
        lower = ((level & 15)[:, :, None] == digit[None, None, :]).to(tl.float16)
        counts = tl.dot(upper, lower, counts)
    parts += (n * tl.num_programs(0) + tl.program_id(0)) * BINS
    tl.store(parts + digit[:, None] * 16 + digit[None, :], tl.sum(counts, 0).to(tl.int32))


@triton.jit
def _larger(a, b):
    return tl.maximum(a, b)


@triton.jit
def _smaller(a, b):
    return tl.minimum(a, b)


@triton.jit
def _occupied(counts, bins):
    """The nearest bins that hold something, at or below each and at or above it; at the ends both are the same."""
    before = tl.associative_scan(tl.where(counts > 0, bins, -1), 0, _larger)
    after = tl.associative_scan(tl.where(counts > 0, bins, BINS), 0, _smaller, reverse=True)
    low, high = tl.where(before < 0, after, before), tl.where(after == BINS, before, after)
    return tl.minimum(low, BINS - 1), tl.maximum(high, 0)


@triton.jit
def _tables(parts, scratch, shift, programs):
    """parts -> shift float32 [N, 3, BINS], what to add at the centre of each bin; scratch int64 [N, 3, 3, BINS]."""
    n, c = tl.program_id(1).to(tl.int64), tl.program_id(0)
    bins = tl.arange(0, BINS)
    have, want = tl.zeros((BINS,), tl.int64), tl.zeros((BINS,), tl.int64)
    parts += (n * programs * 6 + c) * BINS + bins
    for _ in range(programs):
        have += tl.load(parts)
        want += tl.load(parts + 3 * BINS)
        parts += 6 * BINS
    below, wanted_below = 2 * tl.cumsum(have, 0) - have, 2 * tl.cumsum(want, 0) - want
    before, after = _occupied(have, bins)
    wanted_before, wanted_after = _occupied(want, bins)
    face = (n * 3 + c) * BINS
    scratch, shift = scratch + 3 * face, shift + face
    tl.store(scratch + bins, wanted_below)
    tl.store(scratch + BINS + bins, wanted_before.to(tl.int64))
    tl.store(scratch + 2 * BINS + bins, wanted_after.to(tl.int64))
    tl.debug_barrier()
    above = tl.zeros((BINS,), tl.int32)  # how many of the target's bins have no more below them: a binary search
    for step in tl.static_range(9):
        tried = above + (256 >> step)
        found = tl.load(scratch + tl.minimum(tried, BINS) - 1) <= below
        above = tl.where((tried <= BINS) & found, tried, above)
    left = tl.load(scratch + BINS + tl.maximum(above - 1, 0))
    right = tl.load(scratch + 2 * BINS + tl.minimum(above, BINS - 1))
    at_left, at_right = tl.load(scratch + left), tl.load(scratch + right)
    part = (below - at_left).to(tl.float32) / tl.maximum(at_right - at_left, 1).to(tl.float32)
    moved = left.to(tl.float32) - bins + tl.minimum(tl.maximum(part, 0.0), 1.0) * (right - left).to(tl.float32)
    tl.store(shift + bins, moved / BINS)
    tl.debug_barrier()
    low, high = tl.load(shift + before), tl.load(shift + after)
    part = (bins - before).to(tl.float32) / tl.maximum(after - before, 1).to(tl.float32)
    moved = low + tl.minimum(tl.maximum(part, 0.0), 1.0) * (high - low)
    tl.debug_barrier()
    tl.store(shift + bins, tl.where(tl.sum(have, 0) < _EMPTY, float("nan"), moved))  # NaN: the face stays


@triton.jit
def _map(face, shift, out, pixels, BLOCK: tl.constexpr):
    """face [N, 3, pixels] -> out, by shift [N, 3, BINS]; program (chunk, plane)."""
    plane = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < pixels
    x = tl.load(face + plane * pixels + place, inside, 0.0).to(tl.float32)
    shift += plane * BINS
    bins = x * BINS - 0.5
    low = tl.minimum(tl.maximum(bins, 0.0), BINS - 2.0).to(tl.int32)
    at_low, at_high = tl.load(shift + low), tl.load(shift + low + 1)
    part = tl.minimum(tl.maximum(bins - low.to(tl.float32), 0.0), 1.0)
    moved = tl.minimum(tl.maximum(x + at_low + part * (at_high - at_low), 0.0), 1.0)
    tl.store(out + plane * pixels + place, tl.where(at_low == at_low, moved, x).to(out.dtype.element_ty), inside)


def histogram(face: Tensor, target: Tensor, mask: Tensor, block: int) -> Tensor:
    """Contiguous [N, 3, s, s] x2, [N, 1, s, s] of one type that the kernels read -> [N, 3, s, s]."""
    out, (count, _, side, _) = torch.empty_like(face), face.shape
    if out.numel():
        pixels = side * side
        once = WARPS.value * ROWS.value
        rows = triton.cdiv(min(max(triton.cdiv(pixels, PARTS), LEAST), MOST), once)
        programs = triton.cdiv(pixels, rows * once)
        parts = torch.empty((count, programs, 6, BINS.value), dtype=torch.int32, device=face.device)
        scratch = torch.empty((count, 3, 3, BINS.value), dtype=torch.int64, device=face.device)
        shift = torch.empty((count, 3, BINS.value), dtype=torch.float32, device=face.device)
        _count[(6 * programs, count)](face, target, mask, parts, pixels, rows, num_warps=WARPS.value)
        _tables[(3, count)](parts, scratch, shift, programs, num_warps=4)
        _map[(triton.cdiv(pixels, block), 3 * count)](face, shift, out, pixels, BLOCK=block, num_warps=4)
    return out
