"""The state of a training as a checkpoint's tensors, and back. What is not here follows from the iteration's number."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from fastswap.errors import DamagedFileError, TrainingError
from fastswap.models import Checkpoint, newest_checkpoint, write_checkpoint
from fastswap.training import parallel
from fastswap.training.plan import Plan
from fastswap.training.step import GENERATOR_STATE, Step

_LOG = logging.getLogger(__name__)


def write(model: Path, tensors: Mapping[str, Tensor], iteration: int, plan: Plan, keep: int) -> Path:
    """Writes the checkpoint of `iteration`, a step's state on the CPU. Raises TrainingError, and writes nothing, where
    some of it is not a number or the disk does not take it."""
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise TrainingError(
            f"weights are no longer numbers at iteration {iteration}; the last checkpoint is sound: "
            "train on from it with a lower --learning-rate"
        )
    try:
        return write_checkpoint(model, iteration, tensors, plan.numbers(), keep)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the checkpoint of iteration {iteration} cannot be written to {model} ({error}): make room and run again"
        ) from error


def resume(model: Path, step: Step) -> Checkpoint | None:
    """Puts the newest checkpoint of the folder into rank 0's step, and tells all ranks which it is; None where there is
    none. Only rank 0 has to see the folder: `parallel.replicate` is how the others get what it read."""
    checkpoint = newest_checkpoint(model) if parallel.writer() else None
    if checkpoint:
        restore(step, checkpoint)
    told = parallel.broadcast(json.dumps([checkpoint.iteration, checkpoint.numbers] if checkpoint else None))
    content = json.loads(told)
    return checkpoint or (Checkpoint(model, *content) if content else None)


def restore(step: Step, checkpoint: Checkpoint) -> None:
    """Puts a checkpoint's tensors into the networks, the average and the optimisers. Raises DamagedFileError where
    they do not fit. Weights that were frozen then and are not now have no moments there: theirs begin anew."""
    tensors = checkpoint.tensors()
    moments = {name: tensor for name, tensor in step.state().items() if name.startswith(GENERATOR_STATE)}
    thawed = {name: torch.zeros_like(tensor) for name, tensor in moments.items() if name not in tensors}
    if 0 < len(thawed) < len(moments):
        _LOG.info("weights that were frozen are trained again: their moments begin anew")
        tensors |= thawed
    try:
        step.restore(tensors)
    except (KeyError, RuntimeError) as error:
        raise DamagedFileError(
            f"{checkpoint.path} does not fit this model ({error}): train into a new folder"
        ) from error
