"""One piece of a study, in a process of its own on one core: a pair made ready, a preset's speed, or a run.

    python -m fastswap.bench.quality.job job.json

Runs are given iterations, not minutes: so many as the preset does in the budget at the speed measured beforehand. A run
is then the same whenever it is made again, and its learning rate ends where the budget ends. What a checkpoint really
cost is in its figures.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastswap.bench.provenance import commit
from fastswap.bench.quality.clock import Clock
from fastswap.bench.quality.ground import Ground, open_ground, prepare, write_strip
from fastswap.errors import FastswapError, UsageError
from fastswap.models import Preset, TrainedModel, write_config
from fastswap.models.strict_json import parse
from fastswap.storage import write_json
from fastswap.training import TrainSettings, train
from fastswap.training.prepare import prepare as configuration

_SPEED_ITERATIONS = {False: 60, True: 20}
"""The whole schedule in small: every phase of a preset has its share of them."""
_LEAST = 20  # iterations: `train` reports each tenth, and a clock needs two reports


@dataclass(frozen=True)
class Job:
    """kind: "ground" | "speed" | "run"; ground: the pair's folder; output: the JSON file that is there once the job is
    done; core: which one to run on (None: any); clips: the seed of the clips; marks: seconds of training after which
    the swap is judged, rising."""

    kind: str
    pair: str
    ground: Path
    output: Path
    core: int | None
    quick: bool
    clips: int
    frames: int
    preset: Preset | None = None
    seed: int = 0
    marks: tuple[float, ...] = ()
    rate: float = 0.0  # iterations a second

    def to_json(self) -> dict[str, Any]:
        plain = dataclasses.asdict(self)
        return {**plain, "ground": str(self.ground), "output": str(self.output)}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Job:
        preset = content["preset"] and parse(Preset, content["preset"])
        places = {name: Path(content[name]) for name in ("ground", "output")}
        return Job(**{**content, **places, "preset": preset, "marks": tuple(content["marks"])})


def main(path: Path) -> None:
    job = Job.from_json(json.loads(path.read_text(encoding="utf-8")))
    if job.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {job.core})
    if job.kind == "ground":
        prepare(job.ground, job.pair, job.clips, job.frames, quiet=True)
        return
    ground = open_ground(job.ground)
    if ground is None:
        raise FastswapError(f"{job.ground} is not ready: run the study again")
    work = job.output.with_suffix(".work")
    shutil.rmtree(work, ignore_errors=True)
    try:
        write_json(job.output, (_speed if job.kind == "speed" else _run)(job, ground, work))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _speed(job: Job, ground: Ground, work: Path) -> dict[str, Any]:
    """Iterations a second of the processor, over a whole schedule."""
    iterations = _SPEED_ITERATIONS[job.quick]
    clock = Clock()
    _train(job, ground, work, clock, iterations, save_every=0, keep=1)
    return {"rate": iterations / clock.seconds(iterations)[0]}


def _run(job: Job, ground: Ground, work: Path) -> dict[str, Any]:
    """Trains for the longest mark, then judges the checkpoint of each."""
    unit = _unit(job.marks)
    save_every = max(1, round(unit * job.rate))
    saves = round(job.marks[-1] / unit)
    if save_every * saves < _LEAST:
        raise UsageError(f"{job.marks[-1]:g} s are {save_every * saves} iterations of this preset: give more minutes")
    clock = Clock(save_every)
    _train(job, ground, work, clock, save_every * saves, save_every, keep=saves)
    wanted = {save_every * round(mark / unit): mark for mark in job.marks}
    marks: list[dict[str, Any]] = []
    while wanted:
        model = TrainedModel.open(work)
        if model.iteration in wanted:
            scores, pictures = ground.judge(model)
            if not marks:
                write_strip(job.output.with_suffix(".png"), pictures)
            processor, wall = clock.seconds(model.iteration)
            seconds = {"cpu_seconds": round(processor, 2), "wall_seconds": round(wall, 2)}
            marks.append(
                {"mark": wanted.pop(model.iteration), "iteration": model.iteration, **seconds, "scores": scores}
            )
        newest = work / "checkpoints" / f"step-{model.iteration:08d}.safetensors"
        newest.unlink()  # the one before it is the newest now
    return {"commit": commit()["id"], "rate": job.rate, "marks": marks[::-1]}


def _train(job: Job, ground: Ground, model: Path, clock: Clock, iterations: int, save_every: int, keep: int) -> None:
    """Trains the job's preset, which need not be one of fastswap's: the folder is given its configuration first."""
    if job.preset is None:
        raise ValueError(f"a job of kind {job.kind} trains a preset")
    settings = TrainSettings(
        *ground.faces, model, iterations=iterations, seed=job.seed, save_every=save_every, preview_every=0, keep=keep,
        device="cpu",
    )  # fmt: skip
    config, _ = configuration(settings)
    own = dataclasses.replace(
        config, preset=job.preset, coverage=job.preset.coverage, batch=job.preset.batch,
        learning_rate=job.preset.optimisation.learning_rate,
    )  # fmt: skip
    write_config(model, own)
    if train(settings, clock).interrupted:
        raise FastswapError("interrupted: run the study again, it goes on with this run's beginning")


def _unit(marks: tuple[float, ...]) -> float:
    """The longest time of which every mark is a multiple, to a tenth of a second."""
    return math.gcd(*(round(10 * mark) for mark in marks)) / 10


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except FastswapError as error:
        sys.exit(f"fastswap: {error}")
