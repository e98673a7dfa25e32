"""kill -9 at random moments, a checkpoint at every step so that many of them fall into its writing. FASTSWAP_KILLS sets
how many (2 unless told; ten is what the project promises)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fastswap.models import newest_checkpoint
from fastswap.training import TrainSettings, train

KILLS = int(os.environ.get("FASTSWAP_KILLS", "2"))
ITERATIONS = 5000
"""More than the killed runs get to."""
LONGEST = 0.8
"""Seconds from a run's start to its kill, at most."""


@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on_every_time(pair: tuple[Path, Path], tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    model = tmp_path / "killed"
    reached = 0
    for _ in range(KILLS):
        _run_and_kill(pair, model, moments.uniform(0.0, LONGEST))
        checkpoint = newest_checkpoint(model)
        iteration = checkpoint.iteration if checkpoint else 0
        assert iteration >= reached, f"went back from {reached} to {iteration} (seed {seed})"
        reached = iteration
    end = reached + 3
    killed, whole = (_finish(pair, folder, end) for folder in (model, tmp_path / "whole"))
    assert all(torch.equal(killed[name], whole[name]) for name in whole), f"other weights (seed {seed})"
    assert not list(model.rglob("*.partial*"))


def _run_and_kill(pair: tuple[Path, Path], model: Path, after: float) -> None:
    child = Path(__file__).with_name("child.py")
    command = [sys.executable, str(child), *map(str, pair), str(model), str(ITERATIONS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n", "the run before left a folder that cannot be gone on with"
        time.sleep(after)
        process.send_signal(signal.SIGKILL)


def _finish(pair: tuple[Path, Path], model: Path, end: int) -> dict[str, torch.Tensor]:
    """Trains on to iteration `end` on the plateau that the killed runs were on."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        settings = TrainSettings(*pair, model, preset="tiny", iterations=ITERATIONS, save_every=0, device="cpu")
        return _stop_at(settings, end)
    finally:
        torch.set_num_threads(threads)


def _stop_at(settings: TrainSettings, end: int) -> dict[str, torch.Tensor]:
    def report(done: int, note: str = "") -> None:
        if done >= end:
            os.kill(os.getpid(), signal.SIGTERM)

    summary = train(settings, report)
    return load_file(summary.checkpoint)
