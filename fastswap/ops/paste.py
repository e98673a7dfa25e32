"""Faces back into frames: N squares into M frames, in place in the native planes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastswap.ops import _matrix, yuv
from fastswap.ops._impl import on_host, resolve, run
from fastswap.ops.planes import Planes


def paste(
    dst: Planes,  # M frames, written
    face: Tensor,  # [N, 3, s, s] rgb, 0..1
    alpha: Tensor,  # [N, 1, s, s], 0..1
    matrix: Tensor,  # [N, 2, 3]: frame px -> face px
    *,
    frame: Tensor | None = None,  # int64 [N]
    impl: str = "auto",
) -> None:
    """Composites N faces into M frames, in place, face n over the faces before it: (1 - alpha) frame + alpha face.

    Convention
        layout: planar RGB in, any float dtype; the frame keeps its layout.
        matrix: maps frame pixel centres (x, y) to face pixel centres, which are integers: the inverse of `warp`'s.
        frame: which frame each face is for; None: face n goes into frame n, and N == M.
        filter: alpha and alpha * face are sampled, so that no colour bleeds in from where alpha is 0. A sample is
            bilinear; where the face shrinks a frame pixel takes n x n taps by the rule of `warp`.
        YUV: the face's colour becomes Y, Cb, Cr by the frame's `Colour`; luma and chroma are composited each at its own
            sample positions, a chroma sample over the two by two luma pixels around its siting.
        padding: outside of the face's square alpha is 0, constant.
        rounding: to the nearest code, halves up; codes keep within their bits, P010's stay multiples of 64.
        matrices: on the CPU, or with the frames. Where they are on the CPU a GPU is not waited for, and only the faces'
            rectangle is visited. While a CUDA graph is captured they are on the GPU; a face that cannot be is left out.

    A sample whose alpha is 0 stays as it is, bit for bit. Implementations differ by at most one code, where a value is
    within rounding of a half. Not differentiable. Raises what `warp` raises. Frames that are not contiguous are written
    through a copy.
    """
    _check(dst, face, alpha, matrix, frame)
    impl = resolve("paste", impl, dst.device)
    _paste(list(dst.data), face, alpha, matrix, frame, *yuv.packed(dst.colour), impl)


def _check(dst: Planes, face: Tensor, alpha: Tensor, matrix: Tensor, frame: Tensor | None) -> None:
    if not (face.is_floating_point() and alpha.is_floating_point()):
        raise TypeError(f"face and alpha are float tensors, got {face.dtype} and {alpha.dtype}")
    count, side = face.shape[0], face.shape[-1]
    expected = (count, 3, side, side), (count, 1, side, side)
    if side == 0 or (tuple(face.shape), tuple(alpha.shape)) != expected:
        raise ValueError(f"face is [N, 3, s, s], alpha [N, 1, s, s], got {tuple(face.shape)}, {tuple(alpha.shape)}")
    if matrix.shape[0] != count:
        raise ValueError(f"a matrix a face: {count} expected, got {matrix.shape[0]}")
    if face.device != dst.device or alpha.device != dst.device:
        raise ValueError(f"face and alpha are on the device of the frames, {dst.device}")
    _matrix.check_shapes(matrix, frame, dst.frames, dst.device)


@torch.library.custom_op("fastswap::paste", mutates_args=("planes",))
def _paste(
    planes: Sequence[Tensor],
    face: Tensor,
    alpha: Tensor,
    matrix: Tensor,
    frame: Tensor | None,
    colour: str,
    full_range: bool,
    siting: Sequence[float],
    impl: str,
) -> None:
    from_rgb = yuv.from_rgb(planes[0].dtype, colour, full_range) if len(planes) == 2 else yuv.LEVELS
    if on_host(impl):
        host = _matrix.host_matrix(matrix)
        which = _matrix.host_frame(frame, planes[0].shape[0], len(host))
        maps = _maps(host, planes, siting)
        taps = [_matrix.tap_counts(_matrix.singular_values(m)[:, 0]) for m in maps]
        boxes = _boxes(maps, planes, face.shape[3])
        run("paste", impl, planes, face, alpha, maps, which, taps, boxes, from_rgb)
    else:
        there, which = _matrix.on_device(matrix, frame, planes[0].shape[0], planes[0].device)
        area = _area(matrix, planes, face.shape[3], siting)
        run("paste", impl, planes, face, alpha, there, which, siting, area, from_rgb)


def _maps(host: Tensor, planes: Sequence[Tensor], siting: Sequence[float]) -> list[Tensor]:
    """For each plane, the maps from its pixels to the face's."""
    return [host, _matrix.chroma_from_frame(host, siting)] if len(planes) == 2 else [host]


def _boxes(maps: Sequence[Tensor], planes: Sequence[Tensor], side: int) -> list[Tensor]:
    """For each plane, the rectangles in its pixels outside of which no sample of the face shows."""
    sizes = [(plane.shape[2], plane.shape[1]) for plane in planes]
    return [_matrix.rectangles(m, side, *size) for m, size in zip(maps, sizes, strict=True)]


def _area(matrix: Tensor, planes: Sequence[Tensor], side: int, siting: Sequence[float]) -> tuple[int, int, int, int]:
    """The part of the frames, in whole chroma samples, that the faces can show in: x0, y0, x1, y1 in frame px.

    All of a frame where the matrices lie on a GPU, as asking for them would wait for it."""
    height, width = planes[0].shape[1:3]
    if matrix.device.type != "cpu":
        return 0, 0, width, height
    boxes = _boxes(_maps(matrix.detach().double(), planes, siting), planes, side)
    joined = torch.cat([box * step for box, step in zip(boxes, (1, 2), strict=False)])
    shown = joined[(joined[:, :2] < joined[:, 2:]).all(1)]
    if not len(shown):
        return 0, 0, 0, 0
    (x0, y0), (x1, y1) = (shown[:, :2].amin(0) // 2 * 2).tolist(), shown[:, 2:].amax(0).tolist()
    return x0, y0, min(x1, width), min(y1, height)


@_paste.register_fake
def _(
    planes: Sequence[Tensor],
    face: Tensor,
    alpha: Tensor,
    matrix: Tensor,
    frame: Tensor | None,
    colour: str,
    full_range: bool,
    siting: Sequence[float],
    impl: str,
) -> None:
    return None
