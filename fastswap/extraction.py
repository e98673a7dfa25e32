"""extract: a video, a picture or a folder of pictures becomes a face set."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from fastswap.device import resolve_device
from fastswap.errors import InputError, UsageError
from fastswap.faceset import FaceSet
from fastswap.faceset.format import META_NAME, WORK_NAME
from fastswap.faceset.pictures import FORMATS
from fastswap.faceset.scan import Scan, ScanSettings, describe_source, meta_of, scan
from fastswap.progress import Report, bar
from fastswap.video import open_video

SIZES = (64, 2048)


@dataclass(frozen=True)
class ExtractSummary:
    """What an extraction found. seconds and fps: of this run alone (0 where there was nothing left to do)."""

    faces: int
    frames: int
    frames_with_face: int
    persons: dict[int, int]
    seconds: float
    fps: float
    folder: str


def extract(settings: ScanSettings, *, quiet: bool = False, scan: Scan = scan) -> ExtractSummary:
    """Extracts the faces of `settings.source` into the face set `settings.folder`. Run again after an interruption it
    goes on where it stopped; run again on a finished face set it does nothing. scan: who looks at the frames.

    Raises InputError for a source that cannot be read or has no face in it, and for a folder that holds something else;
    UsageError for a size or step out of range, or a GPU that is not there.
    """
    _check(settings)
    with open_video(settings.source) as video:
        info = video.info
        meta = meta_of(settings, describe_source(video))
    if (settings.folder / META_NAME).exists():
        if FaceSet.open(settings.folder).meta != meta:
            raise InputError(
                f"{settings.folder} holds the face set of another source or of other settings: "
                "choose another folder with -o, or remove this one"
            )
        return _summary(settings.folder, info.frames, 0.0)
    began = time.perf_counter()
    with bar(f"extract {settings.source.name}", info.frames, "frames", quiet=quiet) as report:
        seen = _Last(report)
        faces = scan(settings, meta, seen)
    if not faces:
        raise InputError(f"no face found in {settings.source} ({seen.done} frames looked at): nothing was written")
    return _summary(settings.folder, seen.done, time.perf_counter() - began)


class _Last:
    """Remembers how far a report came: the exact number of frames, which a file's header may only estimate."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.done = 0

    def __call__(self, done: int, note: str = "") -> None:
        self.done = done
        self.report(done, note)


def _check(settings: ScanSettings) -> None:
    low, high = SIZES
    if not low <= settings.size <= high or settings.size % 2:
        raise UsageError(f"--size {settings.size}: an even number from {low} to {high} is needed")
    if settings.every < 1:
        raise UsageError(f"--every {settings.every}: 1 or more is needed")
    if settings.format not in FORMATS:
        raise UsageError(f"--format {settings.format}: one of {', '.join(FORMATS)} is needed")
    resolve_device(settings.device)
    folder = settings.folder
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: -o needs a folder")
    if (
        folder.exists()
        and any(folder.iterdir())
        and not ((folder / META_NAME).exists() or (folder / WORK_NAME).exists())
    ):
        raise InputError(f"{folder} holds files that are not a face set: choose an empty or new folder with -o")


def _summary(folder: Path, frames: int | None, seconds: float) -> ExtractSummary:
    faceset = FaceSet.open(folder)
    frames = frames or faceset.meta.source.frames
    with_face = len(set(faceset.table["frame"].to_pylist()))
    fps = frames / seconds if seconds else 0.0
    return ExtractSummary(
        faceset.table.num_rows, frames, with_face, faceset.persons(), round(seconds, 2), round(fps, 2), str(folder)
    )
