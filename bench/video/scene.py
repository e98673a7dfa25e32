"""What a trial works on: a clip with the faces found in it, and a generator for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.bench.video.clip import Portrait, make_clip
from fastswap.bench.video.encoding import Format
from fastswap.conversion import CompositeSettings, Generate
from fastswap.conversion.frames import together
from fastswap.errors import FastswapError
from fastswap.extraction import extract
from fastswap.faces.template import OVAL_HEIGHT
from fastswap.faceset import FaceSet
from fastswap.faceset.format import table_schema
from fastswap.faceset.scan import ScanSettings, describe_source, meta_of
from fastswap.models import LITE, SwapModel
from fastswap.video import Frame, VideoInfo, open_video
from fastswap.video.chunk import chunks

GENERATORS = ("constant", "lite")
CONSTANT_SIZE = 256
FEATHER = 0.09
"""The ramp at a mask's edge over the side of its square: what `convert` has."""
_OVAL = (0.74, 1.0)
"""Half axes of the constant mask over half the face oval's height: as wide as a face is."""
_SIZE = 128  # px of the aligned faces that the faces are told apart by
_ONE = 0  # all faces of a clip are one person, so that all are swapped


@dataclass(frozen=True)
class Scene:
    """size: a name of `clip.SIZES`; faces: in every frame; frames: how many."""

    path: Path
    info: VideoInfo
    size: str
    faces: int
    frames: int
    found: FaceSet

    @cached_property
    def rows(self) -> dict[int, NDArray[np.int64]]:
        """Frame -> rows of the face set."""
        return dict(self.found.by_frame(_ONE))

    @property
    def format(self) -> Format:
        return Format(self.info.width, self.info.height, self.info.fps, self.info.tags)

    @property
    def person(self) -> int:
        return _ONE

    def alignment(self, index: int) -> Tensor | None:
        """Of the faces in a frame, [n, 2, 3]; None without one."""
        return self.found.alignments(self.rows[index]) if index in self.rows else None

    def chunk(self, device: str = "cpu") -> list[Frame]:
        """The first frames, as many as a conversion takes together."""
        with open_video(self.path) as video:
            return next(chunks(video, *together(device)))


def make_scene(folder: Path, portrait: Portrait, size: str, faces: int, frames: int) -> Scene:
    """Makes the clip and finds its faces. Raises FastswapError where these are not as many as were put there."""
    path = folder / f"{size}-{faces}.mp4"
    make_clip(path, portrait, size, faces, frames)
    with open_video(path) as video:
        info = video.info
        settings = ScanSettings(path, folder / path.stem, size=_SIZE, pictures=False)
        if faces:
            extract(settings, quiet=True)
            found = FaceSet.open(settings.folder)
        else:
            found = FaceSet(settings.folder, meta_of(settings, describe_source(video)), table_schema().empty_table())
    rows = found.table.num_rows
    if rows != faces * frames:
        raise FastswapError(f"{rows} faces were found in {frames} frames of {path.name}: {faces * frames} are there")
    return Scene(path, info, size, faces, frames, _one_person(found))


def _one_person(found: FaceSet) -> FaceSet:
    import pyarrow as pa

    column = found.table.schema.get_field_index("person")
    persons = pa.array([_ONE] * found.table.num_rows, pa.int32())
    return replace(found, table=found.table.set_column(column, found.table.schema.field(column), persons))


def make_generator(name: str, portrait: Portrait, device: str = "cpu") -> tuple[Generate, CompositeSettings]:
    """constant: the portrait's face mirrored, whatever it is given, at 256 px: all but the network. lite: the preset's
    network does its work, and then the portrait's face at its size is handed on: what a network gives that has learned
    nothing is noise, on which no two ways to match colours agree."""
    if name == "constant":
        return _constant(portrait, CONSTANT_SIZE, device), _settings(CONSTANT_SIZE)
    torch.manual_seed(0)
    network = SwapModel(LITE.generator).eval().requires_grad_(False)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    shown = _constant(portrait, LITE.size_out, device)

    @torch.inference_mode()
    def lite(faces: Tensor) -> tuple[Tensor, Tensor]:
        colour, mask = network(faces.contiguous(memory_format=torch.channels_last), 1)
        colour, mask = colour.contiguous(), mask.contiguous()
        return shown(faces)

    return lite, _settings(LITE.size_in)


def _settings(size: int) -> CompositeSettings:
    return CompositeSettings(size, LITE.coverage, colour="reinhard", feather=FEATHER)


def _constant(portrait: Portrait, size: int, device: str) -> Generate:
    face = portrait.aligned(size, LITE.coverage).flip(3).contiguous().to(device)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size, device=device)] * 2, indexing="ij")
    height = OVAL_HEIGHT / LITE.coverage
    inside = 1 - torch.hypot(x / (_OVAL[0] * height), y / (_OVAL[1] * height))
    mask = (inside * size / 2).clamp(0, 1)[None, None].contiguous()

    def constant(faces: Tensor) -> tuple[Tensor, Tensor]:
        shape = (len(faces), -1, -1, -1)
        return face.expand(shape).contiguous(), mask.expand(shape).contiguous()

    return constant
