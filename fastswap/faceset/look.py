"""From a few frames to the faces in them: find, align, crop, describe, write."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.faces import FaceFinder, Faces, align, head_pose, pixel_matrix, thumbnail
from fastswap.faces.persons import Method
from fastswap.ops import Planes, warp
from fastswap.video import Frame

_PNG_LEVEL = 1
"""The fastest PNG that still compresses: level 3 costs 1.6 times the time for a few per cent."""
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Seen:
    """What a run of frames showed. rows: column -> one entry a face, as in `parts`; thumbnails: one a frame, to find
    cuts by; faces: how many; frames: the numbers of the frames."""

    rows: dict[str, NDArray[Any]]
    thumbnails: Tensor
    faces: int
    frames: Sequence[int]


@dataclass(frozen=True)
class Looker:
    """Looks at frames. folder: where the aligned faces are written (None: nowhere); size: theirs, in pixels; min_size:
    of a face's box; aspect: of the frames' pixels. May be called by several threads at once."""

    finder: FaceFinder
    persons: Method
    folder: Path | None
    size: int
    min_size: int
    aspect: float
    device: str

    def __call__(self, frames: list[Frame]) -> Seen:
        """Looks at frames whose planes stack; when it returns, their pictures are written."""
        planes = Planes.stack([frame.planes for frame in frames])
        thumbnails = thumbnail(planes)
        planes = planes.to(self.device)
        faces = self._large_enough(self.finder.find(planes, aspect=self.aspect))
        rows: dict[str, NDArray[Any]] = {}
        if len(faces.frame):
            alignment = align(faces.landmarks, self.aspect)
            crops = warp(planes, pixel_matrix(alignment, self.size), self.size, frame=faces.frame)
            rows = self._rows(frames, faces, alignment, crops)
            if self.folder is not None:
                pixels = (crops * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
                for name, picture in zip(rows["file"], pixels, strict=True):
                    _write_picture(self.folder / name, picture)
        return Seen(rows, thumbnails, len(faces.frame), [frame.index for frame in frames])

    def _large_enough(self, faces: Faces) -> Faces:
        extent = (faces.box[:, 2:] - faces.box[:, :2]).amax(1)
        enough = extent >= self.min_size
        return Faces(*(getattr(faces, column.name)[enough] for column in fields(faces)))

    def _rows(self, frames: list[Frame], faces: Faces, alignment: Tensor, crops: Tensor) -> dict[str, NDArray[Any]]:
        pose = head_pose(faces.landmarks, self.aspect)
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
            "descriptor": self.persons.describe(crops, faces.landmarks, self.aspect),
        }
        where = faces.frame.tolist()
        return {
            "file": np.array(_names([frames[i].index for i in where])),
            "frame": np.array([frames[i].index for i in where], dtype=np.int64),
            "pts": np.array([frames[i].pts for i in where], dtype=np.int64),
            **{name: values.float().cpu().numpy() for name, values in columns.items()},
        }


def _names(frames: list[int]) -> list[str]:
    return [f"{frame:06d}_{k}.png" for frame, group in itertools.groupby(frames) for k, _ in enumerate(group)]


def _sharpness(crops: Tensor) -> Tensor:
    """The variance of the Laplacian of luma (0..255) over each aligned face: Pech-Pacheco et al., 2000."""
    luma = torch.einsum("nchw,c->nhw", crops.float(), crops.new_tensor(_LUMA).float()) * 255
    middle = luma[:, 1:-1, 1:-1]
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    return (around - 4 * middle).var(dim=(1, 2))


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    import cv2

    _, data = cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    path.write_bytes(data.tobytes())
