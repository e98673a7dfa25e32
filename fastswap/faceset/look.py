"""From a few frames to the faces in them: find, align, crop, describe, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.device import Coming
from fastswap.faces import FaceFinder, Faces, align, head_pose, pixel_matrix, thumbnail
from fastswap.faces.persons import Method
from fastswap.faceset.pictures import names, write_picture
from fastswap.ops import Planes, warp
from fastswap.video import Frame

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
class Looked:
    """A look whose pictures are not written. coming: what the device may still be at work on: the frames' thumbnails,
    and where there are faces their sharpness, descriptors and pixels (uint8 [n, 3, s, s])."""

    rows: dict[str, NDArray[Any]]
    coming: Coming
    frames: Sequence[int]


@dataclass(frozen=True)
class Looker:
    """Looks at frames. folder: where the aligned faces are written (None: nowhere); size: theirs, in pixels; min_size:
    of a face's box; aspect: of the frames' pixels; suffix: of the pictures, as in `pictures.FORMATS`. May be called by
    several threads at once.

    A call is `look` and `write`: the first keeps a GPU busy and hardly waits for it, so the second, which waits and
    compresses pictures, is for other threads."""

    finder: FaceFinder
    persons: Method
    folder: Path | None
    size: int
    min_size: int
    aspect: float
    device: str
    suffix: str = "png"

    def __call__(self, frames: list[Frame]) -> Seen:
        """Looks at frames whose planes stack; when it returns, their pictures are written."""
        return self.write(self.look(frames))

    def look(self, frames: list[Frame]) -> Looked:
        """Finds the faces and begins all else that the device has to do."""
        planes = Planes.stack([frame.planes for frame in frames])
        coming = [thumbnail(planes)]
        planes = planes.to(self.device)
        faces = self._large_enough(self.finder.find(planes, aspect=self.aspect))
        rows: dict[str, NDArray[Any]] = {}
        if len(faces.frame):
            alignment = align(faces.landmarks, self.aspect)
            rows = self._rows(frames, faces, alignment)
            crops = warp(planes, pixel_matrix(alignment, self.size), self.size, frame=faces.frame)
            coming += [_sharpness(crops), self.persons.describe(crops, faces.landmarks, self.aspect)]
            coming += [_pixels(crops)] if self.folder is not None else []
        return Looked(rows, Coming(coming), [frame.index for frame in frames])

    def write(self, looked: Looked) -> Seen:
        """Waits for the device and writes the pictures. Raises OSError where the disk does not take them."""
        thumbnails, *of_faces = looked.coming.wait()
        rows = dict(looked.rows)
        if rows:
            rows["sharpness"], rows["descriptor"] = (values.float().numpy() for values in of_faces[:2])
            if self.folder is not None:
                for name, picture in zip(rows["file"], of_faces[2].numpy(), strict=True):
                    write_picture(self.folder / name, picture)
        return Seen(rows, thumbnails, len(rows["file"]) if rows else 0, looked.frames)

    def _large_enough(self, faces: Faces) -> Faces:
        extent = (faces.box[:, 2:] - faces.box[:, :2]).amax(1)
        enough = extent >= self.min_size
        return Faces(*(getattr(faces, column.name)[enough] for column in fields(faces)))

    def _rows(self, frames: list[Frame], faces: Faces, alignment: Tensor) -> dict[str, NDArray[Any]]:
        """What the frames and the finder tell."""
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
        }
        where = faces.frame.tolist()
        return {
            "file": np.array(names([frames[i].index for i in where], self.suffix)),
            "frame": np.array([frames[i].index for i in where], dtype=np.int64),
            "pts": np.array([frames[i].pts for i in where], dtype=np.int64),
            **{name: values.float().cpu().numpy() for name, values in columns.items()},
        }


def _pieces(crops: Tensor) -> Sequence[Tensor]:
    """All at once for a GPU; on the CPU one by one, or what is computed on the way leaves the cache: four to ten times
    slower."""
    return crops.chunk(len(crops)) if crops.device.type == "cpu" else [crops]


def _pixels(crops: Tensor) -> Tensor:
    """0..1 as uint8."""
    return torch.cat([(piece * 255).round_().to(torch.uint8) for piece in _pieces(crops)])


def _sharpness(crops: Tensor) -> Tensor:
    """The variance of the Laplacian of luma (0..255) over each aligned face: Pech-Pacheco et al., 2000."""
    return torch.cat([_variance_of_laplacian(piece) for piece in _pieces(crops)])


def _variance_of_laplacian(crops: Tensor) -> Tensor:
    red, green, blue = (crops[:, channel] for channel in range(3))
    luma = (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
    laplacian = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1]
    laplacian.add_(luma[:, 1:-1, :-2]).add_(luma[:, 1:-1, 2:]).sub_(luma[:, 1:-1, 1:-1], alpha=4)
    return laplacian.var(dim=(1, 2)) * 255**2
