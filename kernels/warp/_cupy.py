"""`warp` on a GPU, in CUDA C: how warp.cu is launched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fastswap.kernels.cuda._cupy import TYPES, launch

_TILE, _BLOCK = 32, (32, 8)  # as affine.cuh has them


def warp(
    planes: Sequence[Tensor],
    matrix: Tensor,  # [N, 2, 3] float32, on the device
    frame: Tensor,  # int64 [N], on the device
    size: int,
    to_rgb: Sequence[float],
    siting: Sequence[float],
    mean: float,
    std: float,
    dtype: torch.dtype,
    channels_last: bool,
) -> Tensor:
    """As `reference.warp`, but that the kernels count the taps."""
    planar, count = planes[0].is_floating_point(), len(matrix)
    channels = planes[0].shape[1] if planar else 3
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = count, channels, size, size
    out = torch.empty(shape, dtype=dtype, device=planes[0].device, memory_format=layout)
    across = -(-size // _TILE)
    steps = (1, channels) if channels_last else (size * size, 1)
    where = size, across, across * across, np.int64(steps[0]), steps[1]
    scale, shift, given = 1 / std, -mean / std, (matrix, frame, out)
    grid, types = (count * across * across,), {"OUT": TYPES[dtype]}
    if planar:
        src = planes[0] if planes[0].dtype in TYPES else planes[0].float()
        numbers = *src.shape, *map(np.int64, src.stride()[:2]), *src.stride()[2:], *where, scale, shift
        types["SRC"] = TYPES[src.dtype]
        launch("warp/warp.cu", "warp_float", grid, _BLOCK, src, *given, *numbers, defines=types)
    elif len(planes) == 2:
        luma, chroma = _dense(planes[0]), _pairs(planes[1])
        numbers = *luma.shape, *_pitch(luma), *_pitch(chroma), *siting, *where, scale, shift, *to_rgb
        if luma.itemsize == 2:
            types |= {"SAMPLE": "unsigned short", "PAIR": "unsigned"}
        launch("warp/warp.cu", "warp_yuv", grid, _BLOCK, luma, chroma, *given, *numbers, defines=types)
    else:
        src = _dense(planes[0])
        numbers = *src.shape[:3], *_pitch(src), *where, scale / 255, shift
        launch("warp/warp.cu", "warp_rgb", grid, _BLOCK, src, *given, *numbers, defines=types)
    return out


def _pitch(plane: Tensor) -> tuple[np.int64, int]:
    """Samples from frame to frame and from row to row."""
    return np.int64(plane.stride(0)), plane.stride(1)


def _dense(plane: Tensor) -> Tensor:
    """[M, H, W, ...] whose rows are without gaps; rows and frames may have some, as a decoder's pitch makes them."""
    return plane if plane[:1, :1].is_contiguous() else plane.contiguous()


def _pairs(chroma: Tensor) -> Tensor:
    """[M, h, w, 2] as [M, h, w] of samples twice as wide, so that Cb and Cr are one load."""
    whole = chroma[:1, :1].is_contiguous() and not any(step % 2 for step in chroma.stride()[:2])
    if not whole or chroma.storage_offset() % 2 or chroma.data_ptr() % (2 * chroma.itemsize):
        chroma = chroma.clone(memory_format=torch.contiguous_format)
    return chroma.view(torch.int32 if chroma.itemsize == 2 else torch.int16).squeeze(-1)
