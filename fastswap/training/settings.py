"""What a training is asked to do, and what it says when it is done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from fastswap.errors import UsageError
from fastswap.training.placement import PLACES
from fastswap.training.sampler import SAMPLINGS

LOADERS = ("auto", "resident", "dali")


@dataclass(frozen=True)
class TrainSettings:
    """None means: as the model was trained so far, or for a new one as its preset says. `iterations` counts from the
    model's beginning. snapshot_every: iterations between checkpoints that are kept for ever (0: none); timelapse: faces
    whose picture is kept at each preview, in timelapse_output (None: in the model's folder). load_weights: a model
    that a new one starts from, in load_parts (none: in all that fit); freeze:
    parts that are not trained (see `weights.py`). `minutes` is a budget of time instead: the run fits its schedule
    into it. save_every and
    preview_every count iterations, 0 for only at the end; keep: how many checkpoints; person_a, person_b: whom to
    train (None: the most frequent); warp, flip, colour: which augmentations. sampling: uniform | yaw; store: auto |
    device | pinned | mapped, where the decoded faces are; cache: the folder that keeps them for the next start (None:
    in the user's cache folder); keep_faces: whether any does;
    shard: each of several processes keeps and shows only its part of the faces, which changes the sequence. perceptual: a
    network's file for the loss of that name. loader: auto | resident | dali, which keeps no
    decoded faces."""

    faces_a: Path
    faces_b: Path
    model: Path
    preset: str | None = None
    size: int | None = None
    batch: int | None = None
    iterations: int | None = None
    minutes: float | None = None
    seed: int = 0
    save_every: int = 250
    preview_every: int = 250
    keep: int = 3
    person_a: int | None = None
    person_b: int | None = None
    warp: bool = True
    flip: bool = True
    colour: bool = True
    device: str = "auto"
    coverage: float | None = None
    learning_rate: float | None = None
    sampling: str = "uniform"
    store: str = "auto"
    cache: Path | None = None
    keep_faces: bool = True
    shard: bool = False
    perceptual: Path | None = None
    snapshot_every: int = 0
    timelapse: Path | None = None
    timelapse_output: Path | None = None
    load_weights: Path | None = None
    load_parts: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    loader: str = "auto"

    def check(self) -> None:
        """Raises UsageError for values that make no sense."""
        self._positive("batch", self.batch)
        self._positive("iterations", self.iterations)
        self._positive("minutes", self.minutes)
        self._positive("learning rate", self.learning_rate)
        self._positive("keep", self.keep)
        if self.iterations is not None and self.minutes is not None:
            raise UsageError("iterations and minutes exclude each other: give one of them")
        if min(self.save_every, self.preview_every, self.snapshot_every, self.seed) < 0:
            raise UsageError("save-every, preview-every, snapshot-every and seed are not negative")
        if self.timelapse_output is not None and self.timelapse is None:
            raise UsageError("--timelapse-output says where --timelapse FACES is written: give both")
        self._one_of("sampling", self.sampling, SAMPLINGS)
        self._one_of("store", self.store, PLACES)
        self._one_of("loader", self.loader, LOADERS)
        if self.loader == "dali" and (self.store != "auto" or self.cache is not None):
            raise UsageError("--store and --cache are for decoded faces, --loader dali keeps none: give one of them")
        if self.cache is not None and not self.keep_faces:
            raise UsageError("--cache and --no-cache exclude each other: give one of them")
        if self.load_parts and self.load_weights is None:
            raise UsageError("--load-parts says what of --load-weights MODEL: give both")
        if self.coverage is not None and not 0.5 <= self.coverage <= 1:
            raise UsageError(f"coverage is {self.coverage}: choose 0.5 to 1")

    def _one_of(self, name: str, value: str, known: tuple[str, ...]) -> None:
        if value not in known:
            raise UsageError(f"--{name} {value}: choose one of {', '.join(known)}")

    def _positive(self, name: str, value: float | None) -> None:
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name} is {value}: it has to be above 0")


@dataclass(frozen=True)
class TrainSummary:
    """What became of a training. iteration: where the model is now; iterations: how many this run did; egs_per_s:
    examples a second, both sides; losses: the last ones reported; interrupted: a signal ended it before its time;
    exported: the file that the model was then exported to."""

    model: str
    checkpoint: str
    preset: str
    device: str
    iteration: int
    iterations: int
    epochs: float
    egs_per_s: float
    seconds: float
    losses: dict[str, float]
    persons: dict[str, int]
    interrupted: bool
    exported: str | None = None
