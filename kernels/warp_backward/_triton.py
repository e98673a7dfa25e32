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

from fastswap.kernels.affine._triton import WIDTH, face_of, origin, placed, tap_count, tile

BLOCK = 512  # pixels a program
_WARPS = 4


@triton.jit
def _backward_kernel(
    gradient, matrix, frame, out, frames, channels, height, width, face_step, channel_step, row_step, column_step,
    size, tiles_across, tiles, scale, BLOCK: tl.constexpr,
):  # fmt: skip
    n, x, y, u, v = tile(size, tiles_across, tiles, BLOCK)
    m, which, larger, usable = face_of(matrix, frame, frames, n)
    whole_x, rest_x = origin(m[0], m[1], m[2], x, y)
    whole_y, rest_y = origin(m[3], m[4], m[5], x, y)
    taps = tap_count(larger)
    apart = 1.0 / taps
    end = tl.where(usable, size, 0)
    inside = (x + u < end) & (y + v < end)
    gradient += n * face_step + (y + v) * row_step + (x + u) * column_step
    out += which * channels * height * width
    for j in range(taps):
        for i in range(taps):
            at_u, at_v = u + ((i + 0.5) * apart - 0.5), v + ((j + 0.5) * apart - 0.5)
            left, right, after = placed(whole_x, rest_x, m[0], m[1], at_u, at_v, width)
            top, down, below = placed(whole_y, rest_y, m[3], m[4], at_u, at_v, height)
            first = out + top * width + left
            for k in range(channels):
                c = tl.cast(k, tl.int64)
                value = tl.load(gradient + c * channel_step, mask=inside, other=0.0).to(tl.float32)
                value *= apart * apart * scale
                a = first + c * height * width
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
        across = triton.cdiv(size, WIDTH.value)
        tiles = across * triton.cdiv(size, BLOCK // WIDTH.value)
        numbers = *shape, *gradient.stride(), size, across, tiles, 1 / std
        with torch.cuda.device_of(out):
            grid = (len(matrix) * tiles,)
            _backward_kernel[grid](gradient, matrix, frame, out, *numbers, BLOCK=BLOCK, num_warps=_WARPS)
    return out
