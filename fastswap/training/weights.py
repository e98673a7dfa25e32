"""Weights that a training does not make itself: taken from another model, or left as they are.

A model's parts are its `encoder`, one decoder a side (`decoder-a`, `decoder-b`), and the `discriminators`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fastswap.errors import InputError, UsageError
from fastswap.models import AVERAGE, WEIGHTS, Checkpoint, ModelConfig, newest_checkpoint, read_config
from fastswap.training.step import Step

_DISCRIMINATORS = "discriminators"
_ALL_BUT = "all-but-"
_LOG = logging.getLogger(__name__)


def frozen_prefixes(names: Sequence[str], sides: Sequence[str]) -> tuple[str, ...]:
    """How the names of the generator's weights begin that `names` keep as they are: parts, or `all-but-` a part.
    sides: the sides' names. Raises UsageError for a name that is no part, and where nothing is left to train."""
    parts = _generator_parts(sides)
    frozen: set[str] = set()
    for name in names:
        part = name.removeprefix(_ALL_BUT)
        if part not in parts:
            raise UsageError(f"there is no '{part}' to freeze: choose of {', '.join(parts)}, or {_ALL_BUT} one of them")
        frozen |= set(parts) - {part} if name != part else {part}
    if len(frozen) == len(parts):
        raise UsageError(f"everything is frozen ({', '.join(names)}): leave a part to be trained")
    return tuple(parts[part] for part in parts if part in frozen)


def load_weights(
    step: Step,
    config: ModelConfig,  # of the model in training
    folder: Path,
    names: Sequence[str],  # of the parts; none: all that both models have
) -> None:
    """Starts the networks of `step` with the weights that the model in `folder` shows: the average of its newest
    checkpoint where it keeps one. What is loaded is said in the log; the rest stays as it began.

    Raises InputError where there is no checkpoint, UsageError for a part that one of the models does not have and for
    parts whose shapes are others."""
    other, checkpoint = read_config(folder), newest_checkpoint(folder)
    if checkpoint is None:
        raise InputError(f"the model at {folder} has no checkpoint yet: nothing to load")
    theirs, ours = _their_parts(other, checkpoint), _our_parts(step, config)
    chosen = tuple(names) or tuple(part for part in ours if part != _DISCRIMINATORS or part in theirs)
    for part in chosen:
        if part not in ours:
            raise UsageError(f"the new model has no '{part}' to load: choose of {', '.join(ours)}")
    strangers = [part for part in chosen if not _fits(ours[part], theirs.get(part, {}))]
    if strangers:
        left = [part for part in chosen if part not in strangers]
        advice = f"leave them out with --load-parts {' '.join(left)}" if left else "choose the same kind of model"
        raise UsageError(f"{folder} ({other.preset.name}) has no {', '.join(strangers)} of these shapes: {advice}")
    with torch.no_grad():
        for part in chosen:
            for name, tensor in ours[part].items():
                tensor.copy_(theirs[part][name])
    if (other.template, other.extent, other.coverage) != (config.template, config.extent, config.coverage):
        _LOG.warning("%s sees faces cut in another way: its weights have to learn this one", folder)
    if step.average is not None:
        step.average.load_state_dict(step.generator.state_dict())
    _LOG.info("loaded %s of %s, iteration %d", ", ".join(chosen), folder, checkpoint.iteration)


def side_names(config: ModelConfig) -> list[str]:
    return [side.name for side in config.sides]


def _generator_parts(sides: Sequence[str]) -> dict[str, str]:
    """Part -> how the names of its weights begin in the generator."""
    return {"encoder": "encoder."} | {f"decoder-{side.lower()}": f"decoders.{i}." for i, side in enumerate(sides)}


def _our_parts(step: Step, config: ModelConfig) -> dict[str, dict[str, Tensor]]:
    generator = step.generator.state_dict()
    parts = {part: _named(generator, prefix) for part, prefix in _generator_parts(side_names(config)).items()}
    if step.discriminators is not None:
        parts[_DISCRIMINATORS] = step.discriminators.state_dict()
    return parts


def _their_parts(config: ModelConfig, checkpoint: Checkpoint) -> dict[str, dict[str, Tensor]]:
    generator = checkpoint.tensors(AVERAGE if config.preset.optimisation.ema else WEIGHTS)
    parts = {part: _named(generator, prefix) for part, prefix in _generator_parts(side_names(config)).items()}
    discriminators = checkpoint.tensors(f"{_DISCRIMINATORS}.")
    return parts | ({_DISCRIMINATORS: discriminators} if discriminators else {})


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _fits(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return {name: t.shape for name, t in ours.items()} == {name: t.shape for name, t in theirs.items()}
