"""One iteration of every trial: ours in each mode of the engine, the plain step, the loader, and both together."""

from __future__ import annotations

import gc
import math
import time
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.bench.train import subject
from fastswap.bench.train.conftest import Write
from fastswap.bench.train.device import begin_memory, idle_share, peak_memory
from fastswap.bench.train.parts import TimedStep, time_parts
from fastswap.bench.train.trial import SIDES, Trial
from fastswap.training.batch import out_of_memory

_WARM_UP = {"cpu": 2, "cuda": 6}
"""Calls that are not timed: graphs are captured in the fourth, and cuDNN looks for its algorithms in the first."""
_BUDGET = {"cpu": 8.0, "cuda": 3.0}
"""Seconds that a trial is timed for."""
_FEWEST, _MOST = 5, 50  # rounds
_QUICK = 3
_LEAST = {"cpu": 0.0, "cuda": 0.25}
"""Seconds of a round: on a GPU long enough for the wait at its end not to count."""
_PARTS, _PROFILED = 10, 8  # iterations


def test_trial(benchmark: BenchmarkFixture, trial: Trial, write: Write) -> None:
    """Examples a second are `SIDES` times the batch over the median."""
    reason = None
    try:
        result = _run(benchmark, trial)
    except RuntimeError as error:  # gone with its frames, and so their tensors, before the next trial begins
        reason = _reason(error, trial)
    _free(trial.device)
    write({"trial": str(trial), **({} if reason else result), "reason": reason})
    if reason:
        pytest.fail(reason, pytrace=False)


def _run(benchmark: BenchmarkFixture, trial: Trial) -> dict[str, Any]:
    device = torch.device(trial.device)
    begin_memory(device)
    ready = subject.make(trial)
    try:
        result = _measure(benchmark, trial, ready, device)
    finally:
        ready.close()
    del ready
    _free(trial.device)
    return {**result, "parts": _parts(trial, device) if trial.contender == "eager" else None}


def _measure(benchmark: BenchmarkFixture, trial: Trial, ready: subject.Subject, device: torch.device) -> dict[str, Any]:
    together = ready.together
    for _ in range(
        _WARM_UP[trial.device] + (2 * together if together > 1 else 0)
    ):  # what loaders made ahead is used up
        ready()
    seconds = _once(ready, together, device)
    iterations = together * max(1, math.ceil(_LEAST[trial.device] / (seconds * together)))
    rounds = _QUICK if trial.quick else min(max(int(_BUDGET[trial.device] / (seconds * iterations)), _FEWEST), _MOST)
    benchmark.group = f"{trial.preset}, batch {trial.batch}, {trial.phase}"
    benchmark.extra_info["examples"] = SIDES * trial.batch
    before = time.process_time()
    benchmark.pedantic(ready, rounds=rounds, iterations=iterations)  # type: ignore[no-untyped-call]
    assert benchmark.stats is not None
    stats = benchmark.stats.stats
    return {
        "median": stats.median,
        "iqr": stats.iqr,
        "min": stats.min,
        "rounds": rounds,
        "iterations": iterations,
        "processor": (time.process_time() - before) / (rounds * iterations),
        "precision": ready.precision,
        "threads": torch.get_num_threads(),
        "workers": ready.workers,
        "memory": peak_memory(device),
        "idle": None if trial.kind == "loader" else idle_share(ready, _PROFILED, device),
    }


def _once(ready: subject.Subject, calls: int, device: torch.device) -> float:
    """Seconds of a call, the device's work included."""
    began = time.perf_counter()
    for _ in range(calls):
        ready()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / calls


def _parts(trial: Trial, device: torch.device) -> dict[str, float]:
    step = TimedStep(trial.spec, SIDES, 0, device, precision=trial.precision)
    feed = subject.make_feed(trial.spec, trial.batch, device)
    rounds = _QUICK if trial.quick else _PARTS
    return time_parts(step, feed, trial.moment, warm_up=_WARM_UP[trial.device], rounds=rounds)


def _reason(error: RuntimeError, trial: Trial) -> str:
    if out_of_memory(error):
        return f"a batch of {trial.batch} does not fit into the memory"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _free(device: str) -> None:
    gc.collect()
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
