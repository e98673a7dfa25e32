"""The examples of the next step, made while the device still works on this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from fastswap.training.examples import Examples

Make = Callable[[int, float], Examples]


@dataclass(frozen=True)
class _Made:
    iteration: int
    examples: Examples
    ready: torch.cuda.Event


class Ahead:
    """Makes examples with `make(iteration, strength)`: on a GPU one step ahead, on a stream of its own, whose kernels
    fill the gaps of the step's. A CPU has no gaps: there they are made when they are asked for."""

    def __init__(self, make: Make, device: torch.device) -> None:
        self.make = make
        on_gpu = device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if on_gpu else None  # type: ignore[no-untyped-call]
        self._next: _Made | None = None

    def __call__(self, iteration: int, strength: float) -> Examples:
        """The examples of an iteration, in the order of the current stream: those that were prepared, if they were."""
        if self._next is None or self._next.iteration != iteration:
            return self.make(iteration, strength)
        made, self._next = self._next, None
        current = torch.cuda.current_stream()
        current.wait_event(made.ready)
        for tensor in made.examples.tensors().values():
            tensor.record_stream(current)
        return made.examples

    def prepare(self, iteration: int, strength: float) -> None:
        """Has the examples of the iteration to come made, if that can be done beside the step."""
        if self.stream is None:
            return
        with torch.cuda.stream(self.stream):
            examples = self.make(iteration, strength)
        self._next = _Made(iteration, examples, self.stream.record_event())
