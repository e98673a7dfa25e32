"""convert: a video and a model become the swapped video."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from fastswap.conversion.alignments import alignments
from fastswap.conversion.job import Crew, Job, write
from fastswap.conversion.outputs import Outputs, outputs, single
from fastswap.conversion.presence import present
from fastswap.conversion.settings import ConvertSettings, ConvertSummary, check
from fastswap.conversion.smoothing import smoothed
from fastswap.device import resolve_device
from fastswap.errors import InputError, StoppedError
from fastswap.faceset import FaceSet
from fastswap.models import TrainedModel
from fastswap.progress import Report, bar
from fastswap.signals import Stop, stop_on_signals
from fastswap.video import Video, open_video
from fastswap.video.ranges import frame_ranges

_log = logging.getLogger("fastswap")


def convert(settings: ConvertSettings, *, quiet: bool = False, crew: Crew | None = None) -> ConvertSummary:
    """Replaces the faces of one person in `settings.input` and writes `settings.output`, which exists only once it is
    whole. While it is written a first Ctrl-C or SIGTERM ends it well: what was converted so far is a whole file, too.
    crew: who does the work on parts of the video; then a signal leaves nothing.

    Raises InputError for an input, model or face set that cannot be used, UsageError for settings that `check` refuses,
    StoppedError where a signal ended it; KeyboardInterrupt where a second one did, or one before the first frame was
    begun: then nothing is left.
    """
    check(settings)
    device = resolve_device(settings.device)
    if settings.still is not None:
        settings = replace(settings, frames=str(settings.still))
    if crew is not None and not crew.takes(settings):
        crew = None
    model = TrainedModel.open(settings.model, device)
    with (
        open_video(settings.input, device=device, decoder=settings.decoder) as video,
        outputs(settings, video.info) as writer,
        _alignments(settings, model, video, crew, quiet) as (faces, preferred),
    ):
        person = faces.choose(settings.person if settings.person is not None else preferred)
        others = [other for other in faces.persons() if other != person]
        if others:
            _log.info("replacing person %d; left as they are: %s", person, ", ".join(map(str, others)))
        faces = present(faces, person, video.info)
        if settings.smooth:
            faces = smoothed(faces, person, video.info.time_base)
        job = Job(settings, faces, person, _frames_to_swap(settings, faces, person))
        began = time.perf_counter()
        with (
            _stop_of(crew) as stop,
            bar(f"convert {settings.input.name}", video.info.frames, "frames", quiet=quiet) as report,
        ):
            done = _write(job, model, video, writer, crew, stop, report)
    if stop:
        raise StoppedError(_what_there_is(settings.output, done, video.info.frames))
    seconds = time.perf_counter() - began
    return ConvertSummary(
        str(settings.output), done, len(job.only), person, others, round(seconds, 2), round(done / seconds, 2)
    )


def _write(
    job: Job, model: TrainedModel, video: Video, writer: Outputs, crew: Crew | None, stop: Stop, report: Report
) -> int:
    """Writes the outputs, here or by the crew. Returns how many frames they have."""
    if crew is None:
        settings = replace(job.settings, device=resolve_device(job.settings.device))
        shown = video if settings.still is None else single(video, settings.still)
        return write(replace(job, settings=settings), model, shown, writer, stop, report)
    writer.stop()  # it was opened for what it refuses: the crew has writers of its own
    return crew.swap(job, video.info, report)


def _alignments(
    settings: ConvertSettings, model: TrainedModel, video: Video, crew: Crew | None, quiet: bool
) -> AbstractContextManager[tuple[FaceSet, int | None]]:
    if crew is None:
        return alignments(settings, model, video, quiet)
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    return alignments(settings, model, video, quiet, crew.scan, settings.output.parent)


def _stop_of(crew: Crew | None) -> AbstractContextManager[Stop]:
    return stop_on_signals() if crew is None else nullcontext(Stop())


def _frames_to_swap(settings: ConvertSettings, faces: FaceSet, person: int) -> frozenset[int]:
    wanted = None if settings.frames is None else frame_ranges(settings.frames)
    swapped = frozenset(frame for frame, _ in faces.by_frame(person) if wanted is None or frame in wanted)
    if not swapped:
        raise InputError(f"--frames {settings.frames}: person {person} is in none of these frames, nothing was written")
    return swapped


def _what_there_is(output: Path, done: int, frames: int | None) -> str:
    if not done:
        return "stopped before the first frame: nothing was written"
    of = f" of about {frames}" if frames else ""
    return f"stopped: {output} holds the first {done}{of} frames"
