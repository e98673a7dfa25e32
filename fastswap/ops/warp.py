"""Crops of frames: N square pictures out of M frames, each by its own matrix, in one pass from the native planes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastswap.ops import _matrix, yuv
from fastswap.ops._impl import kernel, resolve
from fastswap.ops.planes import Colour, Planes

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def warp(
    src: Planes | Tensor,  # M frames, or float [M, C, H, W]
    matrix: Tensor,  # [N, 2, 3]: output px -> frame px
    size: int,  # output px
    *,
    frame: Tensor | None = None,  # int64 [N]
    mean: float = 0.0,
    std: float = 1.0,
    dtype: torch.dtype = torch.float32,
    impl: str = "auto",
) -> Tensor:
    """Cuts N crops out of M frames: [N, 3, size, size] (C for a tensor of C channels), (value - mean) / std.

    Convention
        layout: planar RGB out, 0..1 before mean and std; a float tensor keeps its channels and its range.
        matrix: maps output pixel centres (x, y) to frame pixel centres, which are integers (OpenCV's WARP_INVERSE_MAP).
        frame: which frame each crop reads; None: crop n reads frame n, and N == M.
        taps: a sample is bilinear. Where the matrix shrinks, an output pixel is the mean of n x n samples at
            (k + 1/2) / n - 1/2 from its centre, n = ceil(s) of the larger singular value s, at most 64 (s within a
            thousandth above a whole number counts as that number).
        YUV: the chroma planes are sampled at their own siting and resolution (s / 2, so about half the taps), the means
            of Y, Cb and Cr converted by the frames' `Colour` and clamped to 0..1.
        padding: borders replicate.
        precision: samples and results in float32, rounded to `dtype` at the end.

    Not differentiable. Raises TypeError and ValueError for arguments of another kind or shape, ValueError for a matrix
    that is not finite or cannot be inverted, IndexError for a frame that is not there, and what `resolve` raises.
    Reads the matrices on the host: on a GPU this waits for them.
    """
    planes = list(src.data) if isinstance(src, Planes) else [src]
    _check(planes[0], isinstance(src, Planes), matrix, size, frame, std, dtype)
    impl = resolve("warp", impl, planes[0].device)
    colour = yuv.packed(src.colour if isinstance(src, Planes) else Colour())
    result: Tensor = _warp(planes, matrix, frame, size, *colour, mean, std, dtype, impl)
    return result


def _check(
    first: Tensor, native: bool, matrix: Tensor, size: int, frame: Tensor | None, std: float, dtype: torch.dtype
) -> None:
    if not native and (first.dim() != 4 or not first.is_floating_point()):
        raise ValueError(f"src is Planes or a float tensor [M, C, H, W], got {first.dtype} {tuple(first.shape)}")
    if 0 in first.shape:
        raise ValueError(f"src has no pixels: {tuple(first.shape)}")
    if size < 1:
        raise ValueError(f"size is at least 1 pixel, got {size}")
    if std == 0:
        raise ValueError("std is not 0")
    if dtype not in _DTYPES:
        raise TypeError(f"dtype is one of {_DTYPES}, got {dtype}")
    _matrix.check_shapes(matrix, frame, first.shape[0], first.device)


@torch.library.custom_op("fastswap::warp", mutates_args=())
def _warp(
    planes: Sequence[Tensor],
    matrix: Tensor,
    frame: Tensor | None,
    size: int,
    colour: str,
    full_range: bool,
    siting: Sequence[float],
    mean: float,
    std: float,
    dtype: torch.dtype,
    impl: str,
) -> Tensor:
    host = _matrix.host_matrix(matrix)
    which = _matrix.host_frame(frame, planes[0].shape[0], len(host))
    larger = _matrix.singular_values(host)[:, 0]
    taps = torch.stack([_matrix.tap_counts(larger), _matrix.tap_counts(larger / 2)], dim=1)
    to_rgb = yuv.to_rgb(planes[0].dtype, colour, full_range) if len(planes) == 2 else []
    result: Tensor = kernel("warp", impl).warp(planes, host, which, taps, size, to_rgb, siting, mean, std, dtype)
    return result


@_warp.register_fake
def _(
    planes: Sequence[Tensor],
    matrix: Tensor,
    frame: Tensor | None,
    size: int,
    colour: str,
    full_range: bool,
    siting: Sequence[float],
    mean: float,
    std: float,
    dtype: torch.dtype,
    impl: str,
) -> Tensor:
    planar = len(planes) == 1 and planes[0].is_floating_point()
    channels = planes[0].shape[1] if planar else 3
    return planes[0].new_empty((matrix.shape[0], channels, size, size), dtype=dtype)
