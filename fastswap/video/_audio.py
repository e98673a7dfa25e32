"""What an output takes over from its source beside the frames: sound and subtitles as packets, chapters, and tags."""

from __future__ import annotations

import io
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

from fastswap.errors import InputError
from fastswap.video._containers import audio_streams, clock_start, log, moving_stream, open_input, packets
from fastswap.video._encoders import TURNABLE

_OWN_TAGS = frozenset({
    "encoder", "major_brand", "minor_version", "compatible_brands", "duration", "timecode", "rotate", "bps",
    "number_of_frames", "number_of_bytes", "_statistics_writing_app", "_statistics_writing_date_utc",
    "_statistics_tags",
})  # fmt: skip
"""Tags that tell of the container itself, or count what is in the stream; from "timecode" mp4 and mov would make a
track, or fail where its rate is not theirs."""
_CHAPTERED = frozenset({"mp4", "mov", "matroska", "webm"})


def check_audio(path: Path, container_name: str, source: Path) -> None:
    """Raises InputError where the container cannot hold the source's sound as it is."""
    import av

    with open_input(source) as container, av.open(io.BytesIO(), "w", format=container_name) as output:
        held = output.supported_codecs
        for stream in audio_streams(container):
            codec = stream.codec_context.codec.canonical_name
            if codec not in held:
                raise InputError(
                    f"{path.name}: a {path.suffix} file cannot hold the source's {codec} sound: write a .mkv"
                )


def audio_rate(source: Path) -> int:
    """Samples a second of the source's first sound."""
    with open_input(source) as container:
        return int(audio_streams(container)[0].codec_context.sample_rate)


def container_options(container_name: str, sound: Path | None, clock: Fraction | None = None) -> dict[str, str]:
    """The muxer's options. sound: the source whose sound is copied; clock: the time base of a part without sound.

    mp4 and mov tell when a stream begins in units of the movie's clock, a millisecond unless told otherwise: too coarse
    for sound, and for a part that begins on the way. Matroska would move all times so that the priming of the sound,
    before 0, comes to 0.
    """
    if container_name in TURNABLE and sound is not None:
        return {"movie_timescale": str(audio_rate(sound))}
    if container_name in TURNABLE and clock is not None:
        return {"movie_timescale": str(clock.denominator)}
    return {"avoid_negative_ts": "disabled"} if container_name in ("matroska", "webm") else {}


def clock_of(source: Path) -> Fraction:
    """Seconds that the source's clock shows at its beginning, taken off every time stamp that is written."""
    with open_input(source) as container:
        return clock_start(container)


class SourceCopy:
    """Brings the source's sound and subtitles into an output, muxed up to a time, its chapters, and the tags of the
    file, of these streams and of `video`, the output's own video stream.

    Subtitles and chapters that the output's container cannot hold are left out, which is said once.
    """

    def __init__(self, source: Path, output: Any, video: Any) -> None:
        self._stack = ExitStack()
        container = self._stack.enter_context(open_input(source))
        self._name = source.name
        self._output = output
        self.start = clock_start(container)
        streams = audio_streams(container) + self._subtitles(container)
        self._targets = {stream.index: output.add_stream_from_template(stream) for stream in streams}
        for stream in streams:
            _tag(self._targets[stream.index], stream)
        moving = moving_stream(container)
        if moving is not None:
            _tag(video, moving)
        output.metadata.update(_own(container.metadata))
        self._chapters = self._held_chapters(container)
        self._packets = packets(source, container, streams) if streams else iter(())
        self._next = self._following()

    def _subtitles(self, container: Any) -> list[Any]:
        """The subtitle streams that the output can hold."""
        streams = [s for s in container.streams.subtitles if s.codec_context is not None]
        held = self._output.supported_codecs
        lost = {n for s in streams if (n := s.codec_context.codec.canonical_name) not in held}
        if lost:
            self._say_lost(f"{' and '.join(sorted(lost))} subtitles")
        return [s for s in streams if s.codec_context.codec.canonical_name not in lost]

    def _held_chapters(self, container: Any) -> list[dict[str, Any]]:
        chapters: list[dict[str, Any]] = container.chapters()
        if chapters and self._output.format.name not in _CHAPTERED:
            self._say_lost("chapters")
            return []
        return chapters

    def _say_lost(self, what: str) -> None:
        kind = self._output.format.name
        log.warning("%s: its %s are left out, which %s cannot hold: a .mkv can", self._name, what, kind)

    def advance(self, seconds: Fraction) -> None:
        """Muxes every packet that starts at `seconds` or before."""
        while self._next is not None and self._begins(self._next) <= seconds:
            self._mux_next()

    def finish(self, end: Fraction | None) -> None:
        """Muxes all packets and chapters that are left; where `end` is given those that start before it."""
        while self._next is not None and (end is None or self._begins(self._next) < end):
            self._mux_next()
        chapters = self._chapters if end is None else [_cut(chapter, end) for chapter in self._chapters]
        self._output.set_chapters([chapter for chapter in chapters if chapter["start"] < chapter["end"]])

    def _begins(self, packet: Any) -> Fraction:
        return Fraction(packet.dts * packet.time_base) - self.start

    def _mux_next(self) -> None:
        packet = self._next
        offset = round(self.start / packet.time_base)
        packet.dts -= offset
        if packet.pts is not None:
            packet.pts -= offset
        packet.stream = self._targets[packet.stream_index]
        self._output.mux(packet)
        self._next = self._following()

    def _following(self) -> Any:
        """The next packet that has a time: what ends a stream has none."""
        return next((packet for packet in self._packets if packet.dts is not None), None)

    def close(self) -> None:
        self._stack.close()


def _own(tags: dict[str, str]) -> dict[str, str]:
    """The tags that mean something in another file."""
    return {key: value for key, value in tags.items() if key.lower().split("-")[0] not in _OWN_TAGS}


def _tag(target: Any, source: Any) -> None:
    target.metadata.update(_own(source.metadata))
    target.disposition = source.disposition


def _cut(chapter: dict[str, Any], end: Fraction) -> dict[str, Any]:
    """A chapter that goes no further than to `end` seconds."""
    return {**chapter, "end": min(chapter["end"], int(end / chapter["time_base"]))}
