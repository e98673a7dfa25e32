"""Reading animated PNG, WebP and AVIF with Pillow, which knows their durations; GIF is left to PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from fastswap.errors import InputError
from fastswap.video._containers import log
from fastswap.video._pictures import UNREADABLE, line, opened, planes_of, quiet, to_rgb
from fastswap.video.frame import Frame, VideoInfo

_TIME_BASE = Fraction(1, 1000)
_DEFAULT_DURATION_MS = 100
"""How long browsers show a frame that gives no duration."""
_PROBED_FRAMES = 8


def info_of_clip(path: Path) -> VideoInfo:
    """What an animation is; the frame rate is that of its beginning. Raises InputError where it cannot be read."""
    try:
        with opened(path) as image, quiet():
            durations = []
            for number in range(min(image.n_frames, _PROBED_FRAMES)):
                image.seek(number)
                image.load()
                durations.append(_duration(image))
            fps = (len(durations) * 1000 / Fraction(sum(durations))).limit_denominator(1001)
            return VideoInfo(
                path, image.width, image.height, image.n_frames, fps, _TIME_BASE, "rgb", str(image.format).lower()
            )
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as an animation: {line(error)}") from error


def _duration(image: Any) -> int:
    return max(1, round(image.info.get("duration") or _DEFAULT_DURATION_MS))


def frames_of_clip(info: VideoInfo) -> Iterator[Frame]:
    """Every frame of an animation that decodes; damage ends it with one warning."""
    pts = 0
    with opened(info.path) as image:
        for index in range(image.n_frames):
            try:
                with quiet():
                    image.seek(index)
                    pixels = to_rgb(image)
            except UNREADABLE as error:
                log.warning("%s is damaged after %d frames: %s", info.path.name, index, line(error))
                return
            duration = _duration(image)
            yield Frame(planes_of(pixels), index, pts, _TIME_BASE, duration)
            pts += duration
