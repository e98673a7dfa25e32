"""From what is asked for and what the model folder holds to what is trained: the configuration and the two sides."""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import replace
from pathlib import Path

from fastswap.errors import InputError, UsageError
from fastswap.faceset import FaceSet
from fastswap.models import LITE, ModelConfig, Preset, SideConfig, find_preset, has_config, read_config
from fastswap.models.strict_json import parse
from fastswap.training import parallel
from fastswap.training.settings import TrainSettings
from fastswap.training.sides import Side, choose_side

_LOG = logging.getLogger(__name__)


def prepare(settings: TrainSettings) -> tuple[ModelConfig, list[Side]]:
    """The configuration to train with, and the face sets of both sides. With several ranks rank 0 decides, from a model
    folder that only it has to see; the others find the same faces on their machine.

    Raises InputError or UsageError where the face sets do not go together, or do not go with the model in the folder:
    another network, another alignment, another coverage. Other faces, batch, seed or rate than before are said in the
    log."""
    if not parallel.writer():
        return _follow(settings, parse(ModelConfig, json.loads(parallel.broadcast(""))))
    config, sides = _decide(settings)
    parallel.broadcast(json.dumps(dataclasses.asdict(config)))
    return config, sides


def _follow(settings: TrainSettings, config: ModelConfig) -> tuple[ModelConfig, list[Side]]:
    """The sides of rank 0's configuration. Raises InputError where the faces here are others."""
    sides = []
    for told, path in zip(config.sides, (settings.faces_a, settings.faces_b), strict=True):
        side = choose_side(told.name, FaceSet.open(path), told.person)
        here = _side_config(side)
        if (here.sha256, here.count) != (told.sha256, told.count):
            raise InputError(
                f"{path} has {here.count} faces of {here.source}, rank 0 sees {told.count} of {told.source}: "
                "copy the face set to every machine"
            )
        sides.append(side)
    return config, sides


def _decide(settings: TrainSettings) -> tuple[ModelConfig, list[Side]]:
    old = read_config(settings.model) if has_config(settings.model) else None
    asked = (("A", settings.faces_a, settings.person_a), ("B", settings.faces_b, settings.person_b))
    known = {side.name: side for side in old.sides} if old else {}
    sides = []
    for name, path, person in asked:
        faces = FaceSet.open(path)
        if person is None and name in known and known[name].sha256 == faces.meta.source.sha256:
            person = known[name].person
        sides.append(choose_side(name, faces, person))
    _check_alignment([side.faces for side in sides])
    config = _configure(settings, sides, old)
    if old:
        _check_change(settings.model, old, config)
    return config, sides


def _configure(settings: TrainSettings, sides: list[Side], old: ModelConfig | None) -> ModelConfig:
    preset = _with_perceptual(_with_optimisation(_preset(settings, old), settings, old), settings)
    meta = sides[0].faces.meta
    return ModelConfig(
        preset=preset,
        sides=tuple(_side_config(side) for side in sides),
        template=meta.template,
        extent=meta.extent,
        coverage=settings.coverage or (old.coverage if old else preset.coverage),
        seed=settings.seed,
        batch=(None if settings.batch == "auto" else settings.batch) or (old.batch if old else preset.batch),
        learning_rate=settings.learning_rate or (old.learning_rate if old else preset.optimisation.learning_rate),
    )


def _preset(settings: TrainSettings, old: ModelConfig | None) -> Preset:
    """The model's own preset, which is the one it began with even where fastswap's has changed since."""
    if old is None:
        return find_preset(settings.preset, settings.size) if settings.preset else LITE
    asked = find_preset(settings.preset, settings.size) if settings.preset else old.preset
    if (asked.name, settings.size or asked.size_out) != (old.preset.name, old.preset.size_out):
        raise UsageError(
            f"{settings.model} is a '{old.preset.name}' model of {old.preset.size_out} px, not a '{asked.name}' one of "
            f"{settings.size or asked.size_out} px: leave the choice out or train into a new folder"
        )
    return old.preset


def _with_optimisation(preset: Preset, settings: TrainSettings, old: ModelConfig | None) -> Preset:
    """The preset with the optimiser, the cut and the dropout that are asked for. Raises UsageError for another
    optimiser than the model's, whose moments mean something else."""
    optimisation = preset.optimisation
    if old and settings.optimiser not in (None, optimisation.optimiser):
        raise UsageError(
            f"{settings.model} is trained by {optimisation.optimiser}, not {settings.optimiser}: leave --optimiser out "
            "or train into a new folder"
        )
    asked = {name: getattr(settings, name) for name in ("optimiser", "clip", "dropout")}
    given = {name: value for name, value in asked.items() if value is not None}
    return replace(preset, optimisation=replace(optimisation, **given))


def _with_perceptual(preset: Preset, settings: TrainSettings) -> Preset:
    """The preset with a weight of 1 for the loss of --perceptual, where it has none of its own."""
    if preset.objective.perceptual:
        if settings.perceptual is None:
            _LOG.warning("the perceptual loss of '%s' is left out: it needs --perceptual FILE", preset.name)
        return preset
    if settings.perceptual is None:
        return preset
    return replace(preset, objective=replace(preset.objective, perceptual=1.0))


def _side_config(side: Side) -> SideConfig:
    source = side.faces.meta.source
    path = str(Path(side.faces.path).resolve())
    return SideConfig(side.name, path, source.name, source.sha256, side.person, len(side.rows))


def _check_alignment(sets: list[FaceSet]) -> None:
    first, *others = sets
    for other in others:
        if (first.meta.template, first.meta.extent) != (other.meta.template, other.meta.extent):
            raise InputError(f"{first.path} and {other.path} are aligned differently: extract both with one fastswap")


def _check_change(model: Path, old: ModelConfig, new: ModelConfig) -> None:
    """Refuses what the network cannot follow, names what it can."""
    if (old.template, old.extent) != (new.template, new.extent):
        raise InputError(f"{model} was trained on another alignment: extract again, or train into a new folder")
    if len(old.sides) != len(new.sides):
        raise InputError(f"{model} has {len(old.sides)} sides, not {len(new.sides)}: train into a new folder")
    if old.coverage != new.coverage:
        raise UsageError(
            f"{model} was trained with a coverage of {old.coverage}, not {new.coverage}: leave it out or "
            "train into a new folder"
        )
    for before, after in zip(old.sides, new.sides, strict=True):
        if (before.sha256, before.person, before.count) != (after.sha256, after.person, after.count):
            _LOG.warning(
                "side %s changes: %d faces of person %d of %s before, %d of person %d of %s now",
                *(after.name, before.count, before.person, before.source, after.count, after.person, after.source),
            )
    for name in ("batch", "seed", "learning_rate"):
        if getattr(old, name) != getattr(new, name):
            _LOG.warning("%s was %s and is now %s", name, getattr(old, name), getattr(new, name))
