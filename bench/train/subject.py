"""Trials made ready: each a call that trains one iteration, or that loads one batch."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch

from fastswap import workers
from fastswap.bench.train import loader
from fastswap.bench.train.plain import PlainStep
from fastswap.bench.train.trial import SIDES, Trial
from fastswap.models import Preset
from fastswap.ops import Jitter
from fastswap.training.ahead import Ahead
from fastswap.training.engine import Engine
from fastswap.training.feed import Feed
from fastswap.training.sampler import Sampler
from fastswap.training.step import Step
from fastswap.training.store import Store

_FACES = 64  # a side
_OVERSAMPLING, _MOST_STORED = 2.0, 1024  # what a store keeps of a face, and what a face set has
_RESIDENT = 2  # batches that the plain step finds on its device, in turn


class Subject(Protocol):
    """precision: what it computes in, None without a step; workers: processes beside this one, None where nothing is
    loaded; together: how many calls belong together, since processes that load deliver in turns."""

    precision: str | None
    workers: int | None
    together: int

    def __call__(self) -> None: ...

    def close(self) -> None: ...


def make_feed(preset: Preset, batch: int, device: torch.device) -> Feed:
    """Our feed, its faces noise."""
    size = min(math.floor(_OVERSAMPLING * preset.size_out / preset.coverage), _MOST_STORED)
    generator = torch.Generator().manual_seed(0)
    sides = [torch.randint(256, (_FACES, size, size, 4), dtype=torch.uint8, generator=generator) for _ in range(SIDES)]
    mixup = preset.objective.mixup if preset.objective.adversary == "lsgan" else 0.0
    sampler = Sampler([_FACES] * SIDES, batch, 0, mixup=mixup)
    jitter = Jitter().without(colour=not preset.colour)
    return Feed(Store.of(sides, device), sampler, preset, coverage=preset.coverage, jitter=jitter)


class Ours:
    """What `train` does in an iteration, without reports, checkpoints and previews."""

    workers: int | None = None
    together = 1

    def __init__(self, trial: Trial) -> None:
        device = torch.device(trial.device)
        self.moment, self.iteration = trial.moment, 0
        self.engine = Engine(Step(trial.spec, SIDES, 0, device, precision=trial.precision), trial.contender)
        self.precision: str | None = self.engine.step.precision.name
        self.feed = make_feed(trial.spec, trial.batch, device)
        self.ahead = Ahead(self.feed, device)

    def __call__(self) -> None:
        self.engine.run(self.ahead(self.iteration, 1.0), self.moment)
        self.iteration += 1
        self.ahead.prepare(self.iteration, 1.0)
        self.engine.losses()

    def close(self) -> None:
        self.feed.close()


class Plain:
    """The plain step on batches that are on the device already."""

    workers: int | None = None
    together = 1

    def __init__(self, trial: Trial) -> None:
        device = torch.device(trial.device)
        self.step = _plain_step(trial)
        self.precision: str | None = self.step.precision.name
        feed = make_feed(trial.spec, trial.batch, device)
        self.moment = trial.moment
        self.batches = itertools.cycle([feed(number) for number in range(_RESIDENT)])

    def __call__(self) -> None:
        self.step(next(self.batches), self.moment)

    def close(self) -> None:
        """Nothing is open."""


class Loaded:
    """Batches of the loader, put on the device; with a step also trained on."""

    def __init__(self, trial: Trial) -> None:
        self.device, self.moment = torch.device(trial.device), trial.moment
        self.step = _plain_step(trial) if "plain" in trial.contender else None
        self.precision = self.step.precision.name if self.step else None
        self.workers: int | None = 0 if "in process" in trial.contender else workers.cores()
        self.together = max(self.workers, 1)
        self._folder = tempfile.TemporaryDirectory()
        stored = loader.write_faces(Path(self._folder.name), SIDES * _FACES)
        faces = loader.Faces(stored, trial.spec, Jitter())
        opened = loader.open_loader(
            *(faces, [_FACES] * SIDES, trial.batch, self.workers), pin=self.device.type == "cuda"
        )
        self._batches: Iterator[Any] = iter(opened)

    def __call__(self) -> None:
        examples = loader.examples(next(self._batches), self.device)
        if self.step is not None:
            self.step(examples, self.moment)

    def close(self) -> None:
        del self._batches  # ends the processes
        self._folder.cleanup()


def _plain_step(trial: Trial) -> PlainStep:
    return PlainStep(
        *(trial.spec, SIDES, 0, torch.device(trial.device)),
        channels_last="NCHW" not in trial.contender,
        precision=trial.precision,
    )


def make(trial: Trial) -> Subject:
    """The trial, ready to be called."""
    if trial.kind == "ours":
        return Ours(trial)
    return Plain(trial) if trial.contender.startswith("plain") else Loaded(trial)
