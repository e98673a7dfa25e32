"""The gradient of `warp` on a GPU, in Triton: the tiles of the forward pass, each pixel's gradient added to the four
pixels of each of its taps.

Bytes a pixel and channel at scale 1: the gradient's 2 or 4 once, and 4 x 8 of read-modify-write in the second cache:
four atomic additions, which should bind the kernel. They add up in float32 in an order that changes from run to run;
gathering, which would not, needs for every source pixel all the crops that reach it, and border pixels collect whatever
lies outside.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastswap.kernels.affine._triton import WIDTH, corner_of, face_of, placed, tap_count, tile, tiles_of

BLOCK = 256  # pixels a program takes in one step
_WARPS = 4


@triton.jit
def _backward_kernel(
    gradient, matrix, frame, out, frames, channels, height, width, face_step, channel_step, row_step, column_step,
    size, tiles_across, tiles, scale, BLOCK: tl.constexpr,
):  # fmt: skip
    n, x, y, rows, u, v = tile(size, tiles_across, tiles, BLOCK)
    m, which, larger, usable = face_of(matrix, frame, frames, n)
    corner, taps = corner_of(m, x, y), tap_count(larger)
    apart, end = 1.0 / taps, tl.where(usable, rows, 0)
    gradient += n * face_step + (y + v) * row_step + (x + u) * column_step
    out += which * channels * height * width
    for step in range(0, end, BLOCK // WIDTH):
        inside = (x + u < size) & (v + step < end)
        for j in range(taps):
            for i in range(taps):
                at_u, at_v = u + ((i + 0.5) * apart - 0.5), v + step + ((j + 0.5) * apart - 0.5)
                left, right, after = placed(corner[0], corner[1], m[0], m[1], at_u, at_v, width)
                top, down, below = placed(corner[2], corner[3], m[3], m[4], at_u, at_v, height)
                for k in range(channels):
                    c = tl.cast(k, tl.int64)
                    value = tl.load(gradient + c * channel_step + step * row_step, mask=inside, other=0.0)
                    value = value.to(tl.float32) * (apart * apart * scale)
                    a = out + c * height * width + top * width + left
                    b = a + below * width
                    tl.atomic_add(a, value * (1 - right) * (1 - down), mask=inside, sem="relaxed")
                    tl.atomic_add(a + after, value * right * (1 - down), mask=inside, sem="relaxed")
                    tl.atomic_add(b, value * (1 - right) * down, mask=inside, sem="relaxed")
                    tl.atomic_add(b + after, value * right * down, mask=inside, sem="relaxed")


def warp_backward(gradient: Tensor, matrix: Tensor, frame: Tensor, shape: Sequence[int], std: float) -> Tensor:
    """As `reference.warp_backward`, but that the kernel counts the taps, and takes its matrices on the device."""
    out = torch.zeros(*shape, device=gradient.device)
    if len(matrix):
        size = gradient.shape[-1]
        across, tiles = tiles_of(size, BLOCK)
        numbers = *shape, *gradient.stride(), size, across, tiles, 1 / std
        grid = (len(matrix) * tiles,)
        _backward_kernel[grid](gradient, matrix, frame, out, *numbers, BLOCK=BLOCK, num_warps=_WARPS)
    return out
