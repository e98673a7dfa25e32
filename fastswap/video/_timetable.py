"""What DALI reads just as PyAV does, and when its frames are shown: told by the packets, which are cheap to demux.

DALI hands out pictures without the file's time stamps, and says little of what it leaves out. So the packets are read
first: they give every frame's time by the rules by which PyAV's frames get theirs, and whatever would make the two
differ in their frames sends the file to PyAV:

- On the GPU, codecs other than H.264 and HEVC. VP9 and AV1 can show a decoded frame again, which is never decoded and
  which DALI's pairing of decoded pictures with packets loses; transforms of JPEG and MPEG-4 are not exact.
- On the CPU, what DALI's own decoder does not have: all but VP8, VP9 and MJPEG.
- Samples other than 8-bit 4:2:0, odd sizes (DALI halves chroma downwards), interlacing, sizes beyond the decoder.
- Frames that are not shown: before time 0 or cut off by an edit list, hidden ones of VP8, leading pictures whose
  reference is missing. Time stamps that are missing or that repeat. A file that breaks off.

A variable frame rate is no obstacle: the experimental reader finds frames by their time stamps.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fastswap.video._av_reader import Clock
from fastswap.video._containers import moving_stream, open_input
from fastswap.video.frame import VideoInfo

_SIDES = {"h264": (48, 4096), "hevc": (144, 8192)}
"""The GPU's codecs, and the least and the greatest side that every NVDEC since Pascal takes (Video Codec SDK,
application note of the decoder)."""
_CPU_CODECS = frozenset({"vp8", "vp9", "mjpeg"})
_TRUSTED = {True: "H.264 and HEVC on the GPU", False: "VP8, VP9 and MJPEG on the CPU"}
_FORMATS = frozenset({"yuv420p", "yuvj420p"})
_CONTAINERS = frozenset({"mov", "matroska", "avi"})
"""By the first name of FFmpeg's demuxer; mov is mp4 too, matroska webm."""
_PROGRESSIVE = frozenset({0, 1})
"""AVFieldOrder: unknown, progressive."""
_VP8_SHOWN = 0x10
"""The bit of a VP8 frame's first byte that says that it is shown (RFC 6386, 9.1)."""


class UnfitError(Exception):
    """DALI would not give a file's frames as PyAV does; the text goes on after the file's name."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """When each frame is shown, in the order of showing. pts, duration: in units of the file's time base, as the frames
    of PyAV's reader have them."""

    pts: array[int]
    duration: array[int]

    def __len__(self) -> int:
        return len(self.pts)


def timetable(info: VideoInfo, *, cuda: bool) -> Timetable:
    """Reads all packets of the file. Raises UnfitError, with the reason, where DALI would not do."""
    with open_input(info.path) as container:
        stream = moving_stream(container)
        _check_stream(info, container, stream, cuda=cuda)
        stamps = _stamps(info, container, stream)
        clock = Clock(info, from_zero="avi" in container.format.name)
        times = Timetable(array("q"), array("q"))
        for stamp in stamps:
            pts, duration = clock.stamp(*stamp)
            times.pts.append(pts)
            times.duration.append(duration)
        return times


def _check_stream(info: VideoInfo, container: Any, stream: Any, *, cuda: bool) -> None:
    codec = info.codec
    width, height, format_name = stream.width, stream.height, stream.codec_context.pix_fmt
    if codec not in (_SIDES if cuda else _CPU_CODECS):
        raise UnfitError(f"is {codec}, and DALI decodes {_TRUSTED[cuda]} here")
    if container.format.name.split(",")[0] not in _CONTAINERS or (cuda and "avi" in container.format.name):
        raise UnfitError(f"is {container.format.long_name}, and DALI reads MP4, MOV, MKV and WebM here")
    if len(container.streams.video) > 1:
        raise UnfitError("has several pictures tracks")
    if format_name not in _FORMATS:
        raise UnfitError(f"has {format_name} samples, and DALI reads 8-bit 4:2:0")
    if width % 2 or height % 2:
        raise UnfitError(f"has the odd size {width}x{height}")
    least, most = _SIDES.get(codec, (1, 8192))
    if min(width, height) < least or max(width, height) > most:
        raise UnfitError(f"is {width}x{height}, and {codec} is decoded from {least} to {most} pixels a side")
    if stream.codec_context.field_order not in _PROGRESSIVE:
        raise UnfitError("is interlaced")
    if not cuda and info.colour.full_range and codec != "mjpeg":
        raise UnfitError("has full-range colours, which DALI's CPU decoder clips")


def _stamps(info: VideoInfo, container: Any, stream: Any) -> list[tuple[int, int | None]]:
    """(pts, duration) of every frame, in the order of showing."""
    stamps = [(packet.pts, packet.duration) for packet in _shown(info, container, stream)]
    if not stamps:
        raise UnfitError("has no frame")
    first = stamps[0][0]
    stamps.sort(key=lambda stamp: stamp[0])
    if stamps[0][0] < 0:
        raise UnfitError("has frames before time 0, which are not shown")
    if stamps[0][0] < first:
        raise UnfitError("begins with frames that lack their reference")
    if any(a[0] == b[0] for a, b in pairwise(stamps)):
        raise UnfitError("has frames of one and the same time stamp")
    if stream.frames and stream.frames != len(stamps):
        raise UnfitError(f"breaks off: it holds {len(stamps)} of {stream.frames} frames")
    return stamps


def _shown(info: VideoInfo, container: Any, stream: Any) -> Iterator[Any]:
    import av

    try:
        for packet in container.demux(stream):
            if not packet.size:  # the flush at the end
                continue
            if packet.is_corrupt:
                raise UnfitError("is damaged or breaks off")
            if packet.is_discard or (info.codec == "vp8" and not memoryview(packet)[0] & _VP8_SHOWN):
                raise UnfitError("has frames that are not shown")
            if packet.pts is None:
                raise UnfitError("has frames without time stamps")
            yield packet
    except av.FFmpegError as error:
        raise UnfitError("breaks off") from error
