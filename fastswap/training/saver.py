"""Checkpoints that are written while the training goes on."""

from __future__ import annotations

from pathlib import Path

from fastswap.models import keep_snapshot
from fastswap.training.background import Background, Copier, Copies
from fastswap.training.checkpoint import write
from fastswap.training.plan import Plan
from fastswap.training.step import Step


class Saver:
    """Writes checkpoints of the model in a folder, one at a time, of which the last `keep` stay. `path` and
    `iteration`: of the last one that is whole on disk.

    What a `save` raises (TrainingError) comes out of the next call of any method but `close`."""

    def __init__(self, model: Path, keep: int, path: Path | None, iteration: int) -> None:
        self.model, self.keep = model, keep
        self.path, self.iteration = path, iteration
        self._copier, self._background = Copier(), Background("checkpoint")

    def save(self, step: Step, iteration: int, plan: Plan, *, snapshot: bool = False) -> None:
        """Copies the state of `step` as it is now, and has it written. snapshot: it is also kept for ever. Waits where
        the one before is still being written."""
        self._background.wait()
        copies = self._copier(step.state())
        self._background.start(lambda: self._write(copies, iteration, plan, snapshot))

    def _write(self, copies: Copies, iteration: int, plan: Plan, snapshot: bool) -> None:
        self.path = write(self.model, copies.wait(), iteration, plan, self.keep)
        self.iteration = iteration
        if snapshot:
            keep_snapshot(self.model, iteration)

    def poll(self) -> None:
        """Raises what has gone wrong so far."""
        self._background.poll()

    def wait(self) -> None:
        """Returns when all is written."""
        self._background.wait()

    def close(self) -> None:
        """Lets what is being written be finished, whatever becomes of it."""
        self._background.close()
