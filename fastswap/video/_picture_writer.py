"""Writing pictures with Pillow: one, or a folder of them named as in the source."""

from __future__ import annotations

import os
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastswap import workers
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


def _save(pixels: NDArray[np.uint8], profile: bytes | None, path: Path) -> None:
    from PIL import Image

    suffix = path.suffix.lower()
    options = FORMATS[suffix]
    if profile and suffix != ".bmp":
        options = {**options, "icc_profile": profile}
    Image.fromarray(pixels).save(path, **options)


class PictureWriter(VideoWriter):
    """Writes a single picture."""

    def _begin(self, first: Frame) -> None:
        self._temporary = self._stack.enter_context(atomic(self.path))

    def _put(self, frame: Frame) -> None:
        _save(_samples.to_rgb(frame.planes), frame.icc_profile, self._temporary)

    def _finish(self) -> None:
        """The file is whole as soon as it is saved."""


class FolderWriter(VideoWriter):
    """Writes each frame as a picture, into a folder beside the output that takes its place at the end. An output folder
    that is there already keeps what else it holds. Frames may differ in size.

    suffix: of frames that have no name. Pictures are compressed on all cores, at most one more at a time than those.
    """

    def __init__(self, path: Path, source: VideoInfo, suffix: str) -> None:
        super().__init__(path, source)
        self._suffix = suffix
        self._staging = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._names: set[str] = set()
        self._saving: deque[Future[None]] = deque()
        self._workers = workers.for_device("cpu")

    def _check(self, frame: Frame) -> None:
        """Pictures of a folder have any size."""

    def _begin(self, first: Frame) -> None:
        self._staging.mkdir(parents=True)
        self._stack.callback(shutil.rmtree, self._staging, ignore_errors=True)
        self._pool = self._stack.enter_context(ThreadPoolExecutor(self._workers))

    def _put(self, frame: Frame) -> None:
        pixels = _samples.to_rgb(frame.planes).copy()  # the caller's frame is the caller's again when this returns
        target = self._staging / self._name(frame)
        self._saving.append(self._pool.submit(_save, pixels, frame.icc_profile, target))
        if len(self._saving) > self._workers:
            self._saving.popleft().result()

    def _name(self, frame: Frame) -> str:
        """The source's name with an ending that can be written; with its own ending before that where two would clash
        ("a.tif" beside "a.png"). Where there is none, the frame's number."""
        source = Path(frame.name or f"{frame.index:06d}{self._suffix}")
        kept = source.suffix.lower() in _KEPT
        name = source.name if kept else f"{source.stem}.png"
        if name.casefold() in self._names:
            name = f"{source.name}.png"
        self._names.add(name.casefold())
        return name

    def _finish(self) -> None:
        while self._saving:
            self._saving.popleft().result()
        if not self.path.exists():
            self._staging.rename(self.path)
            return
        for file in sorted(self._staging.iterdir()):
            file.replace(self.path / file.name)
