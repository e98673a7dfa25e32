"""How every bench of an operation runs: checked, then timed, then written as a record of fastswap's own.

A file `bench_<operation>.py` has SHAPES (device -> shapes), PEERS, and one test that takes `trial`: it is run for every
contender on every shape. `pytest bench/ops --benchmark-json=FILE` writes what `bench/record.py` makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.bench import record
from fastswap.bench.clock import clock, one_thread
from fastswap.bench.contender import Peer, Trial, lacking, ready, trials
from fastswap.ops import implementations

LEAST_SECONDS = {"cpu": 1e-4, "cuda": 2e-3}  # a round: on a GPU long enough for the events' own time not to count
_FAILED = pytest.StashKey[list[dict[str, Any]]]()
_ABSENT = pytest.StashKey[dict[str, dict[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="one shape of each operation: a rehearsal, no figures to keep"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FAILED] = []
    config.stash[_ABSENT] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", [pytest.param(name, marks=_timed(name)) for name in _devices()])
    if "trial" not in metafunc.fixturenames:
        return
    operation = metafunc.module.__name__.rpartition("bench_")[2]
    shapes, peers = metafunc.module.SHAPES, metafunc.module.PEERS
    if metafunc.config.getoption("--quick"):
        shapes = {device: each[:1] for device, each in shapes.items()}
    found = trials(operation, shapes, peers, _devices())
    metafunc.parametrize("trial", [pytest.param(each, marks=_timed(each.device), id=str(each)) for each in found])
    metafunc.config.stash[_ABSENT][operation] = _absent(operation, peers)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    one_thread()


@pytest.fixture
def measure(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Callable[[Trial], None]:
    """Checks a trial against the reference, and times it only if it passes."""

    def run(trial: Trial) -> None:
        facts = record.facts(trial)
        failed: list[dict[str, Any]] = request.config.stash[_FAILED]
        try:
            with torch.inference_mode():
                timed, check = ready(trial)
        except Exception as error:
            failed.append({**facts, "check": None, "reason": f"{type(error).__name__}: {str(error).splitlines()[0]}"})
            raise
        facts["check"] = asdict(check)
        if not check.passed:
            failed.append({**facts, "reason": "the check failed"})
            pytest.fail(f"{check.of} error {getattr(check, check.of):.3g} of 255, {check.limit:g} allowed: not timed")
        benchmark.group = f"{trial.operation}: {facts['case']}, {trial.shape.batch} of them"
        benchmark.extra_info["trial"] = facts
        with torch.inference_mode():
            benchmark(timed)

    return run


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["fastswap"] = record.machine(machine_info)


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: Any, output_json: dict[str, Any]) -> None:
    failed, absent = config.stash[_FAILED], config.stash[_ABSENT]
    made = record.made(output_json, failed, absent, quick=bool(config.getoption("--quick")))
    output_json.clear()
    output_json.update(made)


def _devices() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def _timed(device: str) -> pytest.MarkDecorator:
    options = {"timer": clock(device), "min_time": LEAST_SECONDS[device], "warmup": True, "warmup_iterations": 2}
    return pytest.mark.benchmark(**options)


def _absent(operation: str, peers: tuple[Peer, ...]) -> dict[str, str]:
    ours = {name: reason for name, reason in implementations(operation).items() if reason is not None}
    theirs = {peer.name: reason for peer in peers if (reason := lacking(peer)) is not None}
    return {**ours, **theirs}
