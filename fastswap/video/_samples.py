"""Between the frames of PyAV and native planes, sample by sample.

8-bit 4:2:0 becomes NV12 by interleaving chroma, 10-bit 4:2:0 P010 by a shift: both exact, both ways. Whatever else
there is goes through swscale to the nearest of these (or to RGB), without touching matrix or range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastswap.ops.planes import Colour, Layout, Planes

_P010_SHIFT = 6
_EXACT_8 = frozenset({"yuv420p", "yuvj420p", "yuva420p", "nv12", "gray"})
_EXACT_10 = frozenset({"yuv420p10le", "yuva420p10le", "p010le", "gray10le"})
_EXACT_RGB = frozenset(
    {"rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "rgb0", "bgr0", "0rgb", "0bgr", "gbrp", "gbrap", "pal8"}
)
_FULL_RANGE = frozenset({"yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p", "yuvj411p"})
_NEUTRAL = 128

Samples = NDArray[Any]  # uint8 or uint16


def layout_of(frame: Any) -> Layout:  # av.VideoFrame
    """The native layout nearest to the frame's format."""
    if frame.format.is_rgb or frame.format.has_palette:
        return "rgb"
    return "p010" if max(c.bits for c in frame.format.components) > 8 else "nv12"


def is_exact(frame: Any) -> bool:
    """Whether every sample of the frame stands in its native layout as it is."""
    return frame.format.name in _EXACT_8 | _EXACT_10 | _EXACT_RGB


def is_full_range(frame: Any) -> bool:
    """Whether the samples are full range: by the tag, or by the format's name, which FFmpeg uses for JPEG's range."""
    return bool(frame.color_range == 2 or frame.format.name in _FULL_RANGE)


def horizontally_subsampled(frame: Any) -> bool:
    """Whether chroma has fewer columns than luma."""
    return bool(frame.format.chroma_width(frame.width) < frame.width)


def from_av(frame: Any, colour: Colour, layout: Layout) -> Planes:
    """The samples of one av.VideoFrame, copied, as planes of one frame in `layout`."""
    if layout == "rgb":
        pixels = _plane(_reformat(frame, "rgb24", colour), 0, np.uint8, 3)
        return Planes("rgb", (_tensor(pixels.copy()),), colour)
    exact = _EXACT_10 if layout == "p010" else _EXACT_8
    if frame.format.name not in exact:
        frame = _reformat(frame, "yuv420p10le" if layout == "p010" else "yuv420p", colour)
    return Planes(layout, tuple(_tensor(plane) for plane in _read(frame, layout)), colour)


def _read(frame: Any, layout: Layout) -> tuple[Samples, Samples]:
    import cv2

    name, dtype = frame.format.name, np.uint16 if layout == "p010" else np.uint8
    shift = _P010_SHIFT if layout == "p010" and name != "p010le" else 0
    luma = np.left_shift(_plane(frame, 0, dtype), shift) if shift else _plane(frame, 0, dtype).copy()
    if name in ("nv12", "p010le"):
        return luma, _plane(frame, 1, dtype, 2).copy()
    size = -(-frame.height // 2), -(-frame.width // 2)
    if name.startswith("gray"):
        return luma, np.full((*size, 2), _NEUTRAL << 8 if layout == "p010" else _NEUTRAL, dtype)
    chroma: Samples = cv2.merge([_plane(frame, 1, dtype), _plane(frame, 2, dtype)])
    if shift:
        np.left_shift(chroma, shift, out=chroma)
    return luma, chroma


def _plane(frame: Any, index: int, dtype: type[np.uint8] | type[np.uint16], channels: int = 1) -> Samples:
    """A view of one plane without its padding: [rows, columns] or [rows, columns, channels]."""
    plane = frame.planes[index]
    rows, columns = _size(frame, index)
    samples = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:rows].view(dtype)[:, : columns * channels]
    return samples.reshape(rows, columns, channels) if channels > 1 else samples


def _size(frame: Any, index: int) -> tuple[int, int]:
    if index == 0:
        return frame.height, frame.width
    return frame.format.chroma_height(frame.height), frame.format.chroma_width(frame.width)


def _reformat(frame: Any, name: str, colour: Colour) -> Any:
    from av.video.reformatter import ColorRange, Colorspace

    spaces = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709, "bt2020": Colorspace.BT2020}
    space = spaces[colour.matrix]
    if name == "rgb24" and frame.format.name in _EXACT_RGB:
        return frame.reformat(format=name)
    yuv = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
    source = ColorRange.JPEG if frame.format.is_rgb else yuv
    target = ColorRange.JPEG if name == "rgb24" else yuv
    return frame.reformat(
        format=name, src_colorspace=space, dst_colorspace=space, src_color_range=source, dst_color_range=target
    )


def _tensor(samples: Samples) -> torch.Tensor:
    return torch.from_numpy(samples).unsqueeze(0)


def to_av(planes: Planes) -> Any:  # av.VideoFrame
    """One frame of native planes as an av.VideoFrame: yuv420p, yuv420p10le or rgb24, sample for sample."""
    from av import VideoFrame

    name = {"nv12": "yuv420p", "p010": "yuv420p10le", "rgb": "rgb24"}[planes.layout]
    frame = VideoFrame(planes.width, planes.height, name)
    first, *rest = (plane[0].cpu().numpy() for plane in planes.data)
    if planes.layout == "rgb":
        _plane(frame, 0, np.uint8, 3)[:] = first
        return frame
    channels = [first, rest[0][..., 0], rest[0][..., 1]]
    for index, samples in enumerate(channels):
        if planes.layout == "p010":
            np.right_shift(samples, _P010_SHIFT, out=_plane(frame, index, np.uint16))
        else:
            _plane(frame, index, np.uint8)[:] = samples
    return frame


def in_place(planes: Planes) -> Any:  # av.VideoFrame
    """One frame of nv12 or p010, of even size, on the CPU, as an av.VideoFrame in the same memory: for encoders that
    are done with a frame, or have copied it, when `encode` returns."""
    from av import VideoFrame

    return VideoFrame.from_dlpack(
        tuple(plane[0] for plane in planes.data), format="p010le" if planes.layout == "p010" else "nv12"
    )


def to_rgb(planes: Planes) -> NDArray[np.uint8]:  # [H, W, 3]
    """One frame as RGB, for what can hold nothing else (pictures, GIF)."""
    if planes.layout == "rgb":
        return planes.data[0][0].cpu().numpy()
    return from_av(to_av(planes), planes.colour, "rgb").data[0][0].numpy()


def to_yuv(planes: Planes, colour: Colour) -> Any:  # av.VideoFrame
    """An RGB frame as yuv420p of `colour`, for encoders: pictures have no native YUV."""
    return _reformat(to_av(planes), "yuv420p", colour)
