"""`train`: from two face sets to a model folder."""

from __future__ import annotations

import gc
import logging
import time
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from fastswap.device import resolve_device
from fastswap.errors import TrainingError, UsageError
from fastswap.models import ModelConfig, has_config, write_config
from fastswap.progress import Report, silent
from fastswap.training import parallel
from fastswap.training.ahead import Ahead
from fastswap.training.assemble import bytes_to_keep, fitting_batch, make_step, open_feed, too_large
from fastswap.training.background import Background
from fastswap.training.batch import out_of_memory
from fastswap.training.checkpoint import resume
from fastswap.training.engine import Engine
from fastswap.training.plan import Moment, Plan
from fastswap.training.prepare import prepare
from fastswap.training.readback import Reading
from fastswap.training.report import Metrics, Preview
from fastswap.training.saver import Saver
from fastswap.training.schedule import jitter_strength
from fastswap.training.settings import TrainSettings, TrainSummary
from fastswap.training.sides import Side
from fastswap.training.signals import Stop, locked, stop_on_signals
from fastswap.training.timelapse import Timelapse, open_timelapse
from fastswap.training.weights import load_weights

_TELL_EVERY = 10
"""Iterations between two lines of metrics."""
_LOG = logging.getLogger(__name__)


def train(settings: TrainSettings, report: Report = silent) -> TrainSummary:
    """Trains a new model, or goes on with the one in the folder, until the iterations or minutes are used up or a
    signal asks to stop; what was trained is then in a checkpoint. `report` is told the iteration.

    Raises UsageError for settings that make no sense, InputError for face sets or a model that cannot be used,
    DamagedFileError for a model folder of which nothing is whole, TrainingError where the losses stop being numbers,
    the device's memory is too small or another rank is gone."""
    settings.check()
    with (
        parallel.session(torch.device(resolve_device(settings.device))) as device,
        locked(settings.model) if parallel.writer() else nullcontext(),
        stop_on_signals() as stop,
    ):
        new = not has_config(settings.model)
        config, sides = prepare(settings)
        if settings.batch == "auto" and new:
            kept = bytes_to_keep(settings, config, sides, device)
            config = replace(config, batch=fitting_batch(settings, config, device, kept))
            _LOG.info("a batch of %d fits", config.batch)
        if config.batch % (parallel.world() * settings.accumulate):
            raise UsageError(f"a batch of {config.batch} is not --accumulate {settings.accumulate} equal parts")
        try:
            return _run(settings, config, sides, device, report, stop)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        gc.collect()  # the error is gone by now, and with its traceback what filled the memory
        raise TrainingError(too_large(settings, config, device))


def _run(
    settings: TrainSettings, config: ModelConfig, sides: list[Side], device: torch.device, report: Report, stop: Stop
) -> TrainSummary:
    with closing(_Run(settings, config, sides, device)) as run:
        return run(report if parallel.writer() else silent, stop)


class _Run:
    """One run of the loop, from the newest checkpoint on."""

    def __init__(self, settings: TrainSettings, config: ModelConfig, sides: list[Side], device: torch.device) -> None:
        self.settings, self.config = settings, config
        self.step = make_step(settings, config, device)
        checkpoint = resume(settings.model, self.step)
        self.start = self.iteration = self.saved = self.shown = checkpoint.iteration if checkpoint else 0
        self.saver = Saver(settings.model, settings.keep, checkpoint.path if checkpoint else None, self.start)
        if checkpoint:
            _LOG.info("going on from iteration %d of %s", self.start, settings.model)
        elif settings.load_weights and parallel.writer():
            load_weights(self.step, config, settings.load_weights, settings.load_parts)
        parallel.replicate(self.step.state().values())
        self.plan = Plan.resume(checkpoint, settings.iterations, settings.minutes, config.preset.iterations)
        self.earlier = self.plan.elapsed
        self.feed = open_feed(settings, config, sides, device)
        self.preview = Preview(self.feed, [side.name for side in config.sides], settings.model / "previews")
        self.timelapse = open_timelapse(settings, config, device) if settings.timelapse and parallel.writer() else None
        self.painter = Background("preview")
        self.engine = Engine(self.step, settings.engine)
        self.ahead = Ahead(self.feed, device)
        self.losses: dict[str, float] = {}
        self.untold: Reading | None = None
        if parallel.writer():
            _tidy(settings.model)
            write_config(settings.model, config)

    def close(self) -> None:
        """Lets what is being written be finished."""
        self.saver.close()
        self.painter.close()
        self.feed.close()

    def __call__(self, report: Report, stop: Stop) -> TrainSummary:
        """Raises TrainingError; with several ranks RankLostError where another is gone."""
        try:
            return self._train(report, stop)
        except parallel.RankLostError as error:
            saved = self.saver.iteration if parallel.writer() else self.saved
            raise parallel.RankLostError(f"{error}: start again, it goes on from iteration {saved}") from error

    def _train(self, report: Report, stop: Stop) -> TrainSummary:
        if self.plan.finished(self.iteration):
            _LOG.info("already at iteration %d: ask for more iterations or minutes to go on", self.iteration)
        with Metrics(self.settings.model / "logs", self.start) if parallel.writer() else nullcontext() as metrics:
            self.preview.board = metrics
            mark = time.perf_counter()
            while self._goes_on(stop):
                self._iterate()
                began, mark = mark, time.perf_counter()  # with the checkpoint and preview of the iteration before
                self.plan = self.plan.advance(mark - began)
                self._look(metrics, report)
                if _due(self.iteration, self.settings.save_every) or _due(self.iteration, self.settings.snapshot_every):
                    self._save()
                if _due(self.iteration, self.settings.preview_every):
                    self._show()
            self._look(metrics, report, last=True)
            if self.saved < self.iteration:
                self._save()
            if self.shown < self.iteration:
                self._show()
            self.saver.wait()
            self.painter.wait()
        return self._summary(interrupted=not self.plan.finished(self.iteration))

    def _goes_on(self, stop: Stop) -> bool:
        """The same answer on all ranks: a signal to any of them counts, and rank 0's clock."""
        asked, elapsed = parallel.agree(bool(stop), self.plan.elapsed)
        self.plan = replace(self.plan, elapsed=elapsed)
        return not asked and not self.plan.finished(self.iteration)

    def _save(self) -> None:
        if parallel.writer():
            snapshot = _due(self.iteration, self.settings.snapshot_every)
            self.saver.save(self.step, self.iteration, self.plan, snapshot=snapshot)
        self.saved = self.iteration

    def _show(self) -> None:
        self.shown = self.iteration
        if not parallel.writer():
            return
        self.painter.wait()
        films: list[Preview | Timelapse] = [self.preview, *([self.timelapse] if self.timelapse else [])]
        rendered = [(film.write, film.render(self.step)) for film in films]
        iteration = self.iteration

        def write() -> None:
            for write_one, rendering in rendered:
                write_one(rendering, iteration)

        self.painter.start(write)

    def _iterate(self) -> None:
        """One step, and the examples of the next beside it."""
        moment = self.plan.moment(self.iteration)
        self.engine.run(self.ahead(self.iteration, self._strength(moment)), moment)
        self.iteration += 1
        self.ahead.prepare(self.iteration, self._strength(self.plan.moment(self.iteration)))

    def _strength(self, moment: Moment) -> float:
        return jitter_strength(self.config.preset.optimisation, moment)

    def _look(self, metrics: Metrics | None, report: Report, *, last: bool = False) -> None:
        """Checks the losses that have arrived, and tells some of them. last: of all steps."""
        self.saver.poll()
        self.painter.poll()
        for reading in self.engine.losses(wait=last):
            self._check(reading)
            self.untold = reading
            if _due(self.start + reading.number, _TELL_EVERY):
                self._tell(reading, metrics, report)
        if last and self.untold is not None:  # it may have arrived before anybody knew that it was the last
            self._tell(self.untold, metrics, report)

    def _check(self, reading: Reading) -> None:
        if reading.values["faults"]:
            self.saver.wait()
            kept = f"{self.saver.path} is sound" if self.saver.path else "there is no checkpoint yet"
            raise TrainingError(
                f"the loss is no longer a number at iteration {self.start + reading.number} ({kept}): "
                "train on with a lower learning rate"
            )

    def _tell(self, reading: Reading, metrics: Metrics | None, report: Report) -> None:
        self.untold = None
        self.losses = {name: value for name, value in reading.values.items() if name != "faults"}
        iteration = self.start + reading.number
        epoch, rate = self.feed.epoch(iteration), self._rate()
        if metrics:
            metrics.write(iteration, {**self.losses, "epoch": epoch, "egs_per_s": rate})
        report(iteration, f"loss {self.losses['loss']:.4f}, epoch {epoch:.1f}, {rate:.0f} EGs/s{self._left()}")

    def _rate(self) -> float:
        """Examples a second in this run, of all sides."""
        shown = len(self.config.sides) * self.config.batch * (self.iteration - self.start)
        seconds = self.plan.elapsed - self.earlier
        return shown / seconds if seconds else 0.0

    def _left(self) -> str:
        """For a run by minutes: how many are left of them."""
        if self.plan.seconds is None:
            return ""
        return f", {max(self.plan.seconds - self.plan.elapsed, 0) / 60:.1f} min left"

    def _summary(self, *, interrupted: bool) -> TrainSummary:
        return TrainSummary(
            model=str(self.settings.model),
            checkpoint=str(self.saver.path or ""),
            preset=self.config.preset.name,
            device=str(self.step.device),
            iteration=self.iteration,
            iterations=self.iteration - self.start,
            epochs=self.feed.epoch(self.iteration),
            egs_per_s=self._rate(),
            seconds=self.plan.elapsed - self.earlier,
            losses=self.losses,
            persons={side.name: side.person for side in self.config.sides},
            interrupted=interrupted,
        )


def _tidy(model: Path) -> None:
    """Deletes what a run that was killed while it wrote has left."""
    for leftover in model.rglob(".*.partial*"):
        leftover.unlink(missing_ok=True)


def _due(iteration: int, every: int) -> bool:
    return every > 0 and iteration % every == 0
