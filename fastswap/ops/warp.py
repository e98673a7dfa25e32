"""Crops of frames: N square pictures out of M frames, each by its own matrix, in one pass from the native planes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastswap.ops import _matrix, yuv
from fastswap.ops._impl import on_host, resolve, run
from fastswap.ops.planes import Colour, Planes

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_TRITON_ATOMICS = (7, 0)  # the least compute capability
_LONGEST_SIDE, _LARGEST_CROP, _REACH = 1 << 22, 1 << 15, 1 << 31


def warp(
    src: Planes | Tensor,  # M frames, or float [M, C, H, W]
    matrix: Tensor,  # [N, 2, 3]: output px -> frame px
    size: int,  # output px
    *,
    frame: Tensor | None = None,  # int64 [N]
    mean: float = 0.0,
    std: float = 1.0,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
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
        precision: samples and results in float32, rounded to `dtype` at the end. Places are float64 on the CPU; a GPU's
            kernels place pixels to 1e-5 px at scales up to 2, and count n from a float32 s.
        channels_last: the memory format of the result; its shape is the same.

    Differentiable in a float src, any number of times: the result is linear in it. There is no gradient for `matrix`:
    what it was computed from learns nothing through `warp`. "triton" and "cupy" add the gradient up with atomics, in an
    order that changes from run to run: under `torch.use_deterministic_algorithms(True)` they raise RuntimeError, as
    PyTorch's own grid sampler does; "reference" on a GPU does what `index_add_` does. "triton" has no gradient
    on a P100 (RuntimeError).

    Raises TypeError and ValueError for arguments of another kind or shape, ValueError for a matrix that is not finite
    or maps everything onto a line, IndexError for a frame that is not there, and what `resolve` raises. Matrices and
    frames on a GPU are waited for, to be checked; while a CUDA graph is captured they cannot be, and such a face gives
    zeros.
    """
    planes = list(src.data) if isinstance(src, Planes) else [src]
    _check(planes[0], isinstance(src, Planes), matrix, size, frame, std, dtype)
    impl = resolve("warp", impl, planes[0].device)
    if not on_host(impl):
        _check_addresses(planes[0], size)
    colour = yuv.packed(src.colour if isinstance(src, Planes) else Colour())
    result: Tensor = _warp(planes, matrix, frame, size, *colour, mean, std, dtype, channels_last, impl)
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


def _check_addresses(first: Tensor, size: int) -> None:
    """Within a plane and within a crop's channel, the kernels of a GPU count in 32 bits and place in float32."""
    height, width = first.shape[2:] if first.is_floating_point() else first.shape[1:3]
    steps = first.stride()[2:] if first.is_floating_point() else first.stride()[1:3]
    reach = (height - 1) * steps[0] + width * max(steps[1], 1)
    if max(height, width) > _LONGEST_SIDE or reach >= _REACH or size > _LARGEST_CROP:
        raise ValueError(
            f"on a GPU sides are at most {_LONGEST_SIDE} px, planes {_REACH} samples, crops {_LARGEST_CROP} px: "
            f"got frames of {width} x {height} and a crop of {size}"
        )


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
    channels_last: bool,
    impl: str,
) -> Tensor:
    to_rgb = yuv.to_rgb(planes[0].dtype, colour, full_range) if len(planes) == 2 else []
    where = _where(matrix, frame, planes[0].shape[0], planes[0].device, impl)
    result: Tensor = run("warp", impl, planes, *where, size, to_rgb, siting, mean, std, dtype, channels_last)
    return result


def _where(
    matrix: Tensor, frame: Tensor | None, frames: int, device: torch.device, impl: str
) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]:
    """Matrices and frames as an implementation takes them; on the CPU also taps [N, 2], the picture's and chroma's."""
    if not on_host(impl):
        return _matrix.on_device(matrix, frame, frames, device)
    host = _matrix.host_matrix(matrix)
    larger = _matrix.singular_values(host)[:, 0]
    taps = torch.stack([_matrix.tap_counts(larger), _matrix.tap_counts(larger / 2)], dim=1)
    return host, _matrix.host_frame(frame, frames, len(host)), taps


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
    channels_last: bool,
    impl: str,
) -> Tensor:
    channels = planes[0].shape[1] if planes[0].is_floating_point() else 3
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = matrix.shape[0], channels, size, size
    return torch.empty(shape, dtype=dtype, device=planes[0].device, memory_format=layout)


@torch.library.custom_op("fastswap::warp_backward", mutates_args=())
def _warp_backward(
    gradient: Tensor,  # [N, C, size, size], of the crops
    matrix: Tensor,
    frame: Tensor | None,
    shape: Sequence[int],  # of the source: M, C, H, W
    std: float,
    dtype: torch.dtype,  # of the source
    impl: str,
) -> Tensor:  # [M, C, H, W], contiguous
    if not on_host(impl):
        _alert_not_deterministic(impl)
    if impl == "triton" and gradient.is_cuda and torch.cuda.get_device_capability(gradient.device) < _TRITON_ATOMICS:
        raise RuntimeError("Triton's atomics do not compile for this GPU: for a gradient use impl='reference'")
    where = _where(matrix, frame, shape[0], gradient.device, impl)
    result: Tensor = run("warp_backward", impl, gradient, *where, shape, std)
    return result.to(dtype)


@_warp_backward.register_fake
def _(
    gradient: Tensor,
    matrix: Tensor,
    frame: Tensor | None,
    shape: Sequence[int],
    std: float,
    dtype: torch.dtype,
    impl: str,
) -> Tensor:
    return gradient.new_empty(shape, dtype=dtype)


def _alert_not_deterministic(impl: str) -> None:
    """What PyTorch does for its own operations whose result depends on the order of atomics."""
    if not torch.are_deterministic_algorithms_enabled():
        return
    said = f"the gradient of warp by {impl!r} is added up with atomics and not deterministic; use impl='reference'"
    if not torch.is_deterministic_algorithms_warn_only_enabled():
        raise RuntimeError(f"{said}, or torch.use_deterministic_algorithms(False)")
    warnings.warn(said, stacklevel=2)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    planes, matrix, frame, _size, _colour, _full_range, _siting, _mean, std, _dtype, _last, impl = inputs
    ctx.save_for_backward(matrix, frame)
    ctx.shape, ctx.dtype, ctx.std, ctx.impl = tuple(planes[0].shape), planes[0].dtype, std, impl
    ctx.planes = len(planes)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    matrix, frame = ctx.saved_tensors
    of_src = None
    if ctx.dtype.is_floating_point:
        of_src = _warp_backward(gradient, matrix, frame, ctx.shape, ctx.std, ctx.dtype, ctx.impl)
    return [of_src, *[None] * (ctx.planes - 1)], *[None] * 11


def _save_of_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    gradient, matrix, frame, _shape, std, _dtype, impl = inputs
    ctx.save_for_backward(matrix, frame)
    ctx.size, ctx.dtype, ctx.std, ctx.impl = gradient.shape[-1], gradient.dtype, std, impl


def _backward_of_backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    """The adjoint of the adjoint: the crop itself, without its mean."""
    matrix, frame = ctx.saved_tensors
    colour = yuv.packed(Colour())
    crop = _warp([gradient], matrix, frame, ctx.size, *colour, 0.0, ctx.std, ctx.dtype, False, ctx.impl)
    return crop, *[None] * 6


_warp.register_autograd(_backward, setup_context=_save)
_warp_backward.register_autograd(_backward_of_backward, setup_context=_save_of_backward)
