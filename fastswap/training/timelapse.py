"""A time-lapse: the same faces again and again as the model learns them, one numbered picture each, for a film:
`ffmpeg -pattern_type glob -i 'MODEL/timelapse/*.png' film.mp4`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastswap.errors import InputError
from fastswap.faces import FaceFinder, align, pixel_matrix
from fastswap.faceset import FaceSet
from fastswap.models import ModelConfig
from fastswap.ops import warp
from fastswap.training.background import Copier
from fastswap.training.report import COLUMNS, Rendering, swapped_rows, write_png
from fastswap.training.settings import TrainSettings
from fastswap.training.step import Step
from fastswap.video import open_video

FOLDER = "timelapse"
_FACESET_FILE = "faceset.json"


class Timelapse:
    """faces: float [n, 3, size_in, size_in] RGB 0..1, cut as the network sees them; names: of the sides."""

    def __init__(self, faces: Tensor, names: Sequence[str], folder: Path) -> None:
        self.faces, self.names, self.folder = faces, names, folder
        self._copier = Copier()

    def render(self, step: Step) -> Rendering:
        """The faces as they are, below them as each side, by the step's network as it is now. The rendering before was
        written."""
        order = [(name, side) for side, name in enumerate(self.names)]
        return Rendering.of(swapped_rows(step.shown, self.faces, "", order, step.preset.size_out), self._copier)

    def write(self, rendering: Rendering, iteration: int) -> Path:
        """Writes `step-NNNNNNNN.png`, atomically. All pictures have the same even size."""
        path = self.folder / f"step-{iteration:08d}.png"
        write_png(path, rendering.sheet())
        return path


def open_timelapse(settings: TrainSettings, config: ModelConfig, device: torch.device) -> Timelapse:
    """A time-lapse of the faces in `settings.timelapse` (a face set, or pictures), spread evenly, always the same.
    Raises InputError where there is no face."""
    assert settings.timelapse is not None
    source, size = settings.timelapse, config.preset.size_in
    faces = (
        _from_set(source, config, size) if (source / _FACESET_FILE).exists() else _from_pictures(source, config, size)
    )
    if faces is None:
        raise InputError(f"{source} shows no face: choose a face set or a folder of pictures for the time-lapse")
    folder = settings.timelapse_output or settings.model / FOLDER
    return Timelapse(faces.to(device), [side.name for side in config.sides], folder)


def _from_set(source: Path, config: ModelConfig, size: int) -> Tensor | None:
    faces = FaceSet.open(source)
    if (faces.meta.template, faces.meta.extent) != (config.template, config.extent):
        raise InputError(f"{source} is aligned differently than the model's faces: extract it again")
    rows = faces.rows()
    if not len(rows):
        return None
    chosen = rows[_spread(len(rows))]
    pictures = torch.from_numpy(faces.images(chosen)).permute(0, 3, 1, 2).float() / 255
    square = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]) * faces.meta.size
    square[..., 2] -= 0.5  # of the unit square, pixel centres at integers
    matrix = pixel_matrix(square, size, config.coverage)
    return warp(pictures.contiguous(), matrix.expand(len(pictures), 2, 3).contiguous(), size)


def _from_pictures(source: Path, config: ModelConfig, size: int) -> Tensor | None:
    """The largest face of each picture."""
    finder, crops = FaceFinder(), []
    with open_video(source) as video:
        for frame in video:
            found = finder.find(frame.planes, aspect=video.info.aspect)
            if not len(found.frame):
                continue
            largest = int((found.box[:, 2:] - found.box[:, :2]).prod(1).argmax())
            alignment = align(found.landmarks[largest : largest + 1], video.info.aspect)
            crops.append(warp(frame.planes, pixel_matrix(alignment, size, config.coverage), size))
    return torch.cat([crops[place] for place in _spread(len(crops))]) if crops else None


def _spread(count: int) -> list[int]:
    """At most as many as a row has columns."""
    places: list[int] = np.linspace(0, count - 1, min(COLUMNS, count)).round().astype(int).tolist()
    return places
