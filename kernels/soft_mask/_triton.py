"""The soft mask on a GPU, in three launches: scans along lines, the nearest over a bounded window, ramp.

1. `_along` scans each row and each column from both ends for the last crossing of one half: the squared distance to the
   nearest crossing *in the line* costs O(log s) a pixel, however far that is.
2. `_nearest` takes the least of k^2 + that over the lines k px away. Only k^2 < what is known already can win, so a
   tile stops at the root of its worst pixel after k = 0: outside of the mask, where only the smoothing looks, that is
   MARGIN, next to the edge a few px, deep inside `reach`, about 25 px of 256. The exact lower envelope of parabolas
   (Felzenszwalb and Huttenlocher, 2012) is O(1) a pixel, but one thread a line with a stack in memory: hundreds of
   dependent steps in a row, where these reads are independent and mostly few.
3. `_ramp` smooths over nine neighbours, which other programs wrote (hence a launch of its own), and writes alpha.

Bytes a pixel (float32): 4 + 4 read and 8 written, 12 and 4, 4 and 4: 40, of which the mask and alpha, 8, must come from
and go to memory; the rest, three buffers of 4 bytes, a batch of 16 faces of 256 px keeps in an L2 of 50 MB (12.6 MB).
Operations: four reads and about ten instructions for each k, so 100 reads a pixel deep inside and 8 outside. Reads of
L1 should bind the second launch, half a microsecond for a face of 256 px on an H200, and launches a small batch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastswap.kernels.soft_mask.reference import MARGIN, MIN_RAMP

BLOCK = 256  # px a program of the second and third launch: small tiles agree on how far to look
TILE = 32  # of their columns: whole cache lines
LINES = 8  # lines a program of the first launch: of columns, 8 neighbours are one sector of 32 bytes
PIXELS = 4096  # of them at most, so that a program's scans stay in registers: 16 pixels a thread
NOWHERE = tl.constexpr(1e9)  # px: the place of a crossing that does not exist; its square is finite


@triton.jit
def _later(a, b):
    return tl.maximum(a, b)


@triton.jit
def _sooner(a, b):
    return tl.minimum(a, b)


@triton.jit
def _line_distances(mask, out, size, line_step, step, LINES: tl.constexpr, LENGTH: tl.constexpr):
    """Of LINES lines: the squared distance of each pixel to the nearest crossing of one half in its own line."""
    groups = tl.cdiv(size, LINES)
    face = (tl.program_id(0) // groups).to(tl.int64) * size * size
    line = (tl.program_id(0) % groups * LINES + tl.arange(0, LINES))[:, None]
    x = tl.arange(0, LENGTH)[None, :]
    inside = (line < size) & (x < size)
    place = mask + face + line * line_step
    here = tl.load(place + x * step, inside, 0).to(tl.float32)
    before = tl.load(place + (x - 1) * step, inside & (x > 0), 0).to(tl.float32)
    after = tl.load(place + (x + 1) * step, inside & (x + 1 < size), 0).to(tl.float32)
    entered = inside & (x > 0) & ((before >= 0.5) != (here >= 0.5))
    left = inside & (x + 1 < size) & ((here >= 0.5) != (after >= 0.5))
    at = tl.where(entered, x - 1 + (0.5 - before) / tl.where(entered, here - before, 1), -NOWHERE)
    last = tl.associative_scan(at, 1, _later)
    at = tl.where(left, x + (0.5 - here) / tl.where(left, after - here, 1), NOWHERE)
    following = tl.associative_scan(at, 1, _sooner, reverse=True)
    d = tl.minimum(x - last, following - x)
    tl.store(out + face + line * line_step + x * step, d * d, inside)


@triton.jit
def _along(mask, rows, columns, size, LINES: tl.constexpr, LENGTH: tl.constexpr):
    if tl.program_id(1) == 0:
        _line_distances(mask, rows, size, size, 1, LINES, LENGTH)
    else:
        _line_distances(mask, columns, size, 1, size, LINES, LENGTH)


@triton.jit
def _tile(size, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """Where a program's face begins, and its pixels' y and x, some of them past the border."""
    across = tl.cdiv(size, WIDTH)
    tiles = tl.cdiv(size, HEIGHT) * across
    tile = tl.program_id(0) % tiles
    y = (tile // across * HEIGHT + tl.arange(0, HEIGHT))[:, None]
    x = (tile % across * WIDTH + tl.arange(0, WIDTH))[None, :]
    return (tl.program_id(0) // tiles).to(tl.int64) * size * size, y, x


@triton.jit
def _nearest(mask, rows, columns, out, size, inner, outer, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """The signed distance, at most `inner` inside of the mask and `outer` outside: what the ramp can tell apart."""
    face, y, x = _tile(size, HEIGHT, WIDTH)
    valid = (y < size) & (x < size)
    place = face + y * size + x
    positive = tl.load(mask + place, valid, 0).to(tl.float32) >= 0.5
    limit = tl.where(positive, inner, outer)
    best = tl.minimum(tl.load(rows + place, valid, 0), tl.load(columns + place, valid, 0))
    best = tl.where(valid, tl.minimum(best, limit * limit), 0)
    end = size - 1
    last = tl.minimum(tl.ceil(tl.sqrt(tl.max(best))).to(tl.int32), end)
    y, x = tl.minimum(y, end), tl.minimum(x, end)
    row, line = face + y * size, face + x
    for k in range(1, last + 1):  # a place past the border stands for the border itself, k too far away: it never wins
        vertical = tl.minimum(
            tl.load(rows + line + tl.maximum(y - k, 0) * size), tl.load(rows + line + tl.minimum(y + k, end) * size)
        )
        horizontal = tl.minimum(
            tl.load(columns + row + tl.maximum(x - k, 0)), tl.load(columns + row + tl.minimum(x + k, end))
        )
        best = tl.minimum(best, tl.minimum(vertical, horizontal) + k * k)
    distance = tl.sqrt(best)
    tl.store(out + place, tl.where(positive, distance, -distance), valid)


@triton.jit
def _smoothed_row(distance, x, end):
    """(1 2 1) / 4 along a row that starts at `distance`."""
    before = tl.load(distance + tl.maximum(x - 1, 0))
    after = tl.load(distance + tl.minimum(x + 1, end))
    return 0.25 * (before + 2 * tl.load(distance + x) + after)


@triton.jit
def _ramp(distance, out, size, erode, border, slope, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """The smooth step over the smoothed distance from the eroded edge or from the square's border."""
    face, y, x = _tile(size, HEIGHT, WIDTH)
    valid = (y < size) & (x < size)
    end = size - 1
    y, x = tl.minimum(y, end), tl.minimum(x, end)
    above = _smoothed_row(distance + face + tl.maximum(y - 1, 0) * size, x, end)
    here = _smoothed_row(distance + face + y * size, x, end)
    below = _smoothed_row(distance + face + tl.minimum(y + 1, end) * size, x, end)
    smoothed = 0.25 * (above + 2 * here + below)
    margin = tl.minimum(tl.minimum(x, end - x), tl.minimum(y, end - y)).to(tl.float32)
    t = tl.minimum(smoothed - erode, margin - border) * slope
    t = tl.minimum(tl.maximum(t, 0), 1)
    alpha = t * t * (3 - 2 * t)
    tl.store(out + face + y * size + x, alpha.to(out.dtype.element_ty), valid)


def soft_mask(mask: Tensor, erode: float, feather: float) -> Tensor:  # [N, 1, s, s] -> the same
    """As the reference, computed in float32."""
    mask = mask.contiguous()
    out = torch.empty_like(mask)
    faces, _, size, _ = mask.shape
    if not faces:
        return out
    ramp = max(feather, MIN_RAMP)
    rows, columns, distance = torch.empty((3, *mask.shape), dtype=torch.float32, device=mask.device)
    length = max(triton.next_power_of_2(size), 16)
    lines = max(min(LINES, PIXELS // length), 1)
    warps = max(lines * length // 512, 4)
    _along[faces * triton.cdiv(size, lines), 2](mask, rows, columns, size, lines, length, num_warps=warps)
    height = max(BLOCK // TILE, 1)
    grid = (faces * triton.cdiv(size, height) * triton.cdiv(size, TILE),)
    inner, outer = max(erode + ramp, 0.0) + MARGIN, max(-erode, 0.0) + MARGIN
    _nearest[grid](mask, rows, columns, distance, size, inner, outer, height, TILE)
    _ramp[grid](distance, out, size, erode, max(erode, 0.0), 1 / ramp, height, TILE)
    return out
