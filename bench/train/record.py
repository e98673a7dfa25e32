"""A run of the training's benches as a JSON record, which `bench/results/training.schema.json` describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastswap.bench.provenance import head
from fastswap.bench.train.trial import SIDES, Trial

SCHEMA = 1
_FIGURES = (
    *("median", "iqr", "min", "rounds", "iterations", "processor", "precision", "threads", "workers", "memory"),
    *("idle", "parts"),
)


def row(trial: Trial, result: Mapping[str, Any], ceilings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was asked for and what came of it. A share is the networks' work over the median, over the rate of a large
    matrix product in the same precision on the same device."""
    facts = {
        "preset": trial.preset,
        "size": trial.spec.size_out,
        "batch": trial.batch,
        "contender": trial.contender,
        "kind": trial.kind,
        "phase": trial.phase,
        "device": trial.device,
        "flops": trial.flops(),
    }
    figures = {name: result.get(name) for name in _FIGURES}
    median = figures["median"]
    rates = {each["precision"]: each["rate"] for each in ceilings if each["device"] == trial.device}
    rate = rates.get(figures["precision"])
    return {
        **facts,
        **figures,
        "egs": SIDES * trial.batch / median if median else None,
        "share": facts["flops"] / median / rate if median and rate else None,
        "reason": result["reason"],
    }


def made(rows: Sequence[Mapping[str, Any]], ceilings: Sequence[Mapping[str, Any]], *, quick: bool) -> dict[str, Any]:
    """The record."""
    return {
        **head(SCHEMA, quick=quick),
        "ceilings": [dict(each) for each in ceilings],
        "rows": [dict(each) for each in rows],
    }
