"""How high a learning rate a model bears: a ramp of rates on a copy that is thrown away (Smith 2015, arXiv 1506.01186).

The rate rises from step to step by the same factor. As long as it is too low the loss stays, then it falls, and where
the rate is too high it rises again. Suggested is the rate at which it falls fastest."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fastswap.device import resolve_device
from fastswap.models import ModelConfig, newest_checkpoint
from fastswap.progress import Report, silent
from fastswap.storage import atomic, write_json
from fastswap.training.assemble import make_step, open_feed
from fastswap.training.checkpoint import restore
from fastswap.training.feed import Feed
from fastswap.training.plan import Moment
from fastswap.training.prepare import prepare
from fastswap.training.schedule import learning_rate
from fastswap.training.settings import TrainSettings
from fastswap.training.signals import locked
from fastswap.training.step import Step
from fastswap.training.weights import load_weights

STEPS = 100
_LOWEST, _HIGHEST = 1e-6, 1e-1
_SMOOTHING = 0.9
_DIVERGED = 4.0
"""Times the least loss: there the ramp ends."""
_SETTLING = 8
"""Steps before which the smoothed loss is that of too few batches to be called divergence."""
_REACH = 12
"""Steps to either side that a slope is measured over: fewer, and the noise of the batches is the steepest."""
_NAME = "learning-rate"


@dataclass(frozen=True)
class RateFinding:
    """suggestion: the learning rate at which the loss fell fastest, None where it never fell; at_present: the one that
    the model is trained with; steps: how many were tried; highest: the last rate; diverged: whether the loss ended the
    ramp; plot and table: where the curve was written."""

    model: str
    suggestion: float | None
    at_present: float
    steps: int
    highest: float
    diverged: bool
    plot: str
    table: str


@dataclass(frozen=True)
class Curve:
    """rates, losses and smoothed losses of each step: float64 [n]."""

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    diverged: bool


def find_learning_rate(settings: TrainSettings, report: Report = silent) -> RateFinding:
    """Tries learning rates on a copy of the model in the folder, or on the new one that the settings ask for, and
    writes the curve to its logs; nothing else in the folder changes. Raises what `train` raises before it trains."""
    settings.check()
    device = torch.device(resolve_device(settings.device))
    with locked(settings.model):
        config, sides = prepare(settings)
        step, start = _copy(settings, config, device)
        with closing(open_feed(settings, config, sides, device)) as feed:
            curve = ramp(step, feed, start, report)
    suggestion = steepest(curve)
    plot, table = (settings.model / "logs" / f"{_NAME}.{suffix}" for suffix in ("png", "json"))
    finding = RateFinding(
        str(settings.model), suggestion, config.learning_rate, len(curve.rates), float(curve.rates[-1]),
        curve.diverged, str(plot), str(table),
    )  # fmt: skip
    points = {"rates": curve.rates.tolist(), "losses": _finite(curve.losses), "smoothed": _finite(curve.smoothed)}
    write_json(table, {**asdict(finding), **points})
    _plot(curve, suggestion, plot)
    return finding


def _copy(settings: TrainSettings, config: ModelConfig, device: torch.device) -> tuple[Step, int]:
    """The step that `train` would go on with, and its iteration."""
    step = make_step(settings, config, device)
    checkpoint = newest_checkpoint(settings.model)
    if checkpoint:
        restore(step, checkpoint)
    elif settings.load_weights:
        load_weights(step, config, settings.load_weights, settings.load_parts)
    return step, checkpoint.iteration if checkpoint else 0


def ramp(step: Step, feed: Feed, start: int, report: Report = silent, steps: int = STEPS) -> Curve:
    """Trains `step` at rates that rise from step to step, on the examples from iteration `start` on, until the
    smoothed loss is a multiple of its least or no number."""
    optimisation = step.preset.optimisation
    moment = Moment(optimisation.warm_up, 0.0)  # on the plateau: the rate is what is asked for
    share = learning_rate(step.preset.objective, optimisation, 1.0, moment)
    rates = np.geomspace(_LOWEST, _HIGHEST, steps)
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for place, rate in enumerate(rates):
        step.rate = float(rate) / share
        losses.append(float(step(feed(start + place), moment)["loss"]))
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * losses[-1]
        smoothed.append(mean / (1 - _SMOOTHING ** (place + 1)))
        report(place + 1, f"rate {rate:.1e}, loss {smoothed[-1]:.4f}")
        if not math.isfinite(mean) or (place >= _SETTLING and smoothed[-1] > _DIVERGED * min(smoothed)):
            break
    count = len(losses)
    return Curve(rates[:count], np.array(losses), np.array(smoothed), count < steps)


def steepest(curve: Curve) -> float | None:
    """The rate at which the loss falls fastest, in shares of itself, over the logarithm of the rate, before it is least
    (smoothed); None where it does not fall. The slope is that of the straight line through the steps around each,
    which does not lag behind as the smoothed loss does. In shares, since a new network's loss falls by as much at low
    rates: for `lite` and three seeds the suggestion is 2.7e-4 to 3.4e-4, by differences 7e-6 to 3e-5."""
    known = int(np.isfinite(curve.losses).sum())
    last = min(int(curve.smoothed[:known].argmin()), known - 1 - _REACH) if known else 0
    if last < _REACH:
        return None
    losses = curve.losses[:known]
    height = np.log(losses) if losses.min() > 0 else losses  # an adversary's share of the loss may be negative
    line = np.arange(-_REACH, _REACH + 1) / np.square(np.arange(-_REACH, _REACH + 1)).sum()
    slopes = np.correlate(height, line, mode="valid")[: last - _REACH + 1]
    place = int(slopes.argmin())
    return float(curve.rates[place + _REACH]) if slopes[place] < 0 else None


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _plot(curve: Curve, suggestion: float | None, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    panel.plot(curve.rates, curve.losses, color="#c0c0c0", label="loss")
    panel.plot(curve.rates, curve.smoothed, color="#1b6ca8", label="smoothed")
    if suggestion is not None:
        panel.axvline(suggestion, color="black", linestyle="--", label=f"suggested: {suggestion:.1e}")
    panel.set_xscale("log")
    panel.set_ylim(0, 1.5 * float(np.nanmax(curve.smoothed[: _SETTLING + 1])))
    panel.set_xlabel("learning rate")
    panel.set_ylabel("loss")
    panel.legend()
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=100)
