"""What a training costs: seconds of the step loop, of the processor and of the wall, as a function of the iteration.

The processor's seconds are what the study compares: with one core and one thread a run they hardly depend on what else
the machine does, so that runs beside each other are comparable. Starting up, checkpoints and previews are not counted:
a user writes them as seldom as he likes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

Point = tuple[int, float, float]  # iteration, processor seconds, wall seconds


@dataclass
class Clock:
    """A `Report` for `train`, told the iteration. save_every: after how many iterations a checkpoint is written, 0 for
    never; the time between two reports with a checkpoint between them counts as the one before it."""

    save_every: int = 0
    points: list[Point] = field(default_factory=list)

    def __call__(self, done: int, note: str = "") -> None:
        if not self.points or done > self.points[-1][0]:
            self.points.append((done, time.process_time(), time.perf_counter()))

    def seconds(self, iteration: int) -> tuple[float, float]:
        """Processor and wall seconds of the first `iteration` iterations. Raises ValueError where fewer than two
        reports were heard, so that nothing can be said."""
        if len(self.points) < 2:
            raise ValueError(f"{len(self.points)} reports are too few to time a training by")
        done = np.asarray([point[0] for point in self.points], np.float64)
        elapsed = [self._elapsed(column) for column in (1, 2)]
        processor, wall = (float(np.interp(iteration, [0, *done], [0.0, *each])) for each in elapsed)
        return processor, wall

    def _elapsed(self, column: int) -> np.ndarray:
        """Seconds at each report."""
        costs = [
            (self.points[i + 1][column] - point[column]) / (self.points[i + 1][0] - point[0])
            for i, point in enumerate(self.points[:-1])
        ]
        clean = [not self._saved(i) for i in range(len(costs))]
        first = next((cost for cost, good in zip(costs, clean, strict=True) if good), costs[0])
        before, total = first, first * self.points[0][0]
        elapsed = [total]
        for i, cost in enumerate(costs):
            before = cost if clean[i] else before
            total += before * (self.points[i + 1][0] - self.points[i][0])
            elapsed.append(total)
        return np.asarray(elapsed)

    def _saved(self, index: int) -> bool:
        """Whether a checkpoint was written between a report and the next."""
        if not self.save_every:
            return False
        begin, end = self.points[index][0], self.points[index + 1][0]
        return (end - 1) // self.save_every > (begin - 1) // self.save_every
