"""torchrun with two processes on the CPU: what they learn together, how they stop, what happens when one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fastswap.models import WEIGHTS, newest_checkpoint

pytestmark = pytest.mark.slow
CREW = Path(__file__).with_name("crew.py")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ITERATIONS = 12
SAVE_EVERY = 5
LONGEST = 60.0
"""Seconds that a training may take to end after one of its processes was killed."""
Faces = tuple[Path, Path]
Weights = dict[str, torch.Tensor]


def _command(
    faces: Faces, model: Path, *torchrun: str, network: str = "tiny-gan", iterations: int = ITERATIONS
) -> list[str]:
    training = ["train", "-A", str(faces[0]), "-B", str(faces[1]), "-m", str(model), "-t", network]
    length = ["-i", str(iterations), "--save-every", str(SAVE_EVERY), "--preview-every", "0"]
    place = ["--cache", str(model.parent / "cache"), "--device", "cpu", "--precision", "fp32"]
    return [sys.executable, *torchrun, str(CREW), *training, *length, *place]


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def _train(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=_environment(**environment), capture_output=True, text=True, timeout=300)


def _weights(model: Path, iteration: int = ITERATIONS) -> Weights:
    return load_file(model / f"checkpoints/step-{iteration:08d}.safetensors")


def _same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def undisturbed(pair: Faces, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that two processes trained from start to end."""
    model = tmp_path_factory.mktemp("undisturbed") / "model"
    done = _train(_command(pair, model, *TORCHRUN))
    assert done.returncode == 0, done.stderr
    return model


def _apart(one: Weights, other: Weights, start: Weights) -> float:
    """How far the weights of two models lie from each other, as a share of how far they came."""
    names = [name for name in start if name.startswith((WEIGHTS, "discriminators."))]
    moved = torch.cat([(one[name] - start[name]).flatten() for name in names])
    between = torch.cat([(one[name] - other[name]).flatten() for name in names])
    return float(between.norm() / moved.norm())


@pytest.mark.parametrize("network", ["tiny", "tiny-gan"])
def test_two_processes_learn_what_one_learns(
    pair: Faces, request: pytest.FixtureRequest, tmp_path: Path, network: str
) -> None:
    """The sums of a step are the same numbers added in another order, 1e-7 of them apart, and Adam makes more of that
    where a gradient is about zero: 3e-6 of the way are measured. A wrong factor or face costs a hundred times 1e-4."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert _train(_command(pair, alone, network=network)).returncode == 0
    if network == "tiny":
        assert _train(_command(pair, together, *TORCHRUN, network=network)).returncode == 0
    else:
        together = request.getfixturevalue("undisturbed")
    assert _apart(_weights(alone), _weights(together), start=_weights(alone, SAVE_EVERY)) < 1e-4


def test_one_rank_writes_and_reports(undisturbed: Path) -> None:
    lines = (undisturbed / "logs/metrics.jsonl").read_text().splitlines()
    assert len(lines) == len(set(lines)) > 0
    assert len(list((undisturbed / "logs").glob("events*"))) == 1


def test_a_killed_rank_ends_all_within_a_minute_in_one_line(pair: Faces, tmp_path: Path) -> None:
    model = tmp_path / "model"
    died = tmp_path / "died"
    with subprocess.Popen(
        _command(pair, model, *TORCHRUN),
        env=_environment(FASTSWAP_DIES=f"1 7 {died}"), stderr=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        while not died.exists() and run.poll() is None:
            time.sleep(0.05)
        killed = time.monotonic()
        _, log = run.communicate(timeout=300)
    assert run.returncode
    assert died.exists(), log
    assert time.monotonic() - killed < LONGEST
    lines = [line for line in log.splitlines() if line.startswith("fastswap: ")]
    assert any("rank 1 is gone" in line and "it goes on from iteration 5" in line for line in lines), log
    checkpoint = newest_checkpoint(model)
    assert checkpoint
    assert checkpoint.iteration == SAVE_EVERY


def test_torchrun_restarts_all_from_the_last_checkpoint_to_the_same_bits(
    pair: Faces, undisturbed: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    command = _command(pair, model, *TORCHRUN, "--max-restarts", "1")
    done = _train(command, FASTSWAP_DIES=f"0 7 {tmp_path / 'died'}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "died").exists()
    assert "rank 0 is gone" in done.stderr
    assert _same(_weights(model), _weights(undisturbed))


def test_a_signal_stops_all_ranks_at_the_same_step_and_rank_0_saves(pair: Faces, tmp_path: Path) -> None:
    model = tmp_path / "model"
    command = _command(pair, model, *TORCHRUN, network="tiny", iterations=100_000)
    with subprocess.Popen(command, env=_environment(), stderr=subprocess.PIPE, text=True) as run:
        while not list(model.glob("checkpoints/*.safetensors")) and run.poll() is None:
            time.sleep(0.05)
        run.send_signal(signal.SIGTERM)
        _, log = run.communicate(timeout=300)
    checkpoint = newest_checkpoint(model)
    assert checkpoint, log
    assert log.count("finishing this step and saving") == 1
    assert "is gone" not in log
    assert SAVE_EVERY <= checkpoint.iteration < 100_000
