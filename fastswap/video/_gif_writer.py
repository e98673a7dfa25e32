"""Writing an animated GIF: every frame with its own 256 colours, the times rounded to GIF's hundredths of a second."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Any, cast

import numpy as np

from fastswap.storage import atomic
from fastswap.video import _samples
from fastswap.video._writer import VideoWriter
from fastswap.video.frame import Frame

_TIME_BASE = Fraction(1, 100)
_OPAQUE = 255
_COLOURS = 256


class GifWriter(VideoWriter):
    """Writes one GIF that loops for ever, which is what viewers of a GIF expect."""

    _last = -1

    def _begin(self, first: Frame) -> None:
        import av

        temporary = self._stack.enter_context(atomic(self.path))
        self._output = av.open(f"file:{temporary}", "w", format="gif")
        self._stack.callback(self._close)
        rate = self.source.fps.limit_denominator(1000)
        self._stream = self._output.add_stream("gif", rate=rate, options={"gifflags": "0"})
        self._stream.width, self._stream.height = self.source.width, self.source.height
        self._stream.pix_fmt = "pal8"
        self._stream.time_base = self._stream.codec_context.time_base = _TIME_BASE

    def _close(self) -> None:
        import av

        with suppress(av.FFmpegError):  # it has been closed already, unless something went wrong before
            self._output.close()

    def _put(self, frame: Frame) -> None:
        from av import VideoFrame
        from PIL import Image

        image = Image.fromarray(_samples.to_rgb(frame.planes)).quantize(_COLOURS)
        colours = np.zeros((_COLOURS, 4), np.uint8)
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        colours[: len(palette)] = np.insert(palette, 0, _OPAQUE, axis=1)
        picture = VideoFrame.from_ndarray(cast(Any, (np.asarray(image), colours)), format="pal8")
        picture.time_base = _TIME_BASE
        picture.pts = max(self._last + 1, round(frame.pts * frame.time_base / _TIME_BASE))
        self._last = picture.pts
        for packet in self._stream.encode(picture):
            packet.duration = max(1, round(frame.duration * frame.time_base / _TIME_BASE))
            self._output.mux(packet)

    def _finish(self) -> None:
        self._output.mux(self._stream.encode(None))
        self._output.close()
