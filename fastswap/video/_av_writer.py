"""Writing a video with PyAV: native frames in, their time stamps kept, what else the source holds copied."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from fastswap.ops.planes import Planes
from fastswap.storage import atomic
from fastswap.video import _colour, _encoders, _orientation, _samples
from fastswap.video._audio import SourceCopy, check_audio, clock_of, container_options
from fastswap.video._containers import log
from fastswap.video._cuda_frames import CudaFrames
from fastswap.video._orientation import UPRIGHT
from fastswap.video._writer import VideoWriter
from fastswap.video.encoders import say_once
from fastswap.video.frame import Frame, VideoInfo

_SITINGS = {
    (0.0, 0.5): "left", (0.5, 0.5): "center", (0.0, 0.0): "topleft",
    (0.5, 0.0): "top", (0.0, 1.0): "bottomleft", (0.5, 1.0): "bottom",
}  # fmt: skip
"""FFmpeg's names of the places of chroma that a stream can tell (H.273, chroma sample location)."""
RATE_LIMIT = 1_000_000
"""Frame rates are written as fractions of at most this denominator."""
_LONGEST_LEAD = 1_000_000
"""Seconds by which no encoder decodes ahead."""
_UNEVEN = Fraction(1, 10)
"""How far, in frames, a frame may stand off the grid of a constant frame rate."""


class AvWriter(VideoWriter):
    """Writes one video file; see `write_video`."""

    def __init__(
        self, path: Path, source: VideoInfo, *, codec: str, encoder: str, quality: int | None, alone: bool
    ) -> None:
        super().__init__(path, source)
        self._encoder, self._quality = _encoders.choose(path, source, codec, quality, encoder)
        self._container = _encoders.container_of(path)
        self._sound = source.has_audio and not alone
        if self._sound:
            check_audio(path, self._container, source.path)
        self._alone = alone
        self.takes_gpu = self._encoder.hardware and source.layout != "rgb"
        turnable = self._container in _encoders.TURNABLE
        self._orientation = source.orientation if turnable else UPRIGHT
        self._colour = _orientation.turn_colour(
            _colour.yuv_of(source), self._orientation.inverse(), source.width, source.height
        )
        self._constant = self._container in _encoders.CONSTANT_RATE
        self._time_base = 1 / source.fps if self._constant else source.time_base
        self._copy: SourceCopy | None = None
        self._start = Fraction(0)
        self._cuda: CudaFrames | None = None
        self._durations: dict[int, int] = {}
        self._last: int | None = None
        self._said_uneven = False
        self._held: Any = None  # the latest packet, whose duration the last one alone decides
        self._lead = self._end = self._astray = 0

    def _begin(self, first: Frame) -> None:
        import av

        if self.takes_gpu and first.planes.device.type == "cuda":
            self._cuda = self._on_gpu(first)
        temporary = self._stack.enter_context(atomic(self.path))
        options = container_options(
            self._container, self.source.path if self._sound else None, self._time_base if self._alone else None
        )
        self._output = av.open(f"file:{temporary}", "w", format=self._container, options=options)
        self._stack.callback(self._close)
        self._stream = self._add_video()
        if not self.source.has_audio and self.source.layout == "rgb":  # a clip that only Pillow may read
            return
        self._start = clock_of(self.source.path)
        if not self._alone:
            self._copy = SourceCopy(self.source.path, self._output, self._stream)
            self._stack.callback(self._copy.close)

    def _on_gpu(self, first: Frame) -> CudaFrames | None:
        """What keeps frames like the first on their GPU for NVENC; None where it cannot, which is said once."""
        frames = CudaFrames(first.planes.device)
        planes = _orientation.turn(first.planes, self._orientation.inverse())
        refusal = frames.refused(self._encoder.name, self._encoder.options(self._quality), planes)
        if refusal is None:
            return frames
        say_once(f"frames go to NVENC by way of the CPU: it does not take them from the GPU ({refusal})")
        return None

    def _close(self) -> None:
        import av

        with suppress(av.FFmpegError):  # it has been closed already, unless something went wrong before
            self._output.close()

    def _add_video(self) -> Any:  # av.video.stream.VideoStream
        source = self.source
        options = self._encoder.options(self._quality)
        if self._constant:
            options["bf"] = "0"
        if self._colour.siting in _SITINGS and source.layout != "rgb":
            options["chroma_sample_location"] = _SITINGS[self._colour.siting]
        stream = self._output.add_stream(
            self._encoder.name, rate=source.fps.limit_denominator(RATE_LIMIT), options=options
        )
        context: Any = stream.codec_context
        context.width, context.height = self._orientation.inverse().size(source.width, source.height)
        context.pix_fmt = "cuda" if self._cuda else self._encoder.pixels(source.layout)
        context.thread_type = "AUTO"  # whole frames at once: slices, which PyAV asks for, cost x264 an eighth more
        stream.time_base = context.time_base = self._time_base
        context.sample_aspect_ratio = self._pixel_shape()
        tags = _colour.tags_to_write(source)
        context.colorspace, context.color_range = tags.matrix, tags.range
        context.color_primaries, context.color_trc = tags.primaries, tags.transfer
        if self._orientation != UPRIGHT:
            cast(Any, stream).set_display_matrix(self._orientation.matrix())
        if tag := self._encoder.tags.get(self._container):
            context.codec_tag = tag
        return stream

    def _pixel_shape(self) -> Fraction:
        """Width over height of a pixel as it is stored here."""
        upright = self.source.pixel_shape
        return 1 / upright if self._orientation.transpose else upright

    def _put(self, frame: Frame) -> None:
        planes = _orientation.turn(frame.planes, self._orientation.inverse())
        picture = self._picture(planes)
        picture.time_base = self._time_base
        picture.pts, picture.duration = self._time(frame)
        self._durations[picture.pts] = picture.duration
        tags = _colour.tags_to_write(self.source)
        picture.colorspace, picture.color_range = tags.matrix, tags.range
        picture.color_primaries, picture.color_trc = tags.primaries, tags.transfer
        self._mux(self._stream.encode(picture))

    def _picture(self, planes: Planes) -> Any:  # av.VideoFrame
        if planes.layout == "rgb":
            return _samples.to_yuv(planes, self._colour)
        if self._cuda:
            return self._cuda.picture(planes)
        native = self._encoder.pixels(planes.layout) in _encoders.NATIVE
        return _samples.in_place(planes.to("cpu")) if native else _samples.to_av(planes)

    def _time(self, frame: Frame) -> tuple[int, int]:
        """(pts, duration) in the encoder's time base."""
        exact = (frame.pts * frame.time_base - self._start) / self._time_base
        length = frame.duration * frame.time_base / self._time_base
        pts, duration = round(exact), max(1, round(length))
        if self._constant and abs(exact - pts) > _UNEVEN:
            self._say_uneven()
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
        self._last, self._end = pts, pts + duration
        return pts, duration

    def _say_uneven(self) -> None:
        if not self._said_uneven:
            kept = ".mp4 and .mkv keep their times"
            log.warning("%s: %s has one frame rate, and frames move to it; %s", self.path.name, self.path.suffix, kept)
        self._said_uneven = True

    def _mux(self, encoded: list[Any]) -> None:
        for packet in encoded:
            packet.duration = self._durations.pop(packet.pts, packet.duration)
            if self._held is None:
                self._astray = self._led_astray(packet)
            packet.dts += self._astray
            if self._held is None:
                self._lead = packet.dts - packet.pts
            else:
                self._mux_held()
            self._held = packet

    def _led_astray(self, first: Any) -> int:
        """What is to be added to every dts: x265 takes off one that it never set where a video has fewer frames than it
        reorders, one or two."""
        ahead = first.pts - first.dts
        return 0 if 0 <= ahead * first.time_base <= _LONGEST_LEAD else ahead

    def _mux_held(self) -> None:
        if self._copy:
            self._copy.advance(self._held.dts * self._held.time_base)
        self._output.mux(self._held)

    def _finish(self) -> None:
        self._mux(self._stream.encode(None))
        if self._container in _encoders.TURNABLE:  # their duration is counted along the order of decoding
            self._held.duration = max(1, self._end + self._lead - self._held.dts)
        self._mux_held()
        if self._copy:
            self._copy.finish(self._end * self._time_base if self._stopped else None)
        self._output.close()
