"""The clips of the video bench, made on the spot: heads that move over a moving background, encoded once.

A real photo's head, turned, tilted and shifted by fractions of a pixel before a texture whose spectrum falls as that of
photographs does. Contrast and motion are such that x264 takes as long as for a camera's clip of a talking head: 35
CPU-ms a frame of 1080p at 4.9 Mbit/s, beside 33 and 34 ms of two real ones at 2.2 and 3.3 Mbit/s.
The colours are BT.601, which is what OpenCV takes every video for: so both sides of the comparison see the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fastswap.bench.video.encoding import Encoder, Format, encode
from fastswap.faces import FaceFinder, align, pixel_matrix
from fastswap.ops import Planes, warp
from fastswap.quality.portraits import admiral
from fastswap.video import ColourTags

SIZES = {"480p": (848, 480), "720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}
"""Name -> width, height."""
FPS = 25
FACE = 256 / 1080
"""The height of a face (the box of its landmarks) over the frame's: 256 px of 1080."""
_ENCODER = Encoder("libx264", {"preset": "faster", "crf": "20"})
_BT601 = 6  # H.273's number for its matrix, primaries and transfer
_HEAD = (0.78, 1.0)
"""Half axes of the oval that is cut out of the photo, in heights of the face: head and collar."""
_SOFT = 0.06  # the same unit: how far its edge runs out
_CONTRAST = 14  # levels of luma: the texture's deviation
_ROOM = 1.04  # how much larger than the frame the texture is, so that it can move
_TURN, _SWAY, _ZOOM = 6.0, 0.06, 0.04  # degrees; heights of the face; a factor

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Portrait:
    """A photo RGB [h, w, 3] with the box of its one face: its middle (x, y) and height in px; aligned: that face as a
    generator would give it, float [1, 3, s, s] in 0..1."""

    photo: Picture
    middle: tuple[float, float]
    height: float
    landmarks: torch.Tensor

    @staticmethod
    def load() -> Portrait:
        photo = np.array(admiral())
        found = FaceFinder().find(_rgb(photo))
        x0, y0, x1, y1 = found.box[0].tolist()
        return Portrait(photo, ((x0 + x1) / 2, (y0 + y1) / 2), y1 - y0, found.landmarks[:1])

    def aligned(self, size: int, coverage: float) -> torch.Tensor:
        """The face as a network of this size sees it: float [1, 3, size, size], 0..1."""
        return warp(_rgb(self.photo), pixel_matrix(align(self.landmarks), size, coverage), size)


def make_clip(path: Path, portrait: Portrait, size: str, faces: int, frames: int) -> None:
    """Writes an H.264 clip of that many frames with that many faces in each."""
    from av import VideoFrame

    width, height = SIZES[size]
    pictures = _pictures(portrait, width, height, faces, frames)
    yuv: Iterator[NDArray[Any]] = (cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420) for picture in pictures)
    form = Format(width, height, Fraction(FPS), ColourTags(_BT601, _BT601, _BT601, range=1))
    encode((VideoFrame.from_ndarray(each, "yuv420p") for each in yuv), path, form, _ENCODER)


def _pictures(portrait: Portrait, width: int, height: int, faces: int, frames: int) -> Iterator[Picture]:
    texture = _texture(math.ceil(_ROOM * width), math.ceil(_ROOM * height))
    sprite = np.dstack([portrait.photo, _cutout(portrait)])
    for index in range(frames):
        seconds = index / FPS
        x, y = ((1 + math.sin(0.9 * seconds + turn)) * (_ROOM - 1) / 2 for turn in (0, 2))
        shift = np.array([[1, 0, x * width], [0, 1, y * height]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = np.asarray(cv2.warpAffine(texture, shift, (width, height), flags=flags), np.uint8)
        for place in range(faces):
            _add(picture, sprite, _placement(portrait, width, height, place, faces, seconds))
        yield picture


def _placement(
    portrait: Portrait, width: int, height: int, place: int, faces: int, seconds: float
) -> NDArray[np.float64]:
    """From the photo's px to the frame's, [2, 3]: the faces stand in a row and sway, each in its own time."""
    unit = FACE * height
    phase = seconds + 1.7 * place
    scale = unit / portrait.height * (1 + _ZOOM * math.sin(0.8 * phase))
    matrix = cv2.getRotationMatrix2D(portrait.middle, _TURN * math.sin(1.1 * phase), scale)
    x = width * (place + 0.5) / faces + _SWAY * unit * math.sin(1.7 * phase)
    y = height / 2 + _SWAY * unit * math.cos(1.3 * phase)
    moved = np.asarray(matrix, np.float64)
    moved[:, 2] += np.array([x, y]) - portrait.middle
    return moved


def _add(picture: Picture, sprite: Picture, matrix: NDArray[np.float64]) -> None:
    """Lays the cut-out head on the picture, in place, inside of its rectangle."""
    rows, columns = sprite.shape[:2]
    corners = matrix @ np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]])
    x0, y0 = (max(math.floor(v), 0) for v in corners.min(1))
    x1, y1 = (min(math.ceil(v), side) for v, side in zip(corners.max(1), picture.shape[1::-1], strict=True))
    moved = matrix - np.array([[0, 0, x0], [0, 0, y0]])
    shrinks = np.hypot(*matrix[:, 0]) < 1
    flags = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    layer = cv2.warpAffine(sprite, moved, (x1 - x0, y1 - y0), flags=flags).astype(np.float32)
    part, weight = picture[y0:y1, x0:x1], layer[..., 3:] / 255
    part[:] = np.rint(part + weight * (layer[..., :3] - part)).clip(0, 255)


def _cutout(portrait: Portrait) -> Picture:
    """What of the photo is shown, uint8 [h, w]: an oval round the head with a soft edge."""
    rows, columns = portrait.photo.shape[:2]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    unit = portrait.height
    radius = np.hypot((x - portrait.middle[0]) / (_HEAD[0] * unit), (y - portrait.middle[1]) / (_HEAD[1] * unit))
    return np.asarray(np.clip((1 - radius) / _SOFT, 0, 1) * 255, np.uint8)


def _texture(width: int, height: int) -> Picture:
    """RGB noise whose amplitude falls with the frequency: Field 1987 (natural images: 1/f)."""
    rng = np.random.default_rng(5)
    rate = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    rate[0, 0] = np.inf
    luma = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) / rate, (height, width))
    luma = 110 + _CONTRAST * luma / luma.std()
    blobs = rng.uniform(-25, 25, (9, 16, 3)).astype(np.float32)
    tint = cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray((luma[..., None] + tint).clip(0, 255), np.uint8)


def _rgb(photo: Picture) -> Planes:
    return Planes("rgb", (torch.from_numpy(photo)[None],))
