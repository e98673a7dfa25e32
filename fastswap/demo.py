"""demo: the whole path, as a user would chain it, and a verdict on what came out."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from fastswap.conversion import ConvertSettings, convert
from fastswap.errors import InputError
from fastswap.evaluation import Evaluation, evaluate, write_sheet
from fastswap.extraction import extract
from fastswap.faceset import FaceSet
from fastswap.faceset.scan import ScanSettings
from fastswap.progress import bar
from fastswap.quality.clips import FRAMES_A, FRAMES_B, make_clips
from fastswap.storage import write_json
from fastswap.training import TrainSettings, train

_MARK = "demo.json"
_MADE = ("clips", "faces", "model")
_FACE_SIZE = 256


@dataclass(frozen=True)
class DemoSummary:
    """What the demo left behind. scores: as in `Evaluation`, empty for clips of your own, which have no truth; seconds:
    by part of the path; egs_per_s: examples a second in training, both sides counted."""

    swapped: str
    sheet: str
    iterations: int
    egs_per_s: float
    margin_over_constant: float | None
    scores: dict[str, dict[str, float | None]]
    seconds: dict[str, float] = field(default_factory=dict)


def demo(
    folder: Path, minutes: float, a: Path | None = None, b: Path | None = None, seed: int = 0, *, quiet: bool = False
) -> DemoSummary:
    """Makes two puppets (or takes the clips a and b), extracts, trains `lite` for `minutes`, converts and judges, all
    in `folder`, whose earlier demo is replaced. Raises InputError where the folder holds anything else."""
    _clear(folder)
    clock = _Clock()
    truth = None
    if a is None or b is None:
        with bar("puppets", 2 * FRAMES_A + FRAMES_B, "frames", quiet=quiet) as report:
            clips = make_clips(folder / "clips", seed, progress=report)
        a, b, truth = clips.a, clips.b, clips.truth
    clock.lap("puppets")
    faces_a, faces_b = folder / "faces" / "a", folder / "faces" / "b"
    for clip, faces in ((a, faces_a), (b, faces_b)):
        extract(ScanSettings(clip, faces, size=_FACE_SIZE), quiet=quiet)
    clock.lap("extract")
    model, swapped, sheet = folder / "model", folder / "swapped.mp4", folder / "sheet.png"
    with bar("train", None, "iterations", quiet=quiet) as report:
        trained = train(TrainSettings(faces_a, faces_b, model, preset="lite", minutes=minutes, seed=seed), report)
    clock.lap("train")
    convert(ConvertSettings(a, model, swapped), quiet=quiet)
    clock.lap("convert")
    evaluation = _judge(a, swapped, truth, faces_a, faces_b, sheet, quiet)
    clock.lap("evaluate")
    return DemoSummary(
        swapped=str(swapped),
        sheet=str(sheet),
        iterations=trained.iteration,
        egs_per_s=round(trained.egs_per_s, 1),
        margin_over_constant=evaluation.margin_over_constant if evaluation else None,
        scores=evaluation.scores if evaluation else {},
        seconds=clock.laps,
    )


def _judge(
    a: Path, swapped: Path, truth: Path | None, faces_a: Path, faces_b: Path, sheet: Path, quiet: bool
) -> Evaluation | None:
    if truth is not None:
        return evaluate(a, swapped, truth, faces_a, faces_b, sheet, quiet=quiet)
    faces = FaceSet.open(faces_a)
    write_sheet(sheet, {"A": a, "swap": swapped}, faces, faces.choose(None))
    return None


def _clear(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise InputError(f"{folder} holds files that are not a demo's: choose another folder with -o")
    for name in _MADE:
        shutil.rmtree(folder / name, ignore_errors=True)
    write_json(folder / _MARK, {"made_by": "fastswap demo"})


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._began = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._began, 1)
        self._began = now
