"""How a bench of the training runs: each trial of a file timed, each result a line of JSON in another.

`bench_train` (run.py) writes the trials, a process each or a few. Without them every preset is measured at its own
batch, in one process, and pytest-benchmark's table is the result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fastswap.bench.clock import device_seconds
from fastswap.bench.train.trial import Trial, trials
from fastswap.models import PRESETS

Write = Callable[[dict[str, Any]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--trials", type=Path, help="a JSON list of trials (default: all presets at their own batch)")
    parser.addoption("--results", type=Path, help="the file that results are added to, a line each")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "trial" in metafunc.fixturenames:
        found = _trials(metafunc.config.getoption("--trials"))
        metafunc.parametrize("trial", [pytest.param(each, marks=_timed(each.device), id=str(each)) for each in found])
    elif "device" in metafunc.fixturenames:
        device = _device()
        metafunc.parametrize("device", [pytest.param(device, marks=_timed(device))])


@pytest.fixture
def write(request: pytest.FixtureRequest) -> Write:
    """Adds a result to the file, which has it even if the process is killed later."""
    path: Path | None = request.config.getoption("--results")

    def add(result: dict[str, Any]) -> None:
        if path is not None:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")

    return add


def _trials(path: Path | None) -> list[Trial]:
    if path is not None:
        return [Trial.from_json(content) for content in json.loads(path.read_text(encoding="utf-8"))]
    presets = [(f"{p.name}-{p.size_out}", p) for sizes in PRESETS.values() for p in sizes.values()]
    return trials(presets, (), (), _device())


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _timed(device: str) -> pytest.MarkDecorator:
    """Wall time: a step runs on all cores, and a loader in processes of its own."""
    return pytest.mark.benchmark(timer=device_seconds if device == "cuda" else time.perf_counter)
