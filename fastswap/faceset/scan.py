"""From a video to the faces in it, one pass, a few frames at a time on every core."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from fastswap import workers
from fastswap.device import resolve_device
from fastswap.faces import EXTENT, TEMPLATE, FaceFinder, is_cut, persons
from fastswap.faceset.batch import windows
from fastswap.faceset.format import FaceSetMeta, Source, hash_source
from fastswap.faceset.look import Looker, Seen
from fastswap.faceset.parts import Part, Parts, settings_of
from fastswap.flow import Stage
from fastswap.progress import Report
from fastswap.streams import flow_on_gpu
from fastswap.video import Frame, Video, VideoInfo, open_video
from fastswap.video.chunk import CHUNK_BYTES, chunk_length, chunks
from fastswap.video.ranges import FrameRanges
from fastswap.video.segments import Part as Segment

_PART_FRAMES = 256
"""Frames of a part: what a kill can cost (about ten seconds)."""


@dataclass(frozen=True)
class ScanSettings:
    """What to look for. size: of the aligned faces, in pixels; every: look at each how manieth frame; small: search
    tiles for faces that are small in the frame; min_size: of a face's box, in pixels of its longer side; persons: what
    they are told apart by, "appearance" or "identity" (see `faces.persons`); pictures: write the aligned faces too;
    format: of those, "png" or "jpg"; decoder: see `open_video`; frames: look at these only."""

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
    decoder: str = "auto"
    frames: FrameRanges | None = None


Scan = Callable[[ScanSettings, FaceSetMeta, Report], int]
"""`scan`, or who does the same elsewhere."""


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
    parts = Parts(settings.folder, settings_of(meta))
    parts.begin()
    start = parts.reach()
    parts.clear(start)
    with _opened(settings) as video:
        for part in _parts(settings, video, start, report):
            parts.write(part)
    return finish_scan(settings, meta)


def scan_part(settings: ScanSettings, meta: FaceSetMeta, segment: Segment, report: Report) -> None:
    """Looks at some of the frames of `settings.source`, which begin where a chunk does, and leaves what it finds for
    `finish_scan`, which makes of all parts what `scan` makes."""
    parts = Parts(settings.folder, settings_of(meta))
    parts.clear(segment.first, segment.end)
    with _opened(settings, segment) as video:
        for part in _parts(settings, video, segment.first, report):
            parts.write(part)


def _opened(settings: ScanSettings, segment: Segment | None = None) -> Video:
    device = resolve_device(settings.device)
    return open_video(settings.source, device=device, decoder=settings.decoder, part=segment)


def finish_scan(settings: ScanSettings, meta: FaceSetMeta) -> int:
    """Makes the face set of the parts that were looked at. Returns the number of faces (0: nothing is left behind)."""
    parts = Parts(settings.folder, settings_of(meta))
    fps = float(Fraction(meta.source.fps))
    faces = parts.finish(meta, fps, persons.method(settings.persons).same_person)
    if not faces:
        parts.remove()
    return faces


def _parts(settings: ScanSettings, video: Video, start: int, report: Report) -> Iterator[Part]:
    """Yields a part once its pictures are on disk."""
    info, every = video.info, settings.every
    looker = _looker(settings, info)
    many = windows(info, settings.size, looker.device)
    batches = chunks(_wanted(settings, video, start), many * chunk_length(info), many * CHUNK_BYTES)
    collected, faces = _Collected(start, every, info.is_pictures), 0
    for seen in _look(looker, batches):
        collected.add(seen)
        faces += seen.faces
        report(seen.frames[-1] + 1, f"{faces} faces")
        if collected.next - collected.first >= _PART_FRAMES * every:
            yield collected.part()
            collected = _Collected(collected.next, every, info.is_pictures)
    if collected.next > collected.first:
        yield collected.part()


def _wanted(settings: ScanSettings, video: Video, start: int) -> Iterator[Frame]:
    chosen = settings.frames
    for frame in video:
        if chosen is not None and chosen.last is not None and frame.index > chosen.last:
            return
        if frame.index >= start and frame.index % settings.every == 0 and (chosen is None or frame.index in chosen):
            yield frame


def _looker(settings: ScanSettings, info: VideoInfo) -> Looker:
    device = resolve_device(settings.device)
    return Looker(
        FaceFinder(
            device,
            small=settings.small or info.is_pictures,
            window=None if info.is_pictures else chunk_length(info),
        ),
        persons.method(settings.persons),
        settings.folder if settings.pictures else None,
        settings.size,
        settings.min_size,
        info.aspect,
        device,
        settings.format,
    )


def _look(looker: Looker, batches: Iterable[list[Frame]]) -> Generator[Seen]:
    """On the CPU every core takes whole batches. A GPU is kept busy by one thread; the cores wait for what it computes
    and write the pictures."""
    if looker.device == "cpu":
        return workers.ordered(looker, batches, workers.for_device(looker.device))
    stages = [Stage("look", looker.look), Stage("write", looker.write, workers.cores())]
    return flow_on_gpu(batches, stages, looker.device)


class _Collected:
    """What was seen since the last part. every_frame_is_a_shot: pictures of a folder."""

    def __init__(self, first: int, every: int, every_frame_is_a_shot: bool) -> None:
        self.first = self.next = first
        self._every = every
        self._alone = every_frame_is_a_shot
        self._rows: list[dict[str, NDArray[Any]]] = []
        self._cuts: list[int] = []
        self._ends: list[Tensor] = []

    def add(self, seen: Seen) -> None:
        if seen.faces:
            self._rows.append(seen.rows)
        for number, small in zip(seen.frames, seen.thumbnails, strict=True):
            if self._alone or (self._ends and is_cut(self._ends[-1], small)):
                self._cuts.append(number)
            self._ends = [*self._ends[:1], small]
        self.next = seen.frames[-1] + self._every

    def part(self) -> Part:
        return Part(self._rows, self._cuts, self.first, self.next, (self._ends[0], self._ends[-1]))
