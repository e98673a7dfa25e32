"""A step's parts, timed one after the other in the same iterations, so that they sum to the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from functools import wraps
from statistics import median
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from fastswap.models import Reconstruction
from fastswap.training.examples import Examples
from fastswap.training.feed import Feed
from fastswap.training.losses import Totals
from fastswap.training.plan import Moment
from fastswap.training.step import Step

PARTS = ("augment", "forward", "discriminators", "generator", "optimisers", "rest")
"""The examples; the generator's forward pass; the discriminators' passes, forward and backward with their penalties;
the generator's losses and backward pass, through the discriminators; both optimisers with clipping, and the average;
what is left: numbers to the device, sums of weights, losses to the host."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Stopwatch:
    """Seconds by part. At every moment one part runs: where one is begun within another, the outer one stands still. On
    a GPU these are the times between events in the stream, which are read when all is done."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._marks: list[tuple[str, Any]] = []
        self._running = "rest"

    def start(self) -> None:
        self._marks = []
        self._mark("rest")

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        outer = self._running
        self._mark(name)
        try:
            yield
        finally:
            self._mark(outer)

    def around(self, name: str, function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        """The function, timed as that part."""

        @wraps(function)
        def timed(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
            with self.part(name):
                return function(*arguments, **named)

        return timed

    def stop(self) -> dict[str, float]:
        """Seconds of each of PARTS since the start."""
        self._mark("rest")
        if self._on_gpu:
            torch.cuda.synchronize()
        seconds = dict.fromkeys(PARTS, 0.0)
        for (name, begin), (_, end) in zip(self._marks, self._marks[1:], strict=False):
            seconds[name] += begin.elapsed_time(end) / 1000 if self._on_gpu else end - begin
        return seconds

    def _mark(self, name: str) -> None:
        self._running = name
        if self._on_gpu:
            now: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            now.record()
        else:
            now = time.perf_counter()
        self._marks.append((name, now))


class TimedStep(Step):
    """A step that tells `watch` what it does."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.watch = Stopwatch(self.device)
        for optimiser in self.optimisers:
            optimiser.step = self.watch.around("optimisers", optimiser.step)  # type: ignore[method-assign]

    def _reconstruct(self, examples: Examples) -> Reconstruction:
        with self.watch.part("forward"):
            return super()._reconstruct(examples)

    def _oppose(self, pieces: list[Examples], outputs: list[Reconstruction], terms: Set[str]) -> dict[str, Tensor]:
        with self.watch.part("discriminators"):
            return super()._oppose(pieces, outputs, terms)

    def _generate(
        self, pieces: list[Examples], outputs: list[Reconstruction], totals: Totals, terms: Set[str]
    ) -> dict[str, Tensor]:
        with self.watch.part("generator"):
            return super()._generate(pieces, outputs, totals, terms)

    def _follow(self, share: Tensor) -> None:
        with self.watch.part("optimisers"):
            super()._follow(share)


def time_parts(step: TimedStep, feed: Feed, moment: Moment, *, warm_up: int, rounds: int) -> dict[str, float]:
    """Median seconds of each of PARTS, and "whole", of iterations that are run one after the other."""
    found: list[dict[str, float]] = []
    for number in range(warm_up + rounds):
        step.watch.start()
        with step.watch.part("augment"):
            examples = feed(number)
        outputs = step(examples, moment)
        torch.stack([value.detach().float() for value in outputs.values()]).cpu()
        seconds = step.watch.stop()
        found.append({**seconds, "whole": sum(seconds.values())})
    kept = found[warm_up:]
    return {name: median(each[name] for each in kept) for name in (*PARTS, "whole")}
