"""`fastswap bench quality`: presets trained on puppet pairs with a known truth, judged as the seconds go by.

Every pair, preset and seed is a process on one core of its own; what it found is a file in the study's folder, so that
a study that was cut short, or is asked for more, does only what is missing. The record is made of those files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import fastswap
from fastswap import workers
from fastswap.bench.provenance import commit
from fastswap.bench.quality.entry import Entry, fingerprint
from fastswap.bench.quality.job import Job
from fastswap.bench.quality.record import made
from fastswap.bench.quality.sheet import middle_seed, write_sheet
from fastswap.bench.quality.verdict import last_scores
from fastswap.errors import FastswapError, UsageError
from fastswap.progress import Report, bar
from fastswap.quality.pairs import PAIRS, find_pair
from fastswap.storage import write_json

FRAMES = 120  # of the truth that a swap is judged on: nearly five seconds, two to three blinks
_QUICK_FRAMES = 30
_PATIENCE = 0.2  # seconds between two requests to end
PAIRS_SHOWN = tuple(PAIRS)[:3]


@dataclass(frozen=True)
class Study:
    """marks: minutes of training after which a swap is judged; a run trains for the longest. jobs: how many runs at
    once (None: one a core); clips: the seed of the puppets' motions, other than the training's."""

    folder: Path
    entries: tuple[Entry, ...]
    pairs: tuple[str, ...] = PAIRS_SHOWN
    seeds: tuple[int, ...] = (0, 1, 2)
    minutes: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0)
    jobs: int | None = None
    clips: int = 0
    quick: bool = False

    def __post_init__(self) -> None:
        for name in self.pairs:
            find_pair(name)
        for what, values in (("pair", self.pairs), ("seed", self.seeds), ("mark", self.minutes)):
            if not values or len(set(values)) != len(values):
                raise UsageError(f"each {what} once, and at least one, got {', '.join(map(str, values)) or 'none'}")
        if min(self.minutes) <= 0 or (self.jobs is not None and self.jobs < 1) or min(self.seeds) < 0:
            raise UsageError("minutes and jobs are above 0, and seeds not below it")

    @property
    def marks(self) -> tuple[float, ...]:
        """Seconds, rising."""
        return tuple(sorted(60 * minutes for minutes in self.minutes))

    @property
    def frames(self) -> int:
        return _QUICK_FRAMES if self.quick else FRAMES


@dataclass(frozen=True)
class QualitySummary:
    """last: preset -> metric -> value at the longest mark, median over seeds, mean over pairs; record: what
    `bench/results/quality.schema.json` describes, written to output."""

    last: dict[str, dict[str, float | None]]
    runs: int
    output: Path | None


def bench_quality(
    study: Study, output: Path | None = None, pictures: Path | None = None, *, quiet: bool = False
) -> QualitySummary:
    """Does what is missing of a study, writes its record to `output` and a sheet a pair into the folder `pictures`.
    Raises FastswapError naming the jobs that failed, after all others are done; their logs are in the folder."""
    study.folder.mkdir(parents=True, exist_ok=True)
    runs = _jobs(study, "run")
    with bar("bench quality", len(runs), "runs", quiet=quiet) as report:
        _do(study, _jobs(study, "ground"), lambda done, note="": report(0, note))
        _do(study, _jobs(study, "speed"), lambda done, note="": report(0, note))
        _do(study, [replace(job, rate=_rate(study, job)) for job in runs], report)
    record = _record(study, runs)
    if output is not None:
        write_json(output, record)
    if pictures is not None:
        _show(study, runs, pictures)
    return QualitySummary(last_scores(record), len(runs), output)


def _jobs(study: Study, kind: str) -> list[Job]:
    """Seed after seed, so that a study that is cut short has something of everything."""
    setting = fingerprint([study.clips, study.frames])
    marks = fingerprint(study.marks)
    found = []
    for seed in study.seeds if kind == "run" else (0,):
        for pair in study.pairs:
            ground = study.folder / "pairs" / f"{pair}.{setting}"
            job = Job(kind, pair, ground, ground / "ground.json", None, study.quick, study.clips, study.frames)
            if kind == "ground":
                found.append(job)
                continue
            for entry in study.entries:
                if kind == "speed" and pair == study.pairs[0]:
                    place = _speed_file(study, entry.key)
                    found.append(replace(job, output=place, preset=entry.preset))
                elif kind == "run":
                    place = study.folder / "runs" / f"{pair}.{setting}" / f"{marks}" / entry.key / f"{seed}.json"
                    found.append(replace(job, output=place, preset=entry.preset, seed=seed, marks=study.marks))
    return found


def _record(study: Study, runs: Sequence[Job]) -> dict[str, Any]:
    labels = {entry.key: entry.label for entry in study.entries}
    return made(
        [
            {"pair": job.pair, "preset": labels[job.output.parent.name], "seed": job.seed, **_read(job.output)}
            for job in runs
        ],
        {job.pair: _read(job.output) for job in _jobs(study, "ground")},
        {entry.label: entry.preset for entry in study.entries},
        minutes=study.minutes,
        clips=study.clips,
        quick=study.quick,
    )


def _show(study: Study, runs: Sequence[Job], folder: Path) -> None:
    """The sheets: each preset's middle seed."""
    for pair in study.pairs:
        ground = next(job.ground for job in runs if job.pair == pair)
        columns = {"A": ground / "a.png"}
        for entry in study.entries:
            own = {job.seed: job.output for job in runs if job.pair == pair and job.output.parent.name == entry.key}
            margins = {seed: _read(path)["marks"][-1]["scores"]["margin"] or 0.0 for seed, path in own.items()}
            seed = middle_seed(margins)
            columns[f"{entry.label}, seed {seed}"] = own[seed].with_suffix(".png")
        write_sheet(folder / f"{pair}.jpg", {**columns, "B as A (truth)": ground / "truth.png"})


def _rate(study: Study, job: Job) -> float:
    return float(_read(_speed_file(study, job.output.parent.name))["rate"])


def _speed_file(study: Study, key: str) -> Path:
    return study.folder / ("speed-quick" if study.quick else "speed") / f"{key}.json"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _do(study: Study, jobs: Sequence[Job], report: Report) -> None:
    """Runs the jobs whose output is not there yet, each on one of the cores."""
    missing = [job for job in jobs if not job.output.exists()]
    done = len(jobs) - len(missing)
    report(done)
    cores: SimpleQueue[int | None] = SimpleQueue()
    for core in _cores(study.jobs or workers.cores()):
        cores.put(core)
    running: set[subprocess.Popen[bytes]] = set()

    def run(job: Job) -> str | None:
        core = cores.get()
        try:
            return _in_a_process(replace(job, core=core), running)
        finally:
            cores.put(core)

    faults = []
    pool = ThreadPoolExecutor(cores.qsize())
    futures = [pool.submit(run, job) for job in missing]
    try:
        for job, future in zip(missing, futures, strict=True):
            fault = future.result()
            faults += [fault] if fault else []
            done += 1
            report(done, f"{job.kind} {job.pair} {job.preset.name if job.preset else ''}")
    finally:  # interrupted, what runs ends and what waits does not begin
        pool.shutdown(wait=False, cancel_futures=True)
        while not all(future.done() for future in futures):
            for process in tuple(running):
                process.terminate()
            time.sleep(_PATIENCE)
    if faults:
        raise FastswapError("; ".join(faults))


def _cores(jobs: int) -> Iterator[int | None]:
    own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    for index in range(jobs):
        yield own[index % len(own)] if own else None


def _in_a_process(job: Job, running: set[subprocess.Popen[bytes]]) -> str | None:
    """What went wrong, None where all is well."""
    job.output.parent.mkdir(parents=True, exist_ok=True)
    asked, log = (job.output.with_suffix(suffix) for suffix in (".job", ".log"))
    write_json(asked, job.to_json())
    package = str(Path(fastswap.__file__).resolve().parents[1])
    paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths), "FASTSWAP_COMMIT": commit()["id"]}
    command = [sys.executable, "-m", "fastswap.bench.quality.job", str(asked)]
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(command, stdout=file, stderr=file, env=environment) as it,
    ):
        running.add(it)
        status = it.wait()
        running.discard(it)
    if status == 0 and job.output.exists():
        asked.unlink()
        return None
    last = (log.read_text(encoding="utf-8").strip().splitlines() or ["it said nothing"])[-1]
    return f"{job.kind} of {job.pair} failed ({log}): {last}"
