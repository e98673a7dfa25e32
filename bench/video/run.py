"""`fastswap bench video`: decoding, extracting and converting, beside a plain implementation on the same clips."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastswap.bench.video.clip import SIZES, Portrait
from fastswap.bench.video.codec import codec_rows
from fastswap.bench.video.convert import convert_rows
from fastswap.bench.video.device import device_rows
from fastswap.bench.video.extract import extract_rows
from fastswap.bench.video.record import made
from fastswap.bench.video.scene import Scene, make_generator, make_scene
from fastswap.bench.video.swap import Work, swap_rows
from fastswap.bench.video.trial import Trial, trials
from fastswap.device import resolve_device
from fastswap.progress import bar
from fastswap.storage import write_json

Row = dict[str, Any]


@dataclass(frozen=True)
class VideoFigures:
    """record: what `results/video.schema.json` describes; output: where it was written."""

    record: dict[str, Any]
    output: Path | None


def bench_video(
    sizes: Sequence[str] = (),
    faces: Sequence[int] = (),
    *,
    device: str = "auto",
    record: Path | None = None,
    quick: bool = False,
    quiet: bool = False,
) -> VideoFigures:
    """Measures clips of these sizes ("480p" to "2160p") with these numbers of faces (none: all). The record is written
    anew after each clip. Raises UsageError for what does not exist."""
    device = resolve_device(device)
    asked = list(trials(sizes, faces, device, quick=quick))
    rows: list[Row] = []
    clips: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="fastswap-") as folder,
        bar("bench video", len(asked), "clips", quiet=quiet) as report,
    ):
        portrait = Portrait.load()
        for number, trial in enumerate(asked):
            report(number, str(trial))
            scene = make_scene(Path(folder), portrait, trial.size, trial.faces, trial.frames)
            clips.append(about(scene))
            first = all(each.size != trial.size for each in asked[:number])
            rows += measured(trial, scene, portrait, Path(folder), codec=first)
            content = made(rows, clips, quick=quick)
            if record is not None:
                record.parent.mkdir(parents=True, exist_ok=True)
                write_json(record, content)
            scene.path.unlink()
        report(len(asked))
    return VideoFigures(content, record)


def measured(trial: Trial, scene: Scene, portrait: Portrait, folder: Path, *, codec: bool) -> list[Row]:
    """The rows of a trial. codec: decoding and encoding too, which do not depend on the faces."""
    rows: list[Row] = []
    if codec:
        rows += codec_rows(trial, scene, folder)
        rows += device_rows(trial, scene) if trial.device == "cuda" else []
    rows += extract_rows(trial, scene, folder)
    for name in trial.generators:
        work = Work(trial, scene, name, *make_generator(name, portrait, trial.device))
        rows += swap_rows(work)
        rows += convert_rows(work, folder)
    return rows


def about(scene: Scene) -> Row:
    """What a clip is."""
    width, height = SIZES[scene.size]
    rate = scene.path.stat().st_size * 8 * scene.info.fps / scene.frames
    facts = {"size": scene.size, "faces": scene.faces, "width": width, "height": height, "frames": scene.frames}
    return {**facts, "bits_per_second": round(float(rate))}
