"""Sharpening on a GPU in one launch: blur, difference, threshold and sum, without an intermediate picture.

A program makes a strip of ROWS rows. It goes through the rows that these look at, blurs each across (2 radius + 1 reads
next to each other, of which all but the first come from L1) and adds it to every row of the strip with the weight of
their distance, zero where that is beyond the radius. A separable blur in two launches would write and read an
intermediate, 20 bytes a value in place of 8 (float32); a sum over the window would read (2 radius + 1)^2 values. Here a
value costs (1 + 2 radius / ROWS) (2 radius + 1) reads of L1, 4 for radius 1 and 12 for 3, and as many multiply-adds
and ROWS + 2 radius more.

Bytes a value: one read and one write, 8 in float32, 4 in float16. Up to radius 2 these should bind, 0.4 us for a face
of 3 x 256 x 256 in float32 on an H200; from radius 3 on the reads of L1.

The weights are exp(f k^2) / sum, one formula for the Gaussian and (f = 0) the box, computed where they are used:
nothing has to be sent to the GPU but scalars, and a CUDA graph can hold the launch.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastswap.kernels.sharpen.reference import SHARE, falloff

BLOCK = 1024  # values a program, of one warp: four columns a thread share the weights of the rows
ROWS = 8  # of them in a column: more share the reads, and cost as many multiply-adds a row that is read


@triton.jit
def _sharpen(
    picture,
    out,
    size,
    strength,
    threshold,
    falloff,  # f in the weight exp(f k^2)
    norm,  # one over the sum of a line's weights
    RADIUS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    across = tl.cdiv(size, COLUMNS)
    strips = tl.cdiv(size, ROWS) * across
    strip = tl.program_id(0) % strips
    plane = (tl.program_id(0) // strips).to(tl.int64) * size * size
    rows, top = tl.arange(0, ROWS), strip // across * ROWS
    x = strip % across * COLUMNS + tl.arange(0, COLUMNS)
    end = size - 1
    blurred = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i in range(-RADIUS, ROWS + RADIUS):
        row = picture + plane + tl.minimum(tl.maximum(top + i, 0), end) * size
        line = tl.zeros((COLUMNS,), tl.float32)
        for k in range(-RADIUS, RADIUS + 1):
            weight = tl.exp(falloff * (k * k)) * norm
            line += weight * tl.load(row + tl.minimum(tl.maximum(x + k, 0), end)).to(tl.float32)
        k = i - rows
        weights = tl.where((k >= -RADIUS) & (k <= RADIUS), tl.exp(falloff * (k * k)) * norm, 0)
        blurred += weights[:, None] * line[None, :]
    y = (top + rows)[:, None]
    valid = (y < size) & (x < size)[None, :]
    place = plane + y * size + x[None, :]
    value = tl.load(picture + place, valid, 0).to(tl.float32)
    d = value - blurred
    d -= tl.minimum(tl.maximum(d, -threshold), threshold)
    sharp = tl.minimum(tl.maximum(value + strength * d, 0), 1)
    tl.store(out + place, sharp.to(out.dtype.element_ty), valid)


def sharpen(picture: Tensor, method: str, amount: float, radius: int, threshold: float) -> Tensor:  # [N, C, s, s]
    """As the reference, computed in float32."""
    picture = picture.contiguous()
    out = torch.empty_like(picture)
    if not picture.numel():
        return out
    size = picture.shape[-1]
    slope = falloff(method, radius)
    norm = 1 / math.fsum(math.exp(slope * k * k) for k in range(-radius, radius + 1))
    columns = min(BLOCK // ROWS, max(triton.next_power_of_2(size), 16))
    grid = (picture.shape[:2].numel() * triton.cdiv(size, ROWS) * triton.cdiv(size, columns),)
    strength, threshold = SHARE[method] * amount, threshold if method == "unsharp" else 0.0
    _sharpen[grid](picture, out, size, strength, threshold, slope, norm, radius, ROWS, columns, num_warps=1)
    return out
