"""Reading pictures with Pillow: upright RGB, whatever mode they are stored in.

Alpha is dropped, and what shows is the colour stored beneath it; 16 bits are scaled to 8, not clipped; CMYK and
palettes are converted; a colour profile travels with an RGB picture.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastswap.errors import InputError
from fastswap.ops.planes import Planes
from fastswap.video._containers import log
from fastswap.video.frame import Frame, VideoInfo

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "ICO", "SGI", "PCX")
"""By content. Left out: formats that Pillow guesses at, that run other programs, or that only name a video."""
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif", ".tif", ".tiff", ".bmp"),
        *(".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".ico", ".sgi", ".pcx"),
    }
)
_CLIPS = frozenset({"PNG", "WEBP", "AVIF"})
"""Formats whose further images are frames of an animation. GIF is left to PyAV; TIFF and MPO hold other things."""
_MJPEG_SUFFIXES = frozenset({".mjpeg", ".mjpg"})
_MAX_16 = 65535
_FPS = Fraction(25)
_HEIF = re.compile(rb"ftyp(heic|heix|hevc|hevx|heim|heis|mif1|msf1)")
UNREADABLE = (OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error)
"""What Pillow raises on damaged files; a picture with a broken header can end in any of these."""


@dataclass(frozen=True, slots=True)
class Picture:
    """pixels: uint8 [H, W, 3]; format: Pillow's name of the file's format, in lower case."""

    pixels: NDArray[np.uint8]
    format: str
    icc_profile: bytes | None


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Pillow's warnings about odd metadata from the user's screen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def opened(path: Path) -> Iterator[Any]:  # PIL.Image.Image
    """The picture, not yet decoded. Raises InputError for a trap that would unpack to gigabytes, and
    PIL.UnidentifiedImageError for what is no picture."""
    from PIL import Image

    try:
        Image.init()
        with quiet():
            image = Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} declares a picture too large to be one (over 178 megapixels): it is not opened"
        ) from error
    with image:
        yield image


def kind(path: Path) -> str | None:
    """ "picture", "clip" (an animation that Pillow reads), or None where the content is no picture for Pillow."""
    from PIL import UnidentifiedImageError

    if path.suffix.lower() in _MJPEG_SUFFIXES:
        return None
    try:
        with opened(path) as image:
            if not getattr(image, "is_animated", False):
                return "picture"
            if image.format == "GIF":
                return None
            return "clip" if image.format in _CLIPS else "picture"
    except UnidentifiedImageError:
        _refuse_heif(path)
        return None
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as a picture: {line(error)}") from error


def _refuse_heif(path: Path) -> None:
    with path.open("rb") as file:
        if _HEIF.match(file.read(12)[4:]):
            raise InputError(f"{path} is a HEIC picture, which cannot be read here: save it as JPEG or PNG first")


def line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def read_picture(path: Path) -> Picture:
    """The picture, upright. Raises InputError where it cannot be read whole."""
    from PIL import UnidentifiedImageError

    try:
        with opened(path) as image, quiet():
            name = str(image.format).lower()
            profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA", "P") else None
            image.load()
            _turn_upright(image)
            return Picture(to_rgb(image), name, profile)
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is no picture, whatever its name says") from error
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as a picture: {line(error)}") from error


def _turn_upright(image: Any) -> None:
    """Turns it as its EXIF says, in place; leaves it where the EXIF is broken, for the picture may be sound."""
    from PIL import ImageOps

    with suppress(*UNREADABLE):
        ImageOps.exif_transpose(image, in_place=True)


def to_rgb(image: Any) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        grey = _eight_bits(np.asarray(image))
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _eight_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit grey, or 32-bit and float grey of whatever range, to 0..255: scaled and rounded."""
    if samples.dtype == np.uint16:
        return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    top = float(samples.max(initial=0))
    if samples.dtype.kind == "f":
        full = 1.0 if top <= 1 else 255.0 if top <= 255 else max(top, _MAX_16)
    else:
        full = max(top, _MAX_16)
    return np.rint(np.clip(samples / full, 0, 1) * 255).astype(np.uint8)


def info_of_picture(path: Path) -> VideoInfo:
    """A single picture as a video of one frame. Raises InputError where it cannot be read."""
    picture = read_picture(path)
    return _info(path, picture, 1)


def info_of_folder(folder: Path) -> VideoInfo:
    """A folder as a video of its pictures; size and format are the first readable one's. Raises InputError where there
    is none."""
    pictures = list_pictures(folder, say=True)
    for path in pictures:
        try:
            return _info(folder, read_picture(path), len(pictures))
        except InputError:
            continue
    if pictures:
        raise InputError(f"{folder}: none of its {len(pictures)} pictures can be read")
    raise InputError(f"{folder} holds no pictures: name a video, a picture, or a folder with pictures in it")


def _info(path: Path, picture: Picture, count: int) -> VideoInfo:
    height, width = picture.pixels.shape[:2]
    return VideoInfo(path, width, height, count, _FPS, 1 / _FPS, "rgb", picture.format, is_pictures=True)


def list_pictures(folder: Path, *, say: bool = False) -> list[Path]:
    """The picture files of a folder in natural order ("2.png" before "10.png"); say: log what is left out."""
    entries = list(folder.iterdir())
    found = [p for p in entries if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()]
    if say and len(found) < len(entries):
        left_out = sorted({p.name for p in entries} - {p.name for p in found})
        log.info("%s: %d entries are no pictures and are left out (%s, ...)", folder, len(left_out), left_out[0])
    return sorted(found, key=lambda path: (_natural(path.name), path.name))


def _natural(name: str) -> list[tuple[bool, int, str]]:
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts if part]


def frames_of_pictures(info: VideoInfo) -> Iterator[Frame]:
    """Each picture of a folder, or the one picture. In a folder, what cannot be read is said and left out."""
    single = info.path.is_file()
    index = 0
    for path in [info.path] if single else list_pictures(info.path):
        try:
            picture = read_picture(path)
        except InputError as error:
            if single:
                raise
            log.warning("left out: %s", error)
            continue
        yield Frame(planes_of(picture.pixels), index, index, info.time_base, 1, path.name, picture.icc_profile)
        index += 1


def planes_of(pixels: NDArray[np.uint8]) -> Planes:
    return Planes("rgb", (torch.from_numpy(pixels).unsqueeze(0),))
