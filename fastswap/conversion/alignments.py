"""Where the faces of a conversion's input are: from a face set there is, or found now."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastswap.conversion.settings import ConvertSettings
from fastswap.errors import InputError
from fastswap.faceset import FaceSet
from fastswap.faceset.format import META_NAME
from fastswap.faceset.scan import Scan, ScanSettings, describe_source, meta_of, scan
from fastswap.models import TrainedModel
from fastswap.progress import bar
from fastswap.video import Video
from fastswap.video.ranges import frame_ranges

SIDE_A, SIDE_B = 0, 1

_SCAN_SIZE = 128
"""Pixels of the aligned faces that persons are told apart by, where `convert` finds the faces itself."""


@contextmanager
def alignments(
    settings: ConvertSettings,
    model: TrainedModel,
    video: Video,
    quiet: bool,
    scan: Scan = scan,
    folder: Path | None = None,
) -> Iterator[tuple[FaceSet, int | None]]:
    """The faces of the input and the person to prefer: from --faces, from the model's own side, or found now, by
    `scan`. folder: where that leaves what is gone at the end (None: where the system keeps such)."""
    side = model.config.sides[SIDE_B if settings.swap_sides else SIDE_A]
    source = describe_source(video)
    frames = None if settings.frames is None else frame_ranges(settings.frames)

    def covers(faces: FaceSet) -> bool:
        return faces.meta.every == 1 or (frames is not None and frames.are_multiples(faces.meta.every))

    if settings.faces is not None:
        faces = FaceSet.open(settings.faces)
        if faces.meta.source.sha256 != source.sha256:
            raise InputError(f"{settings.faces} was extracted from {faces.meta.source.name}, not from {settings.input}")
        if not covers(faces):
            raise InputError(
                f"{settings.faces} covers one frame in {faces.meta.every}: extract it again without --every"
            )
        yield _same_template(faces, model), _own_person(side.faces, settings.faces, side.person)
        return
    recorded = Path(side.faces)
    if (recorded / META_NAME).exists():
        faces = FaceSet.open(recorded)
        if faces.meta.source.sha256 == source.sha256 and covers(faces):
            yield _same_template(faces, model), side.person
            return
    with tempfile.TemporaryDirectory(prefix=".fastswap-", dir=folder) as work:
        scanning = ScanSettings(
            settings.input,
            Path(work) / "faces",
            size=_SCAN_SIZE,
            device=settings.device,
            decoder=settings.decoder,
            pictures=settings.occlusion,
            frames=frames,
        )
        with bar(f"find faces in {settings.input.name}", video.info.frames, "frames", quiet=quiet) as report:
            found = scan(scanning, meta_of(scanning, source), report)
        if not found:
            raise InputError(f"no face found in {settings.input}: nothing to replace, nothing was written")
        yield _same_template(FaceSet.open(scanning.folder), model), None


def _own_person(recorded: str, given: Path, person: int) -> int | None:
    return person if Path(recorded).resolve() == given.resolve() else None


def _same_template(faces: FaceSet, model: TrainedModel) -> FaceSet:
    config = model.config
    if (faces.meta.template, faces.meta.extent) != (config.template, config.extent):
        raise InputError(
            f"{faces.path} is aligned to {faces.meta.template}/{faces.meta.extent}, the model to "
            f"{config.template}/{config.extent}: extract the faces again and train anew"
        )
    return faces
