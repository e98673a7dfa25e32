"""The state of a training as a checkpoint's tensors, and back. What is not here follows from the iteration's number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from fastswap.errors import DamagedFileError, TrainingError
from fastswap.models import AVERAGE, WEIGHTS, Checkpoint, write_checkpoint
from fastswap.training.plan import Plan
from fastswap.training.step import Step

_MOMENTS = ("exp_avg", "exp_avg_sq")


def save(model: Path, step: Step, iteration: int, plan: Plan, keep: int) -> Path:
    """Writes the checkpoint of `iteration`. Raises TrainingError, and writes nothing, where a weight is not a
    number or the disk does not take it."""
    if not step.finite():
        raise TrainingError(
            f"weights are no longer numbers at iteration {iteration}; the last checkpoint is sound: "
            "train on from it with a lower --learning-rate"
        )
    try:
        return write_checkpoint(model, iteration, dict(_tensors(step)), plan.numbers(), keep)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the checkpoint of iteration {iteration} cannot be written to {model} ({error}): make room and run again"
        ) from error


def _tensors(step: Step) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in step.parameters.items():
        yield WEIGHTS + name, parameter
        state = step.optimiser.state[parameter]
        for moment in _MOMENTS:
            yield f"{moment}.{name}", state[moment]
        yield f"step.{name}", state["step"]
    if step.average is not None:
        for name, parameter in step.average.named_parameters():
            yield AVERAGE + name, parameter


@torch.no_grad()
def restore(step: Step, checkpoint: Checkpoint) -> None:
    """Puts a checkpoint's tensors into the network, its average and the optimiser. Raises DamagedFileError where they
    do not fit."""
    tensors = checkpoint.tensors()
    try:
        for name, parameter in step.parameters.items():
            parameter.copy_(tensors[WEIGHTS + name])
            state = {moment: torch.zeros_like(parameter).copy_(tensors[f"{moment}.{name}"]) for moment in _MOMENTS}
            step.optimiser.state[parameter] = {**state, "step": tensors[f"step.{name}"].to(parameter.device)}
        if step.average is not None:
            for name, parameter in step.average.named_parameters():
                parameter.copy_(tensors[AVERAGE + name])
    except (KeyError, RuntimeError) as error:
        raise DamagedFileError(
            f"{checkpoint.path} does not fit this model ({error}): train into a new folder"
        ) from error
