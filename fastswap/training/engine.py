"""How steps are run: one after the other as PyTorch does (eager), with compiled networks (compile), as a CUDA graph of
the whole step (graph), or as a graph of compiled networks (compiled-graph). The step is the same in all of them.

A graph holds the discriminators' and the generator's forward and backward passes, penalties, both optimisers and the
average: a step is one launch. What changes from step to step it reads from the step's controls; which losses there are
is part of it, so that each phase of a run has a graph of its own. A phase's first steps are run eagerly on the stream
that it is then captured on: they are steps like any other, so that nothing is done twice, or undone."""

from __future__ import annotations

import torch

from fastswap.errors import UsageError
from fastswap.training.adversary import PENALTIES
from fastswap.training.capture import Captured, CudaRecorder, Outputs, Recorder
from fastswap.training.examples import Examples
from fastswap.training.plan import Moment
from fastswap.training.readback import Readback, Reading
from fastswap.training.step import Step

MODES = ("auto", "eager", "compile", "graph", "compiled-graph")
WARM_UP = 3
"""Eager steps of each phase before it is captured."""


def choose_mode(mode: str, device: torch.device) -> str:
    """ "auto" is graph on a GPU and eager on a CPU. Raises UsageError for a mode that is none or that the device does
    not have."""
    if mode not in MODES:
        raise UsageError(f"engine is {mode}: choose one of {', '.join(MODES)}")
    if mode == "auto":
        return "graph" if device.type == "cuda" else "eager"
    if "graph" in mode and device.type != "cuda":
        raise UsageError(f"--engine {mode} captures CUDA graphs: on the CPU choose eager or compile")
    return mode


class Engine:
    """Runs a step in one of the `MODES`. The examples of all steps are of one shape. recorder: what captures, None for
    CUDA's graphs; backend: the compiler that `torch.compile` uses."""

    def __init__(
        self, step: Step, mode: str = "auto", *, recorder: Recorder | None = None, backend: str = "inductor"
    ) -> None:
        self.step = step
        self.mode = mode if recorder else choose_mode(mode, step.device)
        self.readback = Readback()
        self.recorder = recorder
        if step.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # shapes never change
        if "compile" in self.mode:
            _compile(step, backend)
        if "graph" in self.mode and recorder is None:
            generators = [optimiser.generator for optimiser in step.optimisers if optimiser.generator is not None]
            self.recorder = CudaRecorder(step.device, generators)
        self.inputs: Examples | None = None
        self.warm: dict[frozenset[str], int] = {}
        self.captured: dict[frozenset[str], Captured] = {}

    def run(self, examples: Examples, moment: Moment) -> None:
        """One step, of which the host waits for nothing but, at most, for the device to come near. Raises ValueError
        for examples of another shape than before."""
        self.step.prepare(moment)
        phase = self.step.phase(moment)
        if self.recorder is None:
            outputs = self.step.compute(examples, phase)
        else:
            self.inputs = _fill(self.inputs, examples)
            outputs = self._record_or_replay(self.recorder, self.inputs, phase)
        self.readback.send(outputs)

    def losses(self, *, wait: bool = False) -> list[Reading]:
        """Those of the steps run so far that have arrived since it was last asked; with `wait`, of all."""
        return self.readback.arrived(wait=wait)

    def _record_or_replay(self, recorder: Recorder, inputs: Examples, phase: frozenset[str]) -> Outputs:
        def work() -> Outputs:
            return self.step.compute(inputs, phase)

        self.warm[phase] = self.warm.get(phase, 0) + 1
        if self.warm[phase] <= WARM_UP:
            return recorder.warm_up(work)
        if phase not in self.captured:
            self.captured[phase] = recorder.capture(work)
        graph = self.captured[phase]
        graph.replay()
        return graph.outputs


def _fill(buffers: Examples | None, examples: Examples) -> Examples:
    """Copies a batch to where the graphs look for it."""
    given = examples.tensors()
    if buffers is None:
        return Examples(**{name: tensor.clone() for name, tensor in given.items()})
    for name, buffer in buffers.tensors().items():
        if name not in given or given[name].shape != buffer.shape:
            raise ValueError(f"examples of another shape than the engine's: {name} was {tuple(buffer.shape)}")
        buffer.copy_(given[name], non_blocking=True)
    return buffers


def _compile(step: Step, backend: str) -> None:
    """Compiles the generator, and the discriminators where no penalty asks for a second derivative, which compiled code
    does not have."""
    step.reconstruct = torch.compile(step.reconstruct, backend=backend, dynamic=False)
    objective = step.preset.objective
    if step.discriminators is not None and not any(getattr(objective, penalty) for penalty in PENALTIES):
        for discriminator in step.discriminators:
            discriminator.compile(backend=backend, dynamic=False)
