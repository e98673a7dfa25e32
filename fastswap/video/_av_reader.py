"""Reading a video with PyAV: upright native frames with true, strictly growing time stamps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fastswap import workers
from fastswap.errors import InputError
from fastswap.video import _colour, _orientation, _samples
from fastswap.video._containers import audio_streams, log, moving_stream, open_input, packets, reason
from fastswap.video._orientation import UPRIGHT, Orientation
from fastswap.video.frame import ColourTags, Frame, VideoInfo
from fastswap.video.segments import Part, PartError, packets_from

_DEFAULT_FPS = Fraction(25)
_WHOLE = 0.9
"""A file that gives fewer of the frames that it promises is said to end early; edit lists hide a few,
and some containers count gaps, and short clips are hard to count."""
_LEAST_THREADS, _MOST_THREADS = 3, 16
"""Of a decoder, else one more than there are cores. With one, FFmpeg hands out frames of a file cut off that it drops
with more; with two it says otherwise what is damaged. So the same file gives the same frames on every machine."""
MAX_PIXELS = 178_956_970
"""A frame or picture of more is taken for a trap: Pillow's own limit."""


def probe(path: Path) -> VideoInfo:
    """What headers and the first decodable frame say. Raises InputError where there is no frame or no use for it."""
    with open_input(path) as container:
        stream = moving_stream(container)
        if stream is None:
            kind = "only sound" if container.streams.audio else "no video"
            raise InputError(f"{path} holds {kind}, no moving pictures: name a video")
        if stream.codec_context is None:
            raise InputError(f"{path} holds video of a codec that is not known here: convert it to H.264 first")
        _refuse_huge(path, stream.width, stream.height)
        frame = next(_decoded(path, container, stream, threads=False), None)
        if frame is None:
            raise InputError(f"{path}: not one frame could be decoded: the file is damaged or cut off")
        return _describe(path, container, stream, frame)


def _refuse_huge(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path} declares frames of {width}x{height}, over the limit of {MAX_PIXELS // 1_000_000} megapixels"
        )


def _describe(path: Path, container: Any, stream: Any, frame: Any) -> VideoInfo:
    codec = stream.codec_context.codec.canonical_name
    tags = ColourTags(frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)
    _colour.refuse_hdr(path.name, tags)
    full = _samples.is_full_range(frame)
    if full and tags.range == 0:
        tags = ColourTags(tags.matrix, tags.primaries, tags.transfer, _colour.FULL)
    colour = _colour.colour_of(path.name, tags, codec, frame.width, frame.height, full_range=full)
    layout = _samples.layout_of(frame)
    if not _samples.is_exact(frame):
        log.warning("%s: %s frames are read as %s, the nearest layout", path.name, frame.format.name, layout)
        if not _samples.horizontally_subsampled(frame):
            colour = _colour.centred(colour)
    orientation = _orientation_of(path, frame)
    width, height = orientation.size(frame.width, frame.height)
    square = _pixel_shape(stream)
    fps = stream.average_rate or stream.guessed_rate or _DEFAULT_FPS
    return VideoInfo(
        path, width, height, _count(container, stream, fps), fps, stream.time_base, layout, codec,
        pixel_shape=1 / square if orientation.transpose else square,
        colour=_orientation.turn_colour(colour, orientation, frame.width, frame.height) if layout != "rgb" else colour,
        tags=tags, has_audio=bool(audio_streams(container)), orientation=orientation,
    )  # fmt: skip


def _orientation_of(path: Path, frame: Any) -> Orientation:
    from av.sidedata.sidedata import Type

    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return UPRIGHT
    found = _orientation.from_matrix([int(number) for number in np.frombuffer(matrix, np.int32)])
    if found is None:
        log.warning("%s asks to be shown at a slant: taken as it is stored", path.name)
        return UPRIGHT
    return found


def _pixel_shape(stream: Any) -> Fraction:
    """Width over height of a stored pixel; 1 where it is not given."""
    return stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)


def _count(container: Any, stream: Any, fps: Fraction) -> int | None:
    if stream.frames:
        return int(stream.frames)
    if stream.duration:
        return math.ceil(Fraction(stream.duration * stream.time_base) * fps)
    if container.duration:
        return math.ceil(Fraction(container.duration, 1_000_000) * fps)
    return None


def frames(info: VideoInfo, part: Part | None = None) -> Iterator[Frame]:
    """Every frame that decodes, from the first, or those of a part. Damage is said once and skipped; in a part it
    raises PartError, for it is not known there which frames are missing."""
    part = None if part is None or part.is_whole else part
    with open_input(info.path) as container:
        stream = moving_stream(container)
        clock = Clock(info, from_zero="avi" in container.format.name and part is None)
        stored = info.orientation.size(info.width, info.height)
        colour = _orientation.turn_colour(info.colour, info.orientation.inverse(), info.width, info.height)
        first = part.first if part else 0
        changed, delivered = False, 0
        for index, frame in enumerate(_decoded(info.path, container, stream, threads=True, part=part), first):
            if (frame.width, frame.height) != stored:
                if not changed:
                    log.warning(
                        "%s changes its frame size on the way: later frames are scaled to the first", info.path.name
                    )
                changed = True
                frame = _scaled(frame, stored)
            planes = _orientation.turn(_samples.from_av(frame, colour, info.layout), info.orientation)
            pts, duration = clock.stamp(frame.pts, frame.duration)
            yield Frame(planes, index, pts, info.time_base, duration)
            delivered = index + 1 - first
        if part:
            _check_part(info.path, part, delivered)
        elif info.frames is not None and delivered < _WHOLE * info.frames - 2:
            log.warning("%s ends early: %d of about %d frames", info.path.name, delivered, info.frames)


def _check_part(path: Path, part: Part, delivered: int) -> None:
    if delivered != part.end - part.first:
        raise PartError(
            f"{path} is damaged: of frames {part.first} to {part.end - 1} {delivered} were decoded; "
            "it can only be read as a whole"
        )


def _scaled(frame: Any, size: tuple[int, int]) -> Any:
    scaled = frame.reformat(width=size[0], height=size[1])
    scaled.pts, scaled.duration = frame.pts, frame.duration
    return scaled


def _decoded(path: Path, container: Any, stream: Any, *, threads: bool, part: Part | None = None) -> Iterator[Any]:
    """The decoded av.VideoFrames, all or those of a part. A packet that does not decode is passed over, with one
    warning for all of them."""
    if part is None:
        yield from _all_decoded(path, packets(path, container, [stream]), stream, threads=threads)
        return
    for frame in _all_decoded(path, packets_from(path, container, stream, part.key), stream, threads=threads):
        if frame.pts is None or (part.stop is not None and frame.pts >= part.stop):
            return
        if frame.pts >= part.start:
            yield frame


def _all_decoded(path: Path, taken: Iterator[Any], stream: Any, *, threads: bool) -> Iterator[Any]:
    import av

    stream.thread_type = "AUTO" if threads else "NONE"
    if threads:
        stream.codec_context.thread_count = min(max(workers.cores() + 1, _LEAST_THREADS), _MOST_THREADS)
    damaged = False
    for packet in taken:
        try:
            decoded = packet.decode()
        except av.FFmpegError as error:
            if not damaged:
                log.warning("%s is damaged: frames that do not decode are left out (%s)", path.name, reason(error))
            damaged = True
            continue
        yield from decoded


class Clock:
    """Makes time stamps grow strictly: a missing one follows from the frame before it, a repeated one comes a unit
    later. from_zero: the first frame is at 0 (AVI stores no time stamps, and FFmpeg's guess is a frame late)."""

    def __init__(self, info: VideoInfo, *, from_zero: bool = False) -> None:
        self._shift: int | None = None if from_zero else 0
        self._step = max(1, round(1 / (info.fps * info.time_base)))
        self._last: int | None = None
        self._next = 0

    def stamp(self, pts: int | None, duration: int | None) -> tuple[int, int]:
        """(pts, duration) of the next frame, from what the decoder gave."""
        length = duration if duration and duration > 1 else self._step  # after a seek FFmpeg says 1 for "not known"
        if pts is not None and self._shift is None:
            self._shift = pts
        pts = self._next if pts is None else pts - (self._shift or 0)
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
        self._last, self._next = pts, pts + length
        return pts, length
