"""Which encoder, with which settings, for a file's name and a source's layout.

A GPU's own encoder, NVENC, stands beside a codec's encoder for the CPU. The quality counts on the codec's own scale
either way, so that one number asks for about the same with both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastswap import workers
from fastswap.errors import InputError, UsageError
from fastswap.video import encoders
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
    odd: whether it holds odd widths and heights; ten: whether it encodes ten bits; formats: in which it is given frames
    of eight and of ten bits; least: the smallest width and height that it takes; hardware: whether it runs on a GPU,
    from whose memory it takes frames too."""

    name: str
    default: int
    worst: int
    options: Callable[[int], dict[str, str]]
    containers: frozenset[str]
    odd: bool = False
    ten: bool = True
    least: int = 1
    tags: dict[str, str] = field(default_factory=dict)
    hardware: bool = False
    formats: tuple[str, str] = ("yuv420p", "yuv420p10le")

    def pixels(self, layout: str) -> str:
        """FFmpeg's name of the format that frames of a native layout are given in."""
        return "yuv420p" if layout == "rgb" else self.formats[layout == "p010"]


def _x264(quality: int) -> dict[str, str]:
    return {"preset": "faster", **({"qp": "0"} if quality == 0 else {"crf": str(quality)})}


def _x265(quality: int) -> dict[str, str]:
    lossless = ":lossless=1" if quality == 0 else ""
    pools = f":pools={workers.cores()}"  # it counts the machine's cores by itself, not those that we may use
    return {"preset": "fast", "crf": str(quality), "x265-params": f"log-level=error{pools}{lossless}"}


def _vp9(quality: int) -> dict[str, str]:
    speed = {"deadline": "good", "cpu-used": "4", "row-mt": "1"}
    return {**speed, **({"lossless": "1"} if quality == 0 else {"crf": str(quality), "b": "0"})}


def _av1(quality: int) -> dict[str, str]:
    os.environ.setdefault("SVT_LOG", "1")  # errors only: it knows no other way to be quiet
    return {"preset": "8", "crf": str(max(1, quality))}


def _ffv1(quality: int) -> dict[str, str]:
    return {"level": "3", "slicecrc": "1"}


def _nvenc_h26x(quality: int) -> dict[str, str]:
    """cq counts in the quantisers of the standard, as crf does. Without B-frames: FFmpeg counts their delay in units of
    the time base as if one were a frame, and ours is the source's, which is finer."""
    if quality == 0:
        return {"preset": "p5", "tune": "lossless", "bf": "0"}
    return {"preset": "p5", "tune": "hq", "rc": "vbr", "cq": str(quality), "bf": "0"}


def _nvenc_av1(quality: int) -> dict[str, str]:
    """NVENC's cq ends at 51 for every codec; it has no lossless AV1."""
    return _nvenc_h26x(max(1, round(quality * _NVENC_WORST / 63)))


NATIVE = ("nv12", "p010le")
"""The formats that frames have here as well: these are given as they lie in memory, not copied. x264 works in NV12."""
_NVENC_WORST = 51
_MP4 = frozenset({"mp4", "mov", "matroska"})
_OPEN = frozenset({"mp4", "matroska", "webm"})
_APPLE = {"mp4": "hvc1", "mov": "hvc1"}
"""Apple's players want HEVC under this name."""
_ENCODERS = {
    "h264": Encoder("libx264", 18, 51, _x264, _MP4 | {"avi"}, least=2, formats=("nv12", "yuv420p10le")),
    "hevc": Encoder("libx265", 20, 51, _x265, _MP4, least=16, tags=_APPLE),
    "vp9": Encoder("libvpx-vp9", 24, 63, _vp9, _OPEN, odd=True, ten=False),
    "av1": Encoder("libsvtav1", 24, 63, _av1, _OPEN, least=4),
    "ffv1": Encoder("ffv1", 0, 51, _ffv1, frozenset({"matroska", "avi"}), odd=True),
}
_NVENC = {
    "h264": Encoder("h264_nvenc", 18, 51, _nvenc_h26x, _MP4 | {"avi"}, ten=False, hardware=True, formats=NATIVE),
    "hevc": Encoder("hevc_nvenc", 20, 51, _nvenc_h26x, _MP4, tags=_APPLE, hardware=True, formats=NATIVE),
    "av1": Encoder("av1_nvenc", 24, 63, _nvenc_av1, _OPEN, hardware=True, formats=NATIVE),
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


def choose(path: Path, source: VideoInfo, codec: str, quality: int | None, encoder: str = "cpu") -> tuple[Encoder, int]:
    """The encoder and its quality number (0 is lossless where the encoder has that, larger is worse).

    encoder: "cpu", "nvenc", or "auto": NVENC where there is a GPU that has it for this source, else the CPU, which is
    said once. Raises UsageError for a name that is not known, a quality out of range, a codec that the container cannot
    hold, or where NVENC is asked for and cannot be used; InputError where no encoder of the container holds the
    source's size or depth.
    """
    encoders.check_encoder(encoder)
    container = container_of(path)
    order = [_canonical(codec, path, container)] if codec != "auto" else _natural(container, source)
    if encoder == "nvenc":
        return _on_gpu(path, container, source, codec, order, quality)
    name = next((n for n in order if _misfit(_ENCODERS[n], source) is None), order[0])
    chosen = _ENCODERS[name]
    misfit = _misfit(chosen, source)
    if misfit:
        raise InputError(f"{path.name}: {chosen.name} cannot hold {misfit}: write a .mkv with codec auto, which can")
    number = _checked(chosen, quality)
    hardware = _NVENC.get(name)
    if encoder == "auto" and hardware and encoders.gpu_here() and _misfit(hardware, source) is None:
        reason = _unusable(hardware, source, number)
        if reason is None:
            return hardware, number
        encoders.say_once(f"{reason}: encoding on {workers.cores()} cores")
    return chosen, number


def _on_gpu(
    path: Path, container: str, source: VideoInfo, codec: str, order: list[str], quality: int | None
) -> tuple[Encoder, int]:
    """NVENC, as asked for: of the codecs in `order`, the first that it has and that holds the source."""
    having = [_NVENC[n] for n in order if n in _NVENC] or (
        [e for e in _NVENC.values() if container in e.containers] if codec == "auto" else []
    )
    if not having:
        raise UsageError(f"{path.name}: NVENC has no {codec}: use codec {', '.join(_NVENC)}, or encoder cpu")
    chosen = next((e for e in having if _misfit(e, source) is None), having[0])
    misfit = _misfit(chosen, source)
    if misfit:
        raise UsageError(f"{path.name}: {chosen.name} cannot hold {misfit}: use encoder cpu")
    number = _checked(chosen, quality)
    reason = _unusable(chosen, source, number)
    if reason:
        raise UsageError(f"{path.name}: encoder nvenc cannot be used: {reason}: use encoder auto or cpu")
    return chosen, number


def _unusable(encoder: Encoder, source: VideoInfo, quality: int) -> str | None:
    """Why this machine cannot encode the source with `encoder`, or None."""
    options = tuple(encoder.options(quality).items())
    return encoders.why_not(encoder.name, source.width, source.height, encoder.pixels(source.layout), options)


def _checked(encoder: Encoder, quality: int | None) -> int:
    if quality is None:
        return encoder.default
    if not 0 <= quality <= encoder.worst:
        raise UsageError(f"quality {quality} is out of range: {encoder.name} takes 0 (best) to {encoder.worst}")
    return quality


def _canonical(codec: str, path: Path, container: str) -> str:
    name = _ALIASES.get(codec, codec)
    if name not in _ENCODERS:
        raise UsageError(f"codec {codec!r} is not known: use auto, {', '.join(_ENCODERS)}")
    if container not in _ENCODERS[name].containers:
        raise UsageError(f"{path.name}: a {path.suffix} file does not hold {codec}: use codec auto, or a .mkv")
    return name


def _natural(container: str, source: VideoInfo) -> list[str]:
    """The codecs of the container, the most usual first."""
    order = {"webm": ["vp9", "av1"], "avi": ["h264", "ffv1"]}.get(container, ["h264", "hevc", "vp9", "ffv1"])
    if source.layout == "p010" and container in _MP4:
        order = ["hevc", "ffv1"]
    return [name for name in order if container in _ENCODERS[name].containers]


def _misfit(encoder: Encoder, source: VideoInfo) -> str | None:
    if not encoder.odd and (source.width % 2 or source.height % 2):
        return f"the odd size {source.width}x{source.height}"
    if min(source.width, source.height) < encoder.least:
        return f"the small size {source.width}x{source.height}"
    if not encoder.ten and source.layout == "p010":
        return "ten bits"
    return None
