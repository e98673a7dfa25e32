"""convert: a video and a model become the swapped video."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from fastswap import workers
from fastswap.conversion.alignments import SIDE_A, SIDE_B, alignments
from fastswap.conversion.composite import CompositeSettings
from fastswap.conversion.frames import swapped_frames
from fastswap.conversion.outputs import Outputs, outputs, single
from fastswap.conversion.presence import present
from fastswap.conversion.settings import ConvertSettings, ConvertSummary, check
from fastswap.conversion.smoothing import smoothed
from fastswap.device import resolve_device
from fastswap.errors import InputError, StoppedError
from fastswap.faceset import FaceSet
from fastswap.models import TrainedModel
from fastswap.progress import bar
from fastswap.signals import Stop, stop_on_signals
from fastswap.video import Video, open_video
from fastswap.video.ranges import frame_ranges

_log = logging.getLogger("fastswap")


def convert(settings: ConvertSettings, *, quiet: bool = False) -> ConvertSummary:
    """Replaces the faces of one person in `settings.input` and writes `settings.output`, which exists only once it is
    whole. While it is written a first Ctrl-C or SIGTERM ends it well: what was converted so far is a whole file, too.

    Raises InputError for an input, model or face set that cannot be used, UsageError for settings that `check` refuses,
    StoppedError where a signal ended it; KeyboardInterrupt where a second one did, or one before the first frame was
    begun: then nothing is left.
    """
    check(settings)
    settings = replace(settings, device=resolve_device(settings.device))
    if settings.still is not None:
        settings = replace(settings, frames=str(settings.still))
    model = TrainedModel.open(settings.model, settings.device)
    with (
        open_video(settings.input, device=settings.device, decoder=settings.decoder) as video,
        outputs(settings, video.info) as writer,
        alignments(settings, model, video, quiet) as (faces, preferred),
    ):
        person = faces.choose(settings.person if settings.person is not None else preferred)
        others = [other for other in faces.persons() if other != person]
        if others:
            _log.info("replacing person %d; left as they are: %s", person, ", ".join(map(str, others)))
        faces = present(faces, person, video.info)
        if settings.smooth:
            faces = smoothed(faces, person, video.info.time_base)
        swapped = _frames_to_swap(settings, faces, person)
        began = time.perf_counter()
        with stop_on_signals() as stop:
            shown = video if settings.still is None else single(video, settings.still)
            done = _write(settings, model, shown, writer, faces, person, swapped, stop, quiet)
    if stop:
        raise StoppedError(_what_there_is(settings.output, done, video.info.frames))
    seconds = time.perf_counter() - began
    return ConvertSummary(
        str(settings.output), done, len(swapped), person, others, round(seconds, 2), round(done / seconds, 2)
    )


def _write(
    settings: ConvertSettings,
    model: TrainedModel,
    video: Video,
    writer: Outputs,
    faces: FaceSet,
    person: int,
    only: set[int],
    stop: Stop,
    quiet: bool,
) -> int:
    """Writes the frames, those of `only` swapped, until the last or until it is told to stop. Returns how many."""

    def generate(aligned: Tensor) -> tuple[Tensor, Tensor]:
        return model.generate(aligned, SIDE_A if settings.swap_sides else SIDE_B)

    swap, done = composite_settings(settings, model), 0
    threads = workers.for_device(settings.device)
    masks = None if writer.masks is None else writer.masks.write
    swapped = swapped_frames(
        video, faces, person, generate, swap, device=settings.device, threads=threads, only=only, masks=masks
    )
    with (
        bar(f"convert {settings.input.name}", video.info.frames, "frames", quiet=quiet) as report,
        closing(swapped) as frames,
    ):
        for frame in frames:
            writer.write(frame)
            done += 1
            report(done)
            if stop:
                writer.stop()
                break
    return done


def _frames_to_swap(settings: ConvertSettings, faces: FaceSet, person: int) -> set[int]:
    wanted = None if settings.frames is None else frame_ranges(settings.frames)
    swapped = {frame for frame, _ in faces.by_frame(person) if wanted is None or frame in wanted}
    if not swapped:
        raise InputError(f"--frames {settings.frames}: person {person} is in none of these frames, nothing was written")
    return swapped


def _what_there_is(output: Path, done: int, frames: int | None) -> str:
    if not done:
        return "stopped before the first frame: nothing was written"
    of = f" of about {frames}" if frames else ""
    return f"stopped: {output} holds the first {done}{of} frames"


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
        occlusion=settings.occlusion,
        impl=settings.impl,
    )
