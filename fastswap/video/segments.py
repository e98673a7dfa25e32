"""A long video in parts that several processes can read at once, and how those find their frames.

A part begins at a key frame from which decoding is exact: nothing that is shown after it refers to what came before it.
That is read from the stream, not from the container's word: containers also mark frames from which a decoder may start
and be wrong for a while. What cannot be proved so (codecs that carry more over, files without time stamps, damage)
stays one part.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastswap.errors import InputError
from fastswap.video import _entries, _pictures
from fastswap.video._containers import log, moving_stream, open_input, packets

_STEPS_BACK = (0, 1, 10, None)
"""Seconds before a key frame that are sought: containers index the order of decoding, and may land behind it. None: the
beginning."""


class PartError(InputError):
    """A part does not hold the frames that its packets promise: the video is damaged and has to be read as a whole."""


@dataclass(frozen=True)
class Part:
    """Frames [first, end) of a video. key: the pts of the key frame that decoding begins at; start: the pts of frame
    `first`; stop: the pts of frame `end`, None at the end of the video. All pts as stored in the file."""

    first: int
    end: int
    key: int
    start: int
    stop: int | None

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the video: it is then read as if there were no parts, and `end` may be a guess."""
        return self.first == 0 and self.stop is None


WHOLE = Part(0, 1, 0, 0, None)


def split(path: Path, frames: int, *, multiple: int = 1) -> list[Part]:
    """Parts of about `frames` frames, a partition of all frames of the video, in order. Reads the file once.

    multiple: every part but the first begins at a multiple of so many frames; decoding begins at the key frame before.
    One part where the path is no video file, or does not let itself be cut exactly (said in the log).
    """
    if frames < 1 or multiple < 1:
        raise ValueError(f"parts of at least one frame expected, got {frames} frames, multiple of {multiple}")
    if path.is_dir() or _pictures.kind(path) is not None:
        return [WHOLE]
    found = _Index.read(path)
    reason = found.obstacle()
    if reason is None:
        parts = found.parts(max(frames, multiple), multiple)
        if all(_opens(path, part) for part in parts[1:]):
            if len(parts) > 1:
                return parts
            reason = "it has no key frame to begin another at"
        else:
            reason = "its key frames are not found again"
    if len(found.times) > frames:
        log.info("%s is taken as one part: %s", path.name, reason)
    return [replace(WHOLE, end=max(1, len(found.times)))]


@dataclass
class _Index:
    """The packets of a video. times: pts of the shown frames, sorted; keys: pts of the frames from which decoding is
    exact; first: the pts of the first packet; codec: its name; known: whether it is known what makes a frame such a
    key; timed: whether each frame has a time of its own; guessed: whether those are FFmpeg's guesses."""

    times: list[int]
    keys: list[int]
    first: int | None
    codec: str
    known: bool
    timed: bool
    guessed: bool

    @staticmethod
    def read(path: Path) -> _Index:
        with open_input(path) as container:
            stream = moving_stream(container)
            if stream is None or stream.codec_context is None:
                raise InputError(f"{path} holds no moving pictures that are known here: name a video")
            codec = stream.codec_context.codec
            is_entry = _entries.entry_test(codec, stream.codec_context.extradata)
            times: list[int] = []
            keys: list[int] = []
            untimed = 0
            first: int | None = None
            for packet in packets(path, container, [stream]):
                if not packet.size or packet.is_discard or not _entries.is_shown(codec.canonical_name, packet):
                    continue
                if packet.pts is None:
                    untimed += 1
                    continue
                first = packet.pts if first is None else first
                times.append(packet.pts)
                if is_entry is not None and packet.is_keyframe and is_entry(packet):
                    keys.append(packet.pts)
            guessed = "avi" in container.format.name and not codec.intra_only
            timed = not untimed and len(set(times)) == len(times)
            known = is_entry is not None
        return _Index(sorted(times), sorted(keys), first, codec.canonical_name, known, timed, guessed)

    def obstacle(self) -> str | None:
        """Why the video cannot be cut exactly, or None."""
        if not self.known:
            return f"nothing is known of where {self.codec} may be cut"
        if not self.timed or self.guessed:
            return "it does not tell when each frame is shown"
        if not self.keys or self.first != self.times[0] or self.keys[0] != self.times[0]:
            return "it does not begin with a key frame"
        return None

    def parts(self, frames: int, multiple: int) -> list[Part]:
        count = len(self.times)
        places = [bisect_left(self.times, key) for key in self.keys]
        borders = [0]
        for place in places:
            border = -(-place // multiple) * multiple
            if border >= borders[-1] + frames and border + frames // 2 < count:
                borders.append(border)
        ends = [*borders[1:], count]
        return [self._part(first, end, places) for first, end in zip(borders, ends, strict=True)]

    def _part(self, first: int, end: int, places: list[int]) -> Part:
        key = self.keys[bisect_left(places, first + 1) - 1]
        return Part(first, end, key, self.times[first], self.times[end] if end < len(self.times) else None)


def packets_from(path: Path, container: Any, stream: Any, key: int) -> Iterator[Any]:
    """The packets of the stream from the key frame of that pts on. Raises PartError where it is not found."""
    import av

    for seconds in _STEPS_BACK:
        target = key - round(seconds / stream.time_base) if seconds is not None else min(key, stream.start_time or 0)
        try:
            container.seek(target, stream=stream, backward=True)
        except av.FFmpegError:
            continue
        behind = packets(path, container, [stream])
        for packet in behind:
            if packet.is_keyframe and packet.pts == key:
                yield packet
                yield from behind
                return
            if packet.is_keyframe and packet.pts is not None and packet.pts > key:
                break
    raise PartError(f"{path}: the key frame at {float(key * stream.time_base):.3f} s is not found again")


def _opens(path: Path, part: Part) -> bool:
    """Whether seeking really finds the key frame of the part, and it decodes to a frame of its time."""
    import av

    with open_input(path) as container:
        stream = moving_stream(container)
        try:
            for packet in packets_from(path, container, stream, part.key):
                for frame in packet.decode():
                    if frame.pts is None or frame.pts >= part.key:
                        return bool(frame.pts == part.key)
        except (av.FFmpegError, PartError):
            return False
    return False
