"""`fastswap bench train`: every trial in a process of its own (on a GPU every preset and batch), and their record."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import fastswap
from fastswap.bench.quality.entry import entries
from fastswap.bench.train.record import made, row
from fastswap.bench.train.trial import COMPILED, LOADED, Trial, trials
from fastswap.device import resolve_device
from fastswap.errors import FastswapError, MissingDependencyError
from fastswap.progress import bar
from fastswap.storage import write_json

FOLDER = Path(__file__).resolve().parents[1]
PRESETS = ("gan:64", "lite", "original")
_NEEDED = ("pytest", "pytest_benchmark")


@dataclass(frozen=True)
class TrainingFigures:
    """record: what `results/training.schema.json` describes; output: where it was written."""

    record: dict[str, Any]
    output: Path | None


def bench_train(
    presets: Sequence[str] = PRESETS,
    batches: Sequence[int] = (),
    contenders: Sequence[str] = (),
    *,
    device: str = "auto",
    precision: str = "auto",
    record: Path | None = None,
    quick: bool = False,
    quiet: bool = False,
) -> TrainingFigures:
    """Measures these presets ("name" or "name:size") with these batches (none: each preset's own) by these contenders
    (none: all that this device has). The record is written anew after each process.

    Raises UsageError for what does not exist, MissingDependencyError without pytest and pytest-benchmark, FastswapError
    where nothing could be measured."""
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise MissingDependencyError(f'{" and ".join(absent)} not installed: pip install "fastswap[bench]"')
    device = resolve_device(device)
    named = [(entry.label, entry.preset) for entry in entries(presets)]
    asked = trials(named, batches, contenders, device, precision=precision, quick=quick)
    pieces = list(groups(asked))
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        bar("bench train", len(pieces) + 1, "processes", quiet=quiet) as report,
    ):
        ceilings, _ = _pytest("bench_ceiling.py", [], Path(folder), device)
        if not ceilings:
            raise FastswapError("the benches did not run: `python -m pytest bench/train/bench_ceiling.py` says why")
        for number, group in enumerate(pieces, 1):
            report(number, str(group[0]))
            results, status = _pytest("bench_step.py", group, Path(folder), device)
            rows += _rows(group, results, status, ceilings)
            content = made(rows, ceilings, quick=quick)
            if record is not None:
                record.parent.mkdir(parents=True, exist_ok=True)
                write_json(record, content)
        report(len(pieces) + 1)
    if not any(each["median"] for each in rows):
        raise FastswapError(f"nothing could be measured: {rows[0]['reason']}")
    return TrainingFigures(content, record)


def groups(asked: Sequence[Trial]) -> Iterator[list[Trial]]:
    """Those that share a process. On a CPU none do: a process has one peak of memory in its life. On a GPU those of a
    preset and batch do, in a few pieces, since the record has what is in whole pieces if it is cut short."""
    if not asked or asked[0].device == "cpu":
        yield from ([trial] for trial in asked)
        return

    def piece(trial: Trial) -> tuple[str, int, bool, bool]:
        return trial.preset, trial.batch, trial.contender in LOADED, trial.contender in COMPILED

    for _, group in groupby(asked, key=piece):
        yield list(group)


def _rows(
    group: Sequence[Trial], results: list[dict[str, Any]], status: int, ceilings: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each trial: those without a result are those that the process did not come to, or did not survive."""
    found = {result["trial"]: result for result in results}
    ended = {"reason": f"the process ended with status {status}"}
    return [row(trial, found.get(str(trial), ended), ceilings) for trial in group]


def _pytest(file: str, asked: Sequence[Trial], folder: Path, device: str) -> tuple[list[dict[str, Any]], int]:
    """The results of a file of benches, and pytest's status. Its settings do not depend on where it runs."""
    given, results = folder / "trials.json", folder / "results.jsonl"
    given.write_text(json.dumps([trial.to_json() for trial in asked]), encoding="utf-8")
    results.write_text("", encoding="utf-8")
    settings = ["-c", os.devnull, "--rootdir", str(FOLDER), "--import-mode=importlib", "-o", "python_files=bench_*.py"]
    style = ["-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "--benchmark-quiet", "--disable-warnings"]
    files = [f"--trials={given}", f"--results={results}", str(FOLDER / "train" / file)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *style, *files],
        capture_output=True,
        text=True,
        cwd=FOLDER,
        env=_environment(device),
        check=False,
    )
    lines = results.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], done.returncode


def _environment(device: str) -> dict[str, str]:
    """This very fastswap, also where it is not installed; on a CPU no GPU is seen."""
    inherited = [str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    paths = [str(Path(fastswap.__file__).resolve().parents[1]), *inherited]
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **hidden}
