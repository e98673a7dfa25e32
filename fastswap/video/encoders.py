"""Which encoders there are to choose from; and whether NVENC, that of NVIDIA's GPUs, can be used here, found out by
opening it.

No list of GPUs is kept but the one that people are told about: a driver says best what it can do. Data-centre GPUs made
for training have no NVENC at all; in a container, the driver's video libraries are often missing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any, Literal

from fastswap.errors import UsageError

EncoderName = Literal["auto", "nvenc", "cpu"]
ENCODERS: tuple[EncoderName, ...] = ("auto", "nvenc", "cpu")
PictureName = Literal["png", "jpg"]
PICTURES: tuple[PictureName, ...] = ("png", "jpg")
"""What the frames of a video become in a folder."""

_log = logging.getLogger("fastswap")
_CODECS = ("h264", "hevc", "av1")
_TYPICAL = (1280, 720)
_NO_DRIVER = "no NVIDIA driver here"
_REASONS = (
    ("libcuda", _NO_DRIVER),
    ("nvcuda", _NO_DRIVER),
    ("libnvidia-encode", "the driver's video library (libnvidia-encode) is missing: in a container, set "
     "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"),
    ("nvencodeapi", "the driver's video library (nvEncodeAPI) is missing"),
    ("required nvenc api version", "the NVIDIA driver is too old for this FFmpeg's NVENC"),
    ("no cuda capable devices", "the NVIDIA driver shows no GPU"),
    ("unsupported device", "this GPU has no NVENC (A100, H100, H200, B200 have none)"),
    ("codec not supported", "this GPU's NVENC has not this codec"),
    ("10 bit encode not supported", "this GPU's NVENC does not encode ten bits of this codec"),
    ("lossless encoding not supported", "this GPU's NVENC is not lossless in this codec"),
    ("exceeds", "the frame is larger than this GPU's NVENC takes"),
    ("frame dimension less", "the frame is smaller than NVENC takes"),
    ("out of memory", "NVENC is busy: the GPU has no room for one more encoder"),
)  # fmt: skip
"""What FFmpeg's log says (in lower case), and what that means. The first of these that is found holds."""


def check_encoder(name: str, pictures: str = "png") -> None:
    """Raises UsageError for the name of no encoder, or of no format of pictures."""
    if name not in ENCODERS:
        raise UsageError(f"--encoder {name}: choose one of {', '.join(ENCODERS)}")
    if pictures not in PICTURES:
        raise UsageError(f"--pictures {pictures}: choose one of {', '.join(PICTURES)}")


def gpu_here() -> bool:
    """Whether torch can use a GPU, and with it frames may come from one."""
    import torch

    return torch.cuda.is_available()


def nvenc() -> dict[str, str | None]:
    """From each codec that NVENC may have to why it cannot be used here; None where it can."""
    width, height = _TYPICAL
    return {codec: why_not(f"{codec}_nvenc", width, height, "yuv420p", ()) for codec in _CODECS}


@cache
def why_not(name: str, width: int, height: int, pixels: str, options: tuple[tuple[str, str], ...]) -> str | None:
    """Why this machine cannot encode frames of this size and pixel format with FFmpeg's encoder `name`; None where it
    can. Tried out once for each question."""
    import av
    import av.logging

    context: Any = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = dict(options)
    level = av.logging.get_level()
    av.logging.set_level(av.logging.VERBOSE)  # of several GPUs, FFmpeg says what each lacks on this level only
    try:
        with av.logging.Capture() as lines:
            context.open()
    except av.FFmpegError as error:
        return explain([message for _, _, message in lines], str(error.strerror))
    finally:
        av.logging.set_level(level)
    return None


def explain(lines: Sequence[str], error: str) -> str:
    """What the log of an encoder that did not open means, in a few words; FFmpeg's own where they are not known."""
    said = [line.lower() for line in lines]
    for clue, meaning in _REASONS:
        if any(clue in line for line in said):
            return meaning
    return f"NVENC does not open ({lines[-1].strip() if lines else error})"


@cache
def say_once(line: str) -> None:
    """Logs a line, once in the life of the process."""
    _log.info("%s", line)
