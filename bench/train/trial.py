"""What is measured: a way to train, a preset, a batch, and a moment of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fastswap.errors import UsageError
from fastswap.models import Preset, summarise
from fastswap.models.strict_json import parse
from fastswap.training.plan import Moment
from fastswap.training.schedule import weights

SIDES = 2
OURS = {"cpu": ("eager", "compile"), "cuda": ("eager", "graph", "compile", "compiled-graph")}
"""The engine's modes."""
PLAIN = ("plain channels_last", "plain NCHW")
LOADED = ("loader", "loader in process", "loaded plain", "loaded plain in process")
"""The loader alone, in processes or in the training's own, and the plain step fed by it."""
PHASES = {"end": 1.0, "start": 0.0}
"""The share of the run: with all losses, and before there is an adversary."""
COMPILED = frozenset(("compile", "compiled-graph"))


@dataclass(frozen=True)
class Trial:
    """preset: as it is called, "gan-64"; contender: of OURS, PLAIN or LOADED; batch: faces of each side."""

    preset: str
    spec: Preset
    batch: int
    contender: str
    device: str
    phase: str = "end"
    precision: str = "auto"
    quick: bool = False

    def __str__(self) -> str:
        return f"{self.preset}, batch {self.batch}, {self.phase}: {self.contender}"

    @property
    def kind(self) -> str:
        """ "ours", "peer" or, of the loader without a step, "loader"."""
        if self.contender in OURS["cuda"]:
            return "ours"
        return "loader" if self.contender in LOADED[:2] else "peer"

    @property
    def moment(self) -> Moment:
        """Long after the warm-up of rates and averages."""
        return Moment(self.spec.iterations // 2, PHASES[self.phase])

    def flops(self) -> int:
        """Of one iteration: convolutions, linear layers and attention's products in the forward and backward passes of
        the networks that take part, without penalties and without what is computed twice to save memory."""
        if self.kind == "loader":
            return 0
        spec = self.spec if adversarial(self.spec, self.phase) else without_adversary(self.spec)
        return summarise(spec, SIDES, self.batch).flops["iteration"]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(content: dict[str, Any]) -> Trial:
        return Trial(**{**content, "spec": parse(Preset, content["spec"])})


def trials(
    presets: Sequence[tuple[str, Preset]],  # label and preset
    batches: Sequence[int],  # none: each preset's own
    contenders: Sequence[str],  # none: all
    device: str,
    *,
    precision: str = "auto",
    quick: bool = False,
) -> list[Trial]:
    """All that is to be measured, in order, of each preset what is compiled last. What takes long to prepare or does
    not depend on the batch (compilers, loaders) takes part at the first batch alone, unless it is asked for. Raises
    UsageError for a contender that there is none of on this device."""
    known = (*OURS[device], *PLAIN, *LOADED)
    unknown = sorted(set(contenders) - set(known))
    if unknown:
        raise UsageError(f"no contender {', '.join(unknown)}: there are {', '.join(known)}")
    if batches and min(batches) < 1:
        raise UsageError(f"batches are faces of each side, 1 or more: got {min(batches)}")
    common: dict[str, Any] = {"device": device, "precision": precision, "quick": quick}
    found: list[Trial] = []
    for label, spec in presets:
        first = len(found)
        for place, batch in enumerate(batches or (spec.batch,)):
            for phase in phases(spec):
                names = contenders or tuple(_usual(known, first=place == 0 and phase == "end", quick=quick))
                found += [
                    Trial(label, spec, batch, name, phase=phase, **common) for name in names if _fits(name, phase)
                ]
        found[first:] = sorted(found[first:], key=lambda trial: trial.contender in COMPILED)
    return found


def _usual(known: Sequence[str], *, first: bool, quick: bool) -> Iterator[str]:
    for name in known:
        if name in LOADED and not first:
            continue
        if name in COMPILED and (quick or not first):
            continue
        yield name


def _fits(contender: str, phase: str) -> bool:
    return phase == "end" or contender not in LOADED


def phases(preset: Preset) -> list[str]:
    """Both where there is an adversary at the end and none at the start."""
    return ["end"] if adversarial(preset, "start") == adversarial(preset, "end") else ["end", "start"]


def adversarial(preset: Preset, phase: str) -> bool:
    return "adversarial" in weights(preset.objective, Moment(0, PHASES[phase]))


def without_adversary(preset: Preset) -> Preset:
    """The part of it that is trained before there is one."""
    objective = replace(preset.objective, adversary="none", adversarial=0.0, r1=0.0, r2=0.0)
    return replace(preset, discriminator=None, objective=objective)
