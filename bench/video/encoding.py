"""Encoding with PyAV and nothing else: of the clips, of the plain implementation, of the codec alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from fastswap.video import ColourTags


@dataclass(frozen=True)
class Encoder:
    """What FFmpeg calls it, and its options."""

    name: str
    options: dict[str, str]


@dataclass(frozen=True)
class Format:
    """Of a video: size in px, frames a second, colour tags."""

    width: int
    height: int
    fps: Fraction
    tags: ColourTags


def encode(pictures: Iterable[Any], path: Path, form: Format, encoder: Encoder) -> int:
    """Encodes av.VideoFrames, a frame each, and says how many."""
    import av

    index = -1
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(encoder.name, rate=form.fps, options=encoder.options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = form.width, form.height, "yuv420p"
        context.thread_type = "AUTO"  # whole frames at once, as our writer has it
        context.colorspace, context.color_primaries = form.tags.matrix, form.tags.primaries
        context.color_trc, context.color_range = form.tags.transfer, form.tags.range
        for index, picture in enumerate(pictures):
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return index + 1
