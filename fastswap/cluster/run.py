"""`extract` and `convert` for one video or a folder of them, here, by local workers, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastswap import conversion, extraction
from fastswap.cluster.backend import Backend
from fastswap.cluster.crew import TaskCrew
from fastswap.cluster.folder import each, names_of
from fastswap.cluster.local import LocalBackend
from fastswap.cluster.ray_backend import RayBackend
from fastswap.conversion import ConvertSettings
from fastswap.errors import UsageError
from fastswap.faceset.scan import ScanSettings, scan
from fastswap.video.joining import can_join
from fastswap.video.videos import videos_in


def extract(settings: ScanSettings, *, ray: str | None = None, jobs: int | None = None, quiet: bool = False) -> Any:
    """`extraction.extract`, of each video where the source is a folder of videos: into a folder for each.

    ray: the address of a Ray cluster, see `RayBackend`; jobs: how many workers (without Ray: processes here). With
    neither the work is done by this process. Returns an ExtractSummary or a FolderSummary. Raises what `extract` does,
    InputError for a cluster that cannot be used, WorkerLostError where workers are lost again and again.
    """
    videos = videos_in(settings.source)
    with _crew(ray, jobs, settings.device) as crew:
        if crew is not None:
            crew.check(settings.source, settings.folder if videos else settings.folder.resolve().parent)

        def one(settings: ScanSettings, quiet: bool) -> Any:
            return extraction.extract(settings, quiet=quiet, scan=scan if crew is None else crew.scan)

        if not videos:
            return one(settings, quiet)
        names = names_of(videos)

        def work(path: Path) -> Any:
            return one(replace(settings, source=path, folder=settings.folder / names[path]), True)

        return each(videos, work, _at_once(crew), title=f"extract {settings.source.name}", quiet=quiet)


def convert(settings: ConvertSettings, *, ray: str | None = None, jobs: int | None = None, quiet: bool = False) -> Any:
    """`conversion.convert`, of each video where the input is a folder of videos: into a folder, under the same names.
    With `faces`, a folder of face sets as `extract` makes it. The rest as in `extract`."""
    videos = videos_in(settings.input)
    if videos and (settings.mask_output is not None or settings.still is not None):
        raise UsageError(f"--mask-output and --still are for one video, and {settings.input} is a folder of videos")
    with _crew(ray, jobs, settings.device) as crew:
        if crew is not None:
            crew.check(settings.input, settings.output if videos else settings.output.resolve().parent)
        if not videos:
            return conversion.convert(settings, quiet=quiet, crew=crew)
        names = names_of(videos)

        def work(path: Path) -> Any:
            faces = None if settings.faces is None else settings.faces / names[path]
            output = settings.output / (path.name if can_join(path) else f"{names[path]}.mkv")
            own = replace(settings, input=path, output=output, faces=faces)
            return conversion.convert(own, quiet=True, crew=crew)

        return each(videos, work, _at_once(crew), title=f"convert {settings.input.name}", quiet=quiet)


def _at_once(crew: TaskCrew | None) -> int:
    """How many videos are begun at the same time: enough that short ones keep all workers busy."""
    return 1 if crew is None else crew.backend.workers + 1


@contextmanager
def _crew(ray: str | None, jobs: int | None, device: str) -> Iterator[TaskCrew | None]:
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs {jobs}: at least one worker is needed")
    if ray is None and jobs is None:
        yield None
        return
    backend: Backend = RayBackend(ray, jobs, gpu=device != "cpu") if ray is not None else LocalBackend(jobs or 1)
    try:
        yield TaskCrew(backend)
    finally:
        backend.close()
