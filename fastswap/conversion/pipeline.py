"""convert: a video and a model become the swapped video."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from fastswap import workers
from fastswap.conversion.composite import CompositeSettings
from fastswap.conversion.frames import swapped_frames
from fastswap.conversion.settings import ConvertSettings, ConvertSummary, check
from fastswap.conversion.smoothing import smoothed
from fastswap.device import resolve_device
from fastswap.errors import InputError
from fastswap.faceset import FaceSet
from fastswap.faceset.format import META_NAME
from fastswap.faceset.scan import ScanSettings, describe_source, meta_of, scan
from fastswap.models import TrainedModel
from fastswap.progress import bar
from fastswap.video import Video, VideoWriter, open_video, write_video

SIDE_A, SIDE_B = 0, 1

_log = logging.getLogger("fastswap")
_SCAN_SIZE = 128
"""Pixels of the aligned faces that persons are told apart by, where `convert` finds the faces itself."""


def convert(settings: ConvertSettings, *, quiet: bool = False) -> ConvertSummary:
    """Replaces the faces of one person in `settings.input` and writes `settings.output`, which exists only once it is
    whole.

    Raises InputError for an input, model or face set that cannot be used, UsageError for settings that `check` refuses.
    """
    check(settings)
    settings = replace(settings, device=resolve_device(settings.device))
    model = TrainedModel.open(settings.model, settings.device)
    with (
        open_video(settings.input, device=settings.device, decoder=settings.decoder) as video,
        write_video(
            settings.output,
            video.info,
            codec=settings.codec,
            encoder=settings.encoder,
            quality=settings.quality,
            pictures=settings.pictures,
        ) as writer,
        _alignments(settings, model, video, quiet) as (faces, preferred),
    ):
        person = faces.choose(settings.person if settings.person is not None else preferred)
        others = [other for other in faces.persons() if other != person]
        if others:
            _log.info("replacing person %d; left as they are: %s", person, ", ".join(map(str, others)))
        if settings.smooth:
            faces = smoothed(faces, person, video.info.time_base)
        return _write(settings, model, video, writer, faces, person, others, quiet)


def _write(
    settings: ConvertSettings,
    model: TrainedModel,
    video: Video,
    writer: VideoWriter,
    faces: FaceSet,
    person: int,
    others: list[int],
    quiet: bool,
) -> ConvertSummary:
    def generate(aligned: Tensor) -> tuple[Tensor, Tensor]:
        return model.generate(aligned, SIDE_A if settings.swap_sides else SIDE_B)

    swap = composite_settings(settings, model)
    swapped = {frame for frame, _ in faces.by_frame(person)}
    began = time.perf_counter()
    done = 0
    with bar(f"convert {settings.input.name}", video.info.frames, "frames", quiet=quiet) as report:
        threads = workers.for_device(settings.device)
        for frame in swapped_frames(video, faces, person, generate, swap, device=settings.device, threads=threads):
            writer.write(frame)
            done += 1
            report(done)
    seconds = time.perf_counter() - began
    return ConvertSummary(
        str(settings.output), done, len(swapped), person, others, round(seconds, 2), round(done / seconds, 2)
    )


def composite_settings(settings: ConvertSettings, model: TrainedModel) -> CompositeSettings:
    """How faces are composited with this model."""
    preset = model.config.preset
    return CompositeSettings(
        preset.size_in,
        model.config.coverage,
        colour=settings.colour,
        mask=settings.mask,
        erode=settings.erode,
        feather=settings.feather,
        blend=settings.blend,
        sharpen=settings.sharpen,
        face_scale=settings.face_scale,
        opacity=settings.opacity,
        impl=settings.impl,
    )


@contextmanager
def _alignments(
    settings: ConvertSettings, model: TrainedModel, video: Video, quiet: bool
) -> Iterator[tuple[FaceSet, int | None]]:
    """The faces of the input and the person to prefer: from --faces, from the model's own side, or found now."""
    side = model.config.sides[SIDE_B if settings.swap_sides else SIDE_A]
    source = describe_source(video)
    if settings.faces is not None:
        faces = FaceSet.open(settings.faces)
        if faces.meta.source.sha256 != source.sha256:
            raise InputError(f"{settings.faces} was extracted from {faces.meta.source.name}, not from {settings.input}")
        if faces.meta.every != 1:
            raise InputError(
                f"{settings.faces} covers one frame in {faces.meta.every}: extract it again without --every"
            )
        yield _same_template(faces, model), _own_person(side.faces, settings.faces, side.person)
        return
    recorded = Path(side.faces)
    if (recorded / META_NAME).exists():
        faces = FaceSet.open(recorded)
        if faces.meta.source.sha256 == source.sha256 and faces.meta.every == 1:
            yield _same_template(faces, model), side.person
            return
    with tempfile.TemporaryDirectory(prefix="fastswap-") as folder:
        scanning = ScanSettings(
            settings.input, Path(folder) / "faces", size=_SCAN_SIZE, device=settings.device, pictures=False
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
