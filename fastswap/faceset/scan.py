"""From a video to the faces in it, one pass, a few frames at a time on every core."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from fastswap import workers
from fastswap.device import resolve_device
from fastswap.faces import EXTENT, TEMPLATE, FaceFinder, is_cut, persons
from fastswap.faceset.format import FaceSetMeta, Source, hash_source
from fastswap.faceset.look import Looker, Seen
from fastswap.faceset.parts import Parts, settings_of
from fastswap.flow import Stage
from fastswap.progress import Report
from fastswap.streams import flow_on_gpu
from fastswap.video import Frame, Video, open_video
from fastswap.video.chunk import chunks

_PART_FRAMES = 256
"""Frames of a part: what a kill can cost (about ten seconds)."""


@dataclass(frozen=True)
class ScanSettings:
    """What to look for. size: of the aligned faces, in pixels; every: look at each how manieth frame; small: search
    tiles for faces that are small in the frame; min_size: of a face's box, in pixels of its longer side; persons: what
    they are told apart by, "appearance" or "identity" (see `faces.persons`); pictures: write the aligned faces too;
    format: of those, "png" or "jpg"."""

    source: Path
    folder: Path
    size: int = 512
    every: int = 1
    device: str = "auto"
    small: bool = False
    min_size: int = 0
    persons: str = "appearance"
    pictures: bool = True
    format: str = "png"


def describe_source(video: Video) -> Source:
    """What a face set remembers of the video it came from. Reads the whole file once, for its checksum."""
    info = video.info
    return Source(
        name=info.path.name,
        path=str(info.path.resolve()),
        sha256=hash_source(info.path),
        width=info.width,
        height=info.height,
        frames=info.frames or 0,
        fps=str(info.fps),
        aspect=info.aspect,
    )


def meta_of(settings: ScanSettings, source: Source) -> FaceSetMeta:
    """The description of the face set that a scan with these settings makes of this source."""
    return FaceSetMeta(
        source,
        settings.size,
        settings.every,
        TEMPLATE,
        EXTENT,
        settings.pictures,
        settings.persons,
        settings.small,
        settings.min_size,
        settings.format,
    )


def scan(settings: ScanSettings, meta: FaceSetMeta, report: Report) -> int:
    """Finds the faces of `settings.source` and writes the face set; goes on where an interrupted scan with the same
    settings stopped. Returns the number of faces (0: nothing is left behind). Raises InputError for an unusable
    source."""
    method = persons.method(settings.persons)
    parts = Parts(settings.folder, settings_of(meta))
    start = parts.begin()
    with open_video(settings.source) as video:
        for part in _parts(settings, video, method, start, report):
            parts.write(*part)
        fps = float(video.info.fps)
    faces = parts.finish(meta, fps, method.same_person)
    if not faces:
        parts.remove()
    return faces


def _parts(
    settings: ScanSettings, video: Video, method: persons.Method, start: int, report: Report
) -> Iterator[tuple[list[dict[str, NDArray[Any]]], list[int], int]]:
    """Yields (rows, cuts, next frame) a part, once the part's pictures are on disk."""
    info = video.info
    device = resolve_device(settings.device)
    looker = Looker(
        FaceFinder(device, small=settings.small or info.is_pictures),
        method,
        settings.folder if settings.pictures else None,
        settings.size,
        settings.min_size,
        info.aspect,
        device,
        settings.format,
    )
    wanted = (frame for frame in video if frame.index >= start and frame.index % settings.every == 0)
    rows, cuts, first, frame, faces = list[dict[str, NDArray[Any]]](), list[int](), start, start, 0
    shot = _Shot(every_frame_is_one=info.is_pictures)
    for seen in _look(looker, chunks(wanted)):
        cuts += shot.cuts(seen)
        rows += [seen.rows] if seen.faces else []
        faces += seen.faces
        frame = seen.frames[-1] + 1
        report(frame, f"{faces} faces")
        if frame - first >= _PART_FRAMES * settings.every:
            yield rows, cuts, frame
            rows, cuts, first = [], [], frame
    if frame > first:
        yield rows, cuts, frame


def _look(looker: Looker, batches: Iterable[list[Frame]]) -> Generator[Seen]:
    """On the CPU every core takes whole batches. A GPU is kept busy by one thread; the cores wait for what it computes
    and write the pictures."""
    if looker.device == "cpu":
        return workers.ordered(looker, batches, workers.for_device(looker.device))
    stages = [Stage("look", looker.look), Stage("write", looker.write, workers.cores())]
    return flow_on_gpu(batches, stages, looker.device)


class _Shot:
    """Remembers the last frame seen, to tell where a new shot begins. Pictures of a folder are a shot each."""

    def __init__(self, *, every_frame_is_one: bool) -> None:
        self.every_frame_is_one = every_frame_is_one
        self.previous: Tensor | None = None

    def cuts(self, seen: Seen) -> list[int]:
        found = []
        for number, small in zip(seen.frames, seen.thumbnails, strict=True):
            if self.previous is not None and (self.every_frame_is_one or is_cut(self.previous, small)):
                found.append(number)
            self.previous = small
        return found
