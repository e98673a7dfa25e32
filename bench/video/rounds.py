"""Contenders in turn, round after round, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median, quantiles

import cv2
import torch

Run = Callable[[], int]
"""Does the work once and says of how many frames it was."""


@dataclass(frozen=True)
class Spread:
    """Of several rounds."""

    median: float
    iqr: float
    min: float
    max: float

    @staticmethod
    def of(values: Sequence[float]) -> dict[str, float]:
        """As a record has it."""
        low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
        return asdict(Spread(median(values), high - low, min(values), max(values)))


@dataclass(frozen=True)
class Times:
    """cpu: seconds of this process on all its threads, a frame; wall: seconds a frame."""

    cpu: list[float]
    wall: list[float]

    def figures(self) -> dict[str, dict[str, float]]:
        """CPU milliseconds a frame, and frames a second."""
        return {"cpu": Spread.of([1e3 * s for s in self.cpu]), "fps": Spread.of([1 / s for s in self.wall])}


def interleaved(subjects: Mapping[str, Run], rounds: int) -> dict[str, Times]:
    """Each subject once a round, in order."""
    found = {name: Times([], []) for name in subjects}
    for _ in range(rounds):
        for name, run in subjects.items():
            cpu, wall = time.process_time(), time.perf_counter()
            frames = run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            found[name].wall.append((time.perf_counter() - wall) / frames)
            found[name].cpu.append((time.process_time() - cpu) / frames)
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV and torch on one thread: what runs on several cores does so by threads of its own."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
