"""The learning-rate finder: a curve that falls and rises, a rate in its fall, and a model that is left as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fastswap.errors import UsageError
from fastswap.storage import sha256
from fastswap.training import TrainSettings, train
from fastswap.training.finder import STEPS, Curve, find_learning_rate, steepest
from fastswap.training.step import Step

Settings = Callable[..., TrainSettings]


def _curve(losses: list[float]) -> Curve:
    values = np.array(losses)
    return Curve(np.geomspace(1e-6, 1e-1, len(values)), values, values, diverged=False)


def _files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256(p) for p in folder.rglob("*") if p.is_file() and p.parent.name != "logs"}


def test_the_rate_is_where_the_loss_falls_fastest() -> None:
    place = np.linspace(0, 1, 100)
    falling = np.exp(-2 / (1 + np.exp(-25 * (place - 0.5)))) + np.maximum(place - 0.8, 0) * 40
    suggestion = steepest(_curve(falling.tolist()))
    assert suggestion == pytest.approx(10**-3.5, rel=0.15)


def test_without_a_fall_there_is_no_suggestion() -> None:
    assert steepest(_curve(np.linspace(1, 2, 100).tolist())) is None
    assert steepest(_curve([1.0] * 50 + [float("nan")] * 50)) is None
    assert steepest(_curve([*np.linspace(1, 0.2, 50), *[float("nan")] * 50])) is not None


def test_it_suggests_a_rate_that_trains_and_writes_the_curve(settings: Settings) -> None:
    asked = settings(learning_rate=5e-4)
    told: list[int] = []
    finding = find_learning_rate(asked, lambda done, note="": told.append(done))
    assert finding.suggestion is not None
    assert 1e-4 < finding.suggestion < 3e-2, "tiny is trained with 2e-3"
    assert finding.at_present == 5e-4
    assert told == list(range(1, finding.steps + 1))
    table = json.loads(Path(finding.table).read_text())
    assert table["suggestion"] == finding.suggestion
    assert len(table["rates"]) == len(table["smoothed"]) == finding.steps
    assert min(table["smoothed"]) < 0.9 * table["smoothed"][0]
    assert cv2.imread(finding.plot).shape == (400, 700, 3)
    assert sorted(p.name for p in asked.model.iterdir()) == [".lock", "logs"], "and no model"


def test_a_model_is_left_as_it_was(settings: Settings) -> None:
    asked = settings()
    train(asked)
    before = _files(asked.model)
    find_learning_rate(asked)
    assert _files(asked.model) == before
    assert train(settings(iterations=14)).iterations == 2


def test_a_ramp_that_diverges_ends_early(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def rising(self: Step, *_: object) -> dict[str, torch.Tensor]:
        return {"loss": torch.tensor(float("nan") if self.rate > 1e-2 else 1.0)}

    monkeypatch.setattr(Step, "__call__", rising)
    finding = find_learning_rate(settings())
    assert finding.diverged
    assert finding.steps < STEPS
    assert finding.highest == pytest.approx(1e-2, rel=0.2)
    assert finding.suggestion is None
    assert json.loads(Path(finding.table).read_text())["losses"][-1] is None


def test_settings_are_checked_first(settings: Settings) -> None:
    with pytest.raises(UsageError, match="batch is 0"):
        find_learning_rate(settings(batch=0))
