"""From a video to the faces in it: decode, find, align, crop, write. One pass, one chunk of frames at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastswap.faces import (
    EXTENT,
    TEMPLATE,
    FaceFinder,
    Faces,
    align,
    head_pose,
    is_cut,
    persons,
    pixel_matrix,
    thumbnail,
)
from fastswap.faceset.format import FaceSetMeta, Source, hash_source
from fastswap.faceset.parts import Parts, empty_rows, settings_of
from fastswap.ops import Planes, warp
from fastswap.progress import Report
from fastswap.video import Frame, Video, open_video
from fastswap.video.chunk import chunks

_PART_FRAMES = 256
"""Frames of a part: what a kill can cost (about ten seconds)."""
_ENCODERS = 2
_PNG_LEVEL = 1
"""The fastest PNG that still compresses: level 3 costs 1.6 times the time for a few per cent."""


@dataclass(frozen=True)
class ScanSettings:
    """What to look for. size: of the aligned faces, in pixels; every: look at each how manieth frame; small: search
    tiles for faces that are small in the frame; min_size: of a face's box, in pixels of its longer side; persons: what
    they are told apart by, "appearance" or "identity" (see `faces.persons`); pictures: write the aligned faces too."""

    source: Path
    folder: Path
    size: int = 512
    every: int = 1
    device: str = "cpu"
    small: bool = False
    min_size: int = 0
    persons: str = "appearance"
    pictures: bool = True


def describe_source(video: Video) -> Source:
    """What a face set remembers of the video it came from. Reads the whole file once, for its checksum."""
    info = video.info
    return Source(
        name=info.path.name,
        path=str(info.path.resolve()),
        sha256=hash_source(info.path),
        width=info.width,
        height=info.height,
        frames=info.frames or 0,
        fps=str(info.fps),
        aspect=info.aspect,
    )


def meta_of(settings: ScanSettings, source: Source) -> FaceSetMeta:
    """The description of the face set that a scan with these settings makes of this source."""
    return FaceSetMeta(source, settings.size, settings.every, TEMPLATE, EXTENT, settings.pictures, settings.persons)


def scan(settings: ScanSettings, meta: FaceSetMeta, report: Report) -> int:
    """Finds the faces of `settings.source` and writes the face set; goes on where an interrupted scan with the same
    settings stopped. Returns the number of faces (0: nothing is left behind). Raises InputError for an unusable
    source."""
    state = {**settings_of(meta), "small": settings.small, "min_size": settings.min_size}
    parts = Parts(settings.folder, state)
    start = parts.begin()
    with open_video(settings.source) as video, ThreadPoolExecutor(_ENCODERS) as pool:
        scanner = _Scanner(settings, video, pool)
        for rows, cuts, next_frame in scanner.parts(start, report):
            parts.write(rows, cuts, next_frame)
        fps = float(video.info.fps)
    faces = parts.finish(meta, fps, scanner.persons.same_person)
    if not faces:
        parts.remove()
    return faces


class _Scanner:
    def __init__(self, settings: ScanSettings, video: Video, pool: ThreadPoolExecutor) -> None:
        self.settings = settings
        self.video = video
        self.pool = pool
        pictures = video.info.is_pictures
        self.finder = FaceFinder(settings.device, small=settings.small or pictures)
        self.persons = persons.method(settings.persons)
        self.previous: Tensor | None = None
        self.faces = 0

    def parts(self, start: int, report: Report) -> Iterator[tuple[dict[str, list[Any]], list[int], int]]:
        """Yields (rows, cuts, next frame) a part, once the part's pictures are on disk."""
        rows, cuts, written, first = empty_rows(), list[int](), list[Future[None]](), start
        frame = start
        for chunk in self._chunks(start):
            self._look(chunk, rows, cuts, written)
            frame = chunk[-1].index + 1
            report(frame, f"{self.faces} faces")
            if frame - first >= _PART_FRAMES * self.settings.every:
                _wait(written)
                yield rows, cuts, frame
                rows, cuts, written, first = empty_rows(), [], [], frame
        if frame > first:
            _wait(written)
            yield rows, cuts, frame

    def _chunks(self, start: int) -> Iterator[list[Frame]]:
        every = self.settings.every
        return chunks(frame for frame in self.video if frame.index >= start and frame.index % every == 0)

    def _look(
        self, chunk: list[Frame], rows: dict[str, list[Any]], cuts: list[int], written: list[Future[None]]
    ) -> None:
        planes = Planes.stack([frame.planes for frame in chunk])
        for frame, small in zip(chunk, thumbnail(planes), strict=True):
            if self.previous is not None and (self.video.info.is_pictures or is_cut(self.previous, small)):
                cuts.append(frame.index)
            self.previous = small
        planes = planes.to(self.settings.device)
        aspect = self.video.info.aspect
        faces = self._large_enough(self.finder.find(planes, aspect=aspect))
        self.faces += len(faces.frame)
        if not len(faces.frame):
            return
        alignment = align(faces.landmarks, aspect)
        crops = warp(planes, pixel_matrix(alignment, self.settings.size), self.settings.size, frame=faces.frame)
        names = _names(chunk, faces.frame)
        self._append(rows, chunk, faces, alignment, crops, names)
        if self.settings.pictures:
            pixels = (crops * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
            for name, picture in zip(names, pixels, strict=True):
                written.append(self.pool.submit(_write_picture, self.settings.folder / name, picture))

    def _large_enough(self, faces: Faces) -> Faces:
        extent = (faces.box[:, 2:] - faces.box[:, :2]).amax(1)
        enough = extent >= self.settings.min_size
        return Faces(*(getattr(faces, column.name)[enough] for column in fields(faces)))

    def _append(
        self,
        rows: dict[str, list[Any]],
        chunk: list[Frame],
        faces: Faces,
        alignment: Tensor,
        crops: Tensor,
        names: list[str],
    ) -> None:
        pose = head_pose(faces.landmarks, self.video.info.aspect)
        columns = {
            "box": faces.box,
            "score": faces.score,
            "flag": faces.flag,
            "landmarks": faces.landmarks.flatten(1),
            "alignment": alignment.flatten(1),
            "yaw": pose[:, 0],
            "pitch": pose[:, 1],
            "roll": pose[:, 2],
            "sharpness": _sharpness(crops),
            "descriptor": self.persons.describe(crops, faces.landmarks, self.video.info.aspect),
        }
        for name, values in columns.items():
            rows[name] += values.cpu().tolist()
        rows["file"] += names
        rows["frame"] += [chunk[i].index for i in faces.frame.tolist()]
        rows["pts"] += [chunk[i].pts for i in faces.frame.tolist()]


def _names(chunk: list[Frame], frame: Tensor) -> list[str]:
    names = []
    for index, group in itertools.groupby(frame.tolist()):
        names += [f"{chunk[index].index:06d}_{k}.png" for k, _ in enumerate(group)]
    return names


def _sharpness(crops: Tensor) -> Tensor:
    """The variance of the Laplacian of luma (0..255) over each aligned face: Pech-Pacheco et al., 2000."""
    luma = (crops.float() * torch.tensor([0.299, 0.587, 0.114], device=crops.device).view(1, 3, 1, 1)).sum(
        1, keepdim=True
    )
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], device=crops.device).view(1, 1, 3, 3)
    return torch.nn.functional.conv2d(luma * 255, kernel).var(dim=(1, 2, 3))


def _write_picture(path: Path, picture: np.ndarray[Any, Any]) -> None:
    import cv2

    ok, data = cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    assert ok, "PNG encoding of a uint8 RGB picture does not fail"
    path.write_bytes(data.tobytes())


def _wait(written: list[Future[None]]) -> None:
    for future in written:
        future.result()
