"""Parts of a video, each encoded alone, become one file: their packets in order, not encoded again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastswap.errors import InputError
from fastswap.storage import atomic
from fastswap.video import _encoders
from fastswap.video._audio import SourceCopy, container_options
from fastswap.video._av_writer import RATE_LIMIT
from fastswap.video._containers import open_input, packets, reason
from fastswap.video.frame import VideoInfo


def can_join(output: Path) -> bool:
    """Whether parts of such a file can be joined: a video whose frames carry their times."""
    return _encoders.CONTAINERS.get(output.suffix.lower(), "gif") not in ("gif", *_encoders.CONSTANT_RATE)


def join(parts: Sequence[Path], output: Path, source: VideoInfo, *, alone: bool = False) -> None:
    """Writes the frames of `parts`, each made by `write_video(..., alone=True)` in the container of `output`, with the
    source's sound, subtitles, chapters and tags (alone: without), as one writer would have. `output` is whole or not
    there.

    Raises InputError where the parts were not encoded alike, or the output cannot be written.
    """
    import av

    lists = [_Timetable.read(path) for path in parts]
    if any(other.header != lists[0].header for other in lists):
        raise InputError(f"{output} cannot be joined: its parts were encoded with different settings")
    try:
        with atomic(output) as temporary:
            _write(temporary, parts, lists, output, source, alone)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{output} cannot be written: {reason(error)}") from error


@dataclass(frozen=True)
class _Timetable:
    """What the packets of a part tell. pts: in the order of decoding; end: where its last frame ends, as mp4 and mov
    tell it (durations are counted in the order of decoding); header: what its decoder is set up with."""

    pts: list[int]
    end: int
    header: tuple[Any, ...]

    @staticmethod
    def read(path: Path) -> _Timetable:
        with open_input(path) as container:
            stream = _frames_of(container)
            context = stream.codec_context
            header = (context.codec.canonical_name, bytes(context.extradata or b""), stream.time_base)
            pts: list[int] = []
            lead, end = 0, 0
            for packet in _whole(path, container, stream):
                if packet.dts is not None:  # Matroska does not store it, and FFmpeg's guess begins late
                    lead = lead if pts else _time(packet) - packet.dts
                    end = packet.dts + packet.duration + lead
                pts.append(_time(packet))
            return _Timetable(pts, max(end, max(pts) + 1), header)

    def delay(self) -> int:
        """By how many frames decoding runs ahead of showing."""
        rank = {pts: place for place, pts in enumerate(sorted(self.pts))}
        return max(place - rank[pts] for place, pts in enumerate(self.pts))


def _decoding_times(lists: Sequence[_Timetable]) -> list[int]:
    """A dts for every packet: the time at which the frame `delay` places before is shown, so strictly growing and never
    later than the packet's own frame is shown."""
    shown = [pts for part in lists for pts in sorted(part.pts)]
    delay = max(part.delay() for part in lists)
    ahead = shown[min(delay, len(shown) - 1)] - shown[0]
    return [shown[n - delay] if n >= delay else shown[n] - ahead for n in range(len(shown))]


def _write(
    temporary: Path, parts: Sequence[Path], lists: Sequence[_Timetable], output: Path, source: VideoInfo, alone: bool
) -> None:
    import av

    has_sound = source.has_audio and not alone
    has_more = not alone and (source.has_audio or source.layout != "rgb")
    kind = _encoders.container_of(output)
    options = container_options(kind, source.path if has_sound else None, lists[0].header[-1] if alone else None)
    dts, lengths = _decoding_times(lists), _lengths(lists)
    with open_input(parts[0]) as first, av.open(f"file:{temporary}", "w", format=kind, options=options) as file:
        like = _frames_of(first)
        stream = file.add_stream_from_template(like)
        stream.time_base, stream.codec_context.codec_tag = like.time_base, like.codec_context.codec_tag
        stream.codec_context.framerate = source.fps.limit_denominator(RATE_LIMIT)
        copied = SourceCopy(source.path, file, stream) if has_more else None
        for number, packet in enumerate(_all_packets(parts)):
            packet.pts, packet.dts = _time(packet), dts[number]
            if kind in _encoders.TURNABLE:
                packet.duration = _duration(packet, lengths, lists, dts, last=number == len(dts) - 1)
            if copied:
                copied.advance(packet.dts * packet.time_base)
            packet.stream = stream
            file.mux(packet)
        if copied:
            copied.finish(None)
            copied.close()


def _lengths(lists: Sequence[_Timetable]) -> dict[int, int]:
    """For how long the frame of each pts is shown."""
    shown = [pts for part in lists for pts in sorted(part.pts)]
    return {pts: after - pts for pts, after in itertools.pairwise([*shown, lists[-1].end])}


def _duration(
    packet: Any, lengths: dict[int, int], lists: Sequence[_Timetable], dts: Sequence[int], *, last: bool
) -> int:
    """What mp4 and mov have to be told, where a stored duration is the time to the next packet: how long the frame is
    shown, which tells when all ends; of the last packet the rest of the time, counted in the order of decoding."""
    return max(1, lists[-1].end + dts[0] - lists[0].pts[0] - int(packet.dts)) if last else lengths[packet.pts]


def _all_packets(parts: Sequence[Path]) -> Iterator[Any]:
    for path in parts:
        with open_input(path) as container:
            yield from _whole(path, container, _frames_of(container))


def _frames_of(container: Any) -> Any:
    """The only stream of a part."""
    return container.streams.video[0]


def _whole(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    return (packet for packet in packets(path, container, [stream]) if packet.size)


def _time(packet: Any) -> int:
    """When the packet's frame is shown: what stores no such time shows frames in the order of decoding."""
    return int(packet.dts if packet.pts is None else packet.pts)
