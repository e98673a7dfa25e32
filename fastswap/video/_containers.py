"""Opening files with PyAV: only what is a video, only from this machine, with errors in one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from fastswap.errors import InputError

log = logging.getLogger("fastswap")

_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegtsraw,mpegvideo,h264,hevc,m4v,ivf,obu,av1,mjpeg,flv,asf,"
    "ogg,gif,dv,mxf,nut,rm,yuv4mpegpipe,apng,live_flv,vc1,vc1test,wtv,h263,h261,swf"
)
"""What counts as a video. FFmpeg also opens text as terminal art, and playlists that name other files and addresses."""
_OPTIONS = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
_OFFSET_STREAMS = frozenset({"mpegts", "mpeg"})
"""Broadcast streams, whose clock starts anywhere."""


def reason(error: Exception) -> str:
    """What went wrong, in FFmpeg's or the system's words, without paths and numbers."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


@contextmanager
def open_input(path: Path) -> Iterator[Any]:  # av.container.InputContainer
    """The opened container. Raises InputError where the file is none that FFmpeg reads as a video."""
    import av

    try:  # "file:" keeps FFmpeg from reading a colon in a name as a protocol
        container = av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be opened as a video or picture ({reason(error)}): it is damaged, cut off or no video"
        ) from error
    with container:
        yield container


def moving_stream(container: Any) -> Any | None:
    """The first video stream that is no cover picture, or None."""
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    return next((s for s in container.streams.video if not s.disposition & covers), None)


def audio_streams(container: Any) -> list[Any]:
    """The audio streams whose codec is known."""
    return [s for s in container.streams.audio if s.codec_context is not None]


def clock_start(container: Any) -> Fraction:
    """Seconds to take off every time stamp so that a broadcast stream starts at 0; 0 for files with a clock of their
    own, whose first time stamp means something."""
    names = set(container.format.name.split(","))
    starts = [s.start_time * s.time_base for s in container.streams if s.start_time is not None]
    return min(starts, default=Fraction(0)) if names & _OFFSET_STREAMS else Fraction(0)


def packets(path: Path, container: Any, streams: list[Any]) -> Iterator[Any]:
    """The packets of the streams, to the end or to where the file breaks off, which is said once."""
    import av

    try:
        yield from container.demux(streams)
    except av.FFmpegError as error:
        log.warning("%s breaks off: %s", path.name, reason(error))
