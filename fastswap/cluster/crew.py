"""The crew: extraction and conversion of one video, shared out over workers. The same frames as by one process.

Parts begin where a batch of frames does, so every network sees the frames together that it would see in one process.
Faces are looked for part by part; tracks, persons, gaps and smoothing need all of them and are made here, in order.
"""

from __future__ import annotations

import logging
import math
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fastswap.cluster.backend import Backend
from fastswap.cluster.tasks import check_task, scan_task, swap_task
from fastswap.conversion.frames import together
from fastswap.conversion.job import Job
from fastswap.conversion.settings import ConvertSettings
from fastswap.faceset.format import TABLE_NAME, FaceSetMeta
from fastswap.faceset.parts import Parts, settings_of
from fastswap.faceset.scan import ScanSettings, finish_scan, scan
from fastswap.progress import Report
from fastswap.video import VideoInfo, open_video
from fastswap.video.chunk import chunk_length
from fastswap.video.joining import can_join, join
from fastswap.video.segments import WHOLE, Part, PartError, split

_log = logging.getLogger("fastswap")
_LEAST, _MOST = 250, 5000
"""Frames of a part: fewer are not worth the way to a worker and the wait for a key frame, more are too much to lose."""
_ROUNDS = 4
"""Parts that each worker gets, about: so that all end at about the same time."""


@dataclass(frozen=True)
class TaskCrew:
    """A `Crew` whose work is done by a backend. least: frames of a part, at least."""

    backend: Backend
    least: int = _LEAST

    def takes(self, settings: ConvertSettings) -> bool:
        outputs = [path for path in (settings.output, settings.mask_output) if path is not None]
        fitting = settings.still is None and all(can_join(path) for path in outputs)
        if not fitting and settings.still is None:
            _log.info("%s cannot be joined from parts: it is written by one process", settings.output.name)
        return fitting

    def check(self, source: Path, folder: Path) -> None:
        """Raises InputError, naming the node, where one cannot read the source or does not see what is written to the
        folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", prefix=".fastswap-", dir=folder) as marker:
            marker.write(secrets.token_hex())
            marker.flush()
            self.backend.everywhere(check_task(source.resolve(), Path(marker.name).resolve()))

    def scan(self, settings: ScanSettings, meta: FaceSetMeta, report: Report) -> int:
        with open_video(settings.source) as video:
            info = video.info
        if info.is_pictures or settings.frames is not None:  # batches then do not follow from the frames' numbers
            return scan(settings, meta, report)
        parts = self._split(info, settings.every)
        try:
            self._scan(settings, meta, parts, report)
        except PartError as error:
            _log.warning("%s", error)
            self._scan(settings, meta, [WHOLE], report)
        return finish_scan(settings, meta)

    def _scan(self, settings: ScanSettings, meta: FaceSetMeta, parts: list[Part], report: Report) -> None:
        found = Parts(settings.folder, settings_of(meta))
        found.begin()
        todo = [part for part in parts if part.is_whole or not _is_there(found, part, settings.every)]
        for part in todo:
            found.clear(part.first, None if part.is_whole else part.end)
        progress = _Progress(parts, todo, report)
        self.backend.run([scan_task(settings, meta, part) for part in todo], progress)

    def swap(self, job: Job, video: VideoInfo, report: Report) -> int:
        parts = self._split(video, 1)
        try:
            return self._swap(job, video, parts, report)
        except PartError as error:
            _log.warning("%s", error)
            return self._swap(job, video, [WHOLE], report)

    def _swap(self, job: Job, video: VideoInfo, parts: list[Part], report: Report) -> int:
        import pyarrow.parquet as pq

        output, masks = job.settings.output, job.settings.mask_output
        with tempfile.TemporaryDirectory(prefix=f".{output.stem}-", dir=output.resolve().parent) as folder:
            places = [Path(folder) / f"{number:05d}" for number in range(len(parts))]
            everyone = Path(folder) / TABLE_NAME
            pq.write_table(job.faces.table.select(["file", "person"]), everyone)
            tasks = [_swap_task(job, part, place, everyone) for part, place in zip(parts, places, strict=True)]
            frames = self.backend.run(tasks, _Progress(parts, parts, report))
            if masks is not None:
                join([place / f"mask{masks.suffix}" for place in places], masks, video, alone=True)
            join([place / f"video{output.suffix}" for place in places], output, video)
        return sum(frames)

    def _split(self, info: VideoInfo, every: int) -> list[Part]:
        batches = (chunk_length(info), *(chunk_length(info, *together(device)) for device in ("cpu", "cuda")))
        share = (info.frames or 0) // (_ROUNDS * self.backend.workers)
        return split(info.path, min(max(share, self.least), _MOST), multiple=every * math.lcm(*batches))


class _Progress:
    """Tells a report how many frames are done. done: the parts that are to be done, of all."""

    def __init__(self, parts: Sequence[Part], todo: Sequence[Part], report: Report) -> None:
        self._todo, self._report, self._of = todo, report, len(parts)
        self._parts = len(parts) - len(todo)
        self._frames = sum(part.end - part.first for part in parts) - sum(part.end - part.first for part in todo)
        self._tell()

    def __call__(self, number: int) -> None:
        self._parts += 1
        self._frames += self._todo[number].end - self._todo[number].first
        self._tell()

    def _tell(self) -> None:
        self._report(self._frames, f"{self._parts} of {self._of} parts")


def _is_there(found: Parts, part: Part, every: int) -> bool:
    """Whether an interrupted run looked at exactly this part."""
    behind = (part.end - 1) // every * every + every
    return found.reach(part.first, part.end) == behind


def _swap_task(job: Job, part: Part, place: Path, everyone: Path) -> str:
    """Leaves the rows of the part's faces in `place`, where its output will lie too."""
    import pyarrow.parquet as pq

    place.mkdir()
    table = job.faces.table
    frames, persons = (np.asarray(table[name].to_numpy()) for name in ("frame", "person"))
    wanted = (persons == job.person) & np.isin(frames, list(job.only))
    if not part.is_whole:
        wanted &= (frames >= part.first) & (frames < part.end)
    pq.write_table(table.filter(wanted), place / TABLE_NAME)
    settings = job.settings
    masks = None if settings.mask_output is None else place / f"mask{settings.mask_output.suffix}"
    settings = replace(settings, output=place / f"video{settings.output.suffix}", mask_output=masks, frames=None)
    return swap_task(replace(job, settings=settings), place / TABLE_NAME, everyone, part)
