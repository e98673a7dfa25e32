"""Which encoder, with which settings, for a file's name and a source's layout."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastswap.errors import InputError, UsageError
from fastswap.video.frame import VideoInfo

CONTAINERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi", ".gif": "gif",
}  # fmt: skip
TURNABLE = frozenset({"mp4", "mov"})
"""Containers whose display matrix every player follows: stored frames stay as the source stored them."""
CONSTANT_RATE = frozenset({"avi"})
"""Containers that keep no times: frames follow each other at one rate, in the order of decoding."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder of FFmpeg. options: from the quality to its settings; worst: the largest quality number;
    odd: whether it holds odd widths and heights; ten: whether it encodes ten bits."""

    name: str
    default: int
    worst: int
    options: Callable[[int], dict[str, str]]
    containers: frozenset[str]
    odd: bool = False
    ten: bool = True
    tags: dict[str, str] = field(default_factory=dict)


def _x264(quality: int) -> dict[str, str]:
    return {"preset": "faster", **({"qp": "0"} if quality == 0 else {"crf": str(quality)})}


def _x265(quality: int) -> dict[str, str]:
    lossless = ":lossless=1" if quality == 0 else ""
    return {"preset": "fast", "crf": str(quality), "x265-params": f"log-level=error{lossless}"}


def _vp9(quality: int) -> dict[str, str]:
    speed = {"deadline": "good", "cpu-used": "4", "row-mt": "1"}
    return {**speed, **({"lossless": "1"} if quality == 0 else {"crf": str(quality), "b": "0"})}


def _av1(quality: int) -> dict[str, str]:
    os.environ.setdefault("SVT_LOG", "1")  # errors only: it knows no other way to be quiet
    return {"preset": "8", "crf": str(max(1, quality))}


def _ffv1(quality: int) -> dict[str, str]:
    return {"level": "3", "slicecrc": "1"}


_MP4 = frozenset({"mp4", "mov", "matroska"})
_APPLE = {"mp4": "hvc1", "mov": "hvc1"}
"""Apple's players want HEVC under this name."""
_ENCODERS = {
    "h264": Encoder("libx264", 18, 51, _x264, _MP4 | {"avi"}),
    "hevc": Encoder("libx265", 20, 51, _x265, _MP4, tags=_APPLE),
    "vp9": Encoder("libvpx-vp9", 24, 63, _vp9, frozenset({"mp4", "matroska", "webm"}), odd=True, ten=False),
    "av1": Encoder("libsvtav1", 24, 63, _av1, frozenset({"mp4", "matroska", "webm"}), odd=False),
    "ffv1": Encoder("ffv1", 0, 51, _ffv1, frozenset({"matroska", "avi"}), odd=True),
}
_ALIASES = {
    "libx264": "h264",
    "x264": "h264",
    "libx265": "hevc",
    "h265": "hevc",
    "x265": "hevc",
    "libvpx-vp9": "vp9",
    "libsvtav1": "av1",
}


def container_of(path: Path) -> str:
    """FFmpeg's name of the container that the file's ending stands for. Raises UsageError for another ending."""
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise UsageError(
            f"{path.name}: a video cannot be written as {path.suffix!r}: use one of {' '.join(CONTAINERS)}"
        )
    return container


def choose(path: Path, source: VideoInfo, codec: str, quality: int | None) -> tuple[Encoder, int]:
    """The encoder and its quality number (0 is lossless where the encoder has that, larger is worse).

    Raises UsageError for an unknown codec, a quality out of range, or a codec that the container cannot hold;
    InputError where no encoder of the container holds the source's size or depth.
    """
    container = container_of(path)
    encoder = _named(path, container, codec) if codec != "auto" else _natural(path, container, source)
    _check_fit(path, encoder, source)
    if quality is None:
        return encoder, encoder.default
    if not 0 <= quality <= encoder.worst:
        raise UsageError(f"quality {quality} is out of range: {encoder.name} takes 0 (best) to {encoder.worst}")
    return encoder, quality


def _named(path: Path, container: str, codec: str) -> Encoder:
    encoder = _ENCODERS.get(_ALIASES.get(codec, codec))
    if encoder is None:
        raise UsageError(f"codec {codec!r} is not known: use auto, {', '.join(_ENCODERS)}")
    if container not in encoder.containers:
        raise UsageError(f"{path.name}: a {path.suffix} file does not hold {codec}: use codec auto, or a .mkv")
    return encoder


def _natural(path: Path, container: str, source: VideoInfo) -> Encoder:
    """The container's usual encoder among those that hold the source's size and depth; the most usual if none does."""
    order = {"webm": ["vp9", "av1"], "avi": ["h264", "ffv1"]}.get(container, ["h264", "hevc", "vp9", "ffv1"])
    if source.layout == "p010" and container in _MP4:
        order = ["hevc", "ffv1"]
    fitting = [
        _ENCODERS[n] for n in order if container in _ENCODERS[n].containers and _misfit(_ENCODERS[n], source) is None
    ]
    return fitting[0] if fitting else _ENCODERS[order[0]]


def _misfit(encoder: Encoder, source: VideoInfo) -> str | None:
    if not encoder.odd and (source.width % 2 or source.height % 2):
        return f"the odd size {source.width}x{source.height}"
    if not encoder.ten and source.layout == "p010":
        return "ten bits"
    return None


def _check_fit(path: Path, encoder: Encoder, source: VideoInfo) -> None:
    misfit = _misfit(encoder, source)
    if misfit:
        raise InputError(f"{path.name}: {encoder.name} cannot hold {misfit}: write a .mkv with codec auto, which can")
