"""What a training is asked to do, and what it says when it is done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastswap.errors import UsageError
from fastswap.models.spec import OPTIMISERS
from fastswap.training.engine import MODES
from fastswap.training.placement import PLACES
from fastswap.training.precision import PRECISIONS
from fastswap.training.sampler import SAMPLINGS

LOADERS = ("auto", "resident", "dali")


@dataclass(frozen=True)
class TrainSettings:
    """None means: as the model was trained so far, or for a new one as its preset says.

    - iterations counts from the model's beginning; minutes is a budget of time instead, into which the run fits its
      schedule. batch: "auto" finds the largest that fits, for a new model.
    - save_every and preview_every count iterations, 0 for only at the end; keep: how many checkpoints; snapshot_every:
      iterations between checkpoints that are kept for ever (0: none); timelapse: faces whose picture is kept at each
      preview, in timelapse_output (None: in the model's folder).
    - person_a, person_b: whom to train (None: the most frequent); warp, flip, colour: which augmentations. sampling:
      uniform | yaw.
    - store: auto | device | pinned | mapped, where the decoded faces are; cache: the folder that keeps them for the
      next start (None: in the user's cache folder); keep_faces: whether any does; shard: each of several processes
      keeps and shows only its part of the faces, which changes the sequence; loader: auto | resident | dali, which
      keeps no decoded faces.
    - optimiser, clip and dropout: see `Optimisation`; precision, engine: see `precision.py` and `engine.py`;
      accumulate: in how many parts a batch is worked off. perceptual: a network's file for the loss of that name.
    - load_weights: a model that a new one starts from, in load_parts (none: in all that fit); freeze: parts that are
      not trained (see `weights.py`)."""

    faces_a: Path
    faces_b: Path
    model: Path
    preset: str | None = None
    size: int | None = None
    batch: int | Literal["auto"] | None = None
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
    optimiser: str | None = None
    clip: float | None = None
    dropout: float | None = None
    precision: str = "auto"
    engine: str = "auto"
    accumulate: int = 1
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
        self._positive("batch", None if self.batch == "auto" else self.batch)
        self._positive("accumulate", self.accumulate)
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
        if self.optimiser is not None:
            self._one_of("optimiser", self.optimiser, OPTIMISERS)
        if not 0 <= (self.clip or 0) < math.inf or not 0 <= (self.dropout or 0) < 1:
            raise UsageError("--clip is a norm or 0, --dropout a share of the weights, 0 or more and below 1")
        self._one_of("precision", self.precision, PRECISIONS)
        self._one_of("engine", self.engine, MODES)
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
