"""Clips made for the test at hand, and what PyAV itself says of a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

TIME_BASE = Fraction(1, 12800)
STEP = 512  # one frame at 25 frames a second

MakeClip = Callable[..., Path]


def fill(frame: av.VideoFrame, number: int) -> None:
    """A picture that differs from place to place and from frame to frame, in every plane."""
    for index, plane in enumerate(frame.planes):
        ten = "10" in frame.format.name or "12" in frame.format.name
        samples = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        samples = samples.view(np.uint16) if ten else samples
        rows, columns = np.indices(samples.shape)
        pattern = 40 + (3 * rows + 2 * columns + 7 * number + 30 * index) % 160
        samples[:] = pattern * 4 if ten else pattern


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    def make(
        name: str = "clip.mp4", *, codec: str = "libx264", pixels: str = "yuv420p", size: tuple[int, int] = (64, 48),
        times: Sequence[int] = tuple(range(0, 6 * STEP, STEP)), time_base: Fraction = TIME_BASE, last: int = STEP,
        options: dict[str, str] | None = None, matrix: list[int] | None = None, sound: str | None = None,
        sound_start: int = 0, **context: Any,
    ) -> Path:  # fmt: skip
        path = tmp_path / name
        with av.open(str(path), "w") as output:
            stream = output.add_stream(codec, rate=25, options=options or {})
            stream.width, stream.height = size
            stream.pix_fmt = pixels
            stream.time_base = stream.codec_context.time_base = time_base
            for key, value in context.items():
                setattr(stream.codec_context, key, value)
            if matrix:
                stream.set_display_matrix(matrix)
            voice = output.add_stream(sound, rate=48000, layout="mono") if sound else None
            for number, pts in enumerate(times):
                frame = av.VideoFrame(*size, pixels)
                fill(frame, number)
                frame.pts, frame.time_base = pts, time_base
                frame.duration = times[number + 1] - pts if number + 1 < len(times) else last
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
            if voice is not None:
                for packet in _sound(voice, sound_start):
                    output.mux(packet)
        return path

    return make


def _sound(stream: Any, start: int) -> list[Any]:
    packets = []
    for number in range(12):
        samples = (8000 * np.sin(np.arange(1024) * 0.05 * (number + 1))).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start + number * 1024, Fraction(1, 48000)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """Every audio packet: when, and what."""
    with av.open(str(path), metadata_errors="replace") as container:
        packets = container.demux(container.streams.audio[0])
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.dts is not None]


def decoded(path: Path) -> list[av.VideoFrame]:
    """The frames as PyAV gives them, one thread."""
    with av.open(str(path), metadata_errors="replace") as container:
        return list(container.decode(video=0))


def plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """One plane of 8-bit or 16-bit words, without padding."""
    source = frame.planes[index]
    words = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)
    words = words.view(np.uint16) if frame.format.components[0].bits > 8 else words
    return words[: source.height, : source.width]


def picture(number: int, width: int = 160, height: int = 96) -> np.ndarray:
    """RGB uint8 [height, width, 3] of colours that no conversion clips, and another one a frame."""
    rows, columns = np.indices((height, width))
    waves = [np.sin((rows * a + columns * b) / 25 + number * c) for a, b, c in ((1, 2, 0.7), (2, -1, 0.5), (1, 1, 0.9))]
    return np.stack([128 + 40 * wave for wave in waves], axis=-1).astype(np.uint8)


def film(path: Path, codec: str, times: Sequence[int], *, matrix: list[int] | None = None, **options: str) -> Path:
    """A clip of pictures at these times, in units of a 25th of a second."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = 160, 96
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 2_000_000
        if matrix:
            stream.set_display_matrix(matrix)
        for number, pts in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]
