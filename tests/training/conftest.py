"""Fixtures of the training tests: a pair of drawn face sets, settings that finish in seconds."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from fastswap.models import PRESETS
from fastswap.training import TrainSettings
from fastswap.training.plan import Moment
from fastswap.training.step import Step

Settings = Callable[..., TrainSettings]


def _load(name: str) -> ModuleType:
    """A module that lies beside the tests: pytest's importlib mode has no path to import it from."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_synthetic = _load("synthetic")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", {32: _synthetic.TINY})


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Face sets of A and B, of different sizes."""
    folder = tmp_path_factory.mktemp("faces")
    return (
        _synthetic.make_faces(folder / "a", (200, 150, 120), count=12),
        _synthetic.make_faces(folder / "b", (120, 150, 200), count=9),
    )


@pytest.fixture
def settings(pair: tuple[Path, Path], tmp_path: Path) -> Settings:
    """Makes TrainSettings of the tiny network for a model folder of that name."""

    def make(name: str = "model", **changes: object) -> TrainSettings:
        base: dict[str, object] = {
            "preset": "tiny",
            "iterations": 12,
            "save_every": 5,
            "preview_every": 0,
            "device": "cpu",
            "cache": tmp_path / "cache",
        }
        return TrainSettings(pair[0], pair[1], tmp_path / name, **{**base, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Has this process interrupted in the step of that number."""
    original = Step.prepare

    def arm(iteration: int) -> None:
        def prepare(self: Step, moment: Moment) -> None:
            if moment.iteration == iteration - 1:
                monkeypatch.setattr(Step, "prepare", original)
                os.kill(os.getpid(), signal.SIGINT)
            original(self, moment)

        monkeypatch.setattr(Step, "prepare", prepare)

    return arm
