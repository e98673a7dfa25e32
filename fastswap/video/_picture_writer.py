"""Writing pictures with Pillow: one, or a folder of them named as in the source."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from fastswap.storage import atomic
from fastswap.video import _samples
from fastswap.video._writer import VideoWriter
from fastswap.video.frame import Frame, VideoInfo

FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "compress_level": 3},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True},
    ".bmp": {"format": "BMP"},
    ".tif": {"format": "TIFF", "compression": "tiff_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_deflate"},
}
"""Endings and how they are written: lossless, except for JPEG, which keeps its chroma whole."""
_KEPT = frozenset({".jpg", ".jpeg", ".png"})


def _save(frame: Frame, path: Path, suffix: str) -> None:
    from PIL import Image

    image = Image.fromarray(_samples.to_rgb(frame.planes))
    options = FORMATS[suffix]
    if frame.icc_profile and suffix != ".bmp":
        options = {**options, "icc_profile": frame.icc_profile}
    image.save(path, **options)


class PictureWriter(VideoWriter):
    """Writes a single picture."""

    def _begin(self) -> None:
        self._temporary = self._stack.enter_context(atomic(self.path))

    def _put(self, frame: Frame) -> None:
        _save(frame, self._temporary, self.path.suffix.lower())

    def _finish(self) -> None:
        """The file is whole as soon as it is saved."""


class FolderWriter(VideoWriter):
    """Writes each frame as a picture, into a folder beside the output that takes its place at the end. An output folder
    that is there already keeps what else it holds. Frames may differ in size."""

    def __init__(self, path: Path, source: VideoInfo) -> None:
        super().__init__(path, source)
        self._staging = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._names: set[str] = set()

    def _check(self, frame: Frame) -> None:
        """Pictures of a folder have any size."""

    def _begin(self) -> None:
        self._staging.mkdir(parents=True)
        self._stack.callback(shutil.rmtree, self._staging, ignore_errors=True)

    def _put(self, frame: Frame) -> None:
        name = self._name(frame)
        _save(frame, self._staging / name, Path(name).suffix.lower())

    def _name(self, frame: Frame) -> str:
        """The source's name with an ending that can be written; with its own ending before that where two would clash
        ("a.tif" beside "a.png")."""
        source = Path(frame.name or f"{frame.index:06d}.png")
        kept = source.suffix.lower() in _KEPT
        name = source.name if kept else f"{source.stem}.png"
        if name.casefold() in self._names:
            name = f"{source.name}.png"
        self._names.add(name.casefold())
        return name

    def _finish(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        for file in sorted(self._staging.iterdir()):
            file.replace(self.path / file.name)
