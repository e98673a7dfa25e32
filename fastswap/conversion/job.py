"""What is left of a conversion once its faces are known: its frames, written here, or in parts by others."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from fastswap import workers
from fastswap.conversion.alignments import SIDE_A, SIDE_B
from fastswap.conversion.composite import CompositeSettings
from fastswap.conversion.frames import swapped_frames
from fastswap.conversion.outputs import Outputs, outputs
from fastswap.conversion.settings import ConvertSettings
from fastswap.device import resolve_device
from fastswap.faceset import FaceSet
from fastswap.faceset.format import FaceSetMeta
from fastswap.faceset.scan import ScanSettings
from fastswap.models import TrainedModel
from fastswap.progress import Report, silent
from fastswap.signals import Stop
from fastswap.video import Video, VideoInfo, open_video
from fastswap.video.segments import Part


@dataclass(frozen=True)
class Job:
    """settings: as the user gave them; faces: of `person` as they are to be pasted; only: the frames to swap;
    all_faces: see `swapped_frames`."""

    settings: ConvertSettings
    faces: FaceSet
    person: int
    only: frozenset[int]
    all_faces: FaceSet | None = None


class Crew(Protocol):
    """Others who do the work on parts of a video. What they leave is what would be made here."""

    def scan(self, settings: ScanSettings, meta: FaceSetMeta, report: Report) -> int:
        """What `faceset.scan.scan` does."""

    def swap(self, job: Job, video: VideoInfo, report: Report) -> int:
        """Writes the outputs of the job. Returns how many frames they have."""

    def takes(self, settings: ConvertSettings) -> bool:
        """Whether such outputs can be put together of parts."""


def write_part(job: Job, part: Part) -> int:
    """Writes one part of the frames into the outputs of `job.settings`, which are the part's own, without the source's
    sound. Returns how many frames it has."""
    settings = replace(job.settings, device=resolve_device(job.settings.device))
    model = TrainedModel.open(settings.model, settings.device)
    with (
        open_video(settings.input, device=settings.device, decoder=settings.decoder, part=part) as video,
        outputs(settings, video.info, alone=True) as writer,
    ):
        return write(replace(job, settings=settings), model, video, writer, Stop(), silent)


def write(job: Job, model: TrainedModel, video: Video, writer: Outputs, stop: Stop, report: Report) -> int:
    """Writes the frames until the last or until it is told to stop. Returns how many."""
    settings = job.settings

    def generate(aligned: Tensor) -> tuple[Tensor, Tensor]:
        return model.generate(aligned, SIDE_A if settings.swap_sides else SIDE_B)

    done = 0
    swapped = swapped_frames(
        video,
        job.faces,
        job.person,
        generate,
        composite_settings(settings, model),
        device=settings.device,
        threads=workers.for_device(settings.device),
        only=job.only,
        all_faces=job.all_faces,
        masks=None if writer.masks is None else writer.masks.write,
    )
    with closing(swapped) as frames:
        for frame in frames:
            writer.write(frame)
            done += 1
            report(done)
            if stop:
                writer.stop()
                break
    return done


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
