"""The videos of a folder, some at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastswap.errors import FastswapError, InputError
from fastswap.progress import bar


@dataclass(frozen=True)
class FolderSummary:
    """What became of each video of a folder, by its name."""

    videos: dict[str, Any]


def names_of(videos: list[Path]) -> dict[Path, str]:
    """A name for each video: without its ending, where no other one then has the same."""
    stems = [path.stem for path in videos]
    return {path: path.stem if stems.count(path.stem) == 1 else path.name for path in videos}


def each(videos: list[Path], work: Callable[[Path], Any], at_once: int, *, title: str, quiet: bool) -> FolderSummary:
    """Calls `work` for every video, for some at the same time. Raises InputError at the end, when the others are done,
    with a word on each that failed."""
    done: dict[str, Any] = {}
    failed: list[str] = []
    pool = ThreadPoolExecutor(at_once, "fastswap video")
    try:
        with bar(title, len(videos), "videos", quiet=quiet) as report:
            futures = {pool.submit(work, path): path for path in videos}
            for future in as_completed(futures):
                try:
                    done[futures[future].name] = future.result()
                except FastswapError as error:
                    failed.append(str(error))
                report(len(done) + len(failed))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if failed:
        raise InputError(f"{len(failed)} of {len(videos)} videos could not be done: {'; '.join(failed)}")
    return FolderSummary({path.name: done[path.name] for path in videos})
