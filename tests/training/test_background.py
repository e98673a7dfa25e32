"""What runs beside the training: jobs in a thread, copies that stay as they were taken, examples made ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from synthetic import TINY

from fastswap.errors import TrainingError
from fastswap.models import newest_checkpoint
from fastswap.training.ahead import Ahead
from fastswap.training.background import Background, Copier
from fastswap.training.examples import Examples, noise
from fastswap.training.plan import Moment, Plan
from fastswap.training.saver import Saver
from fastswap.training.step import Step

CPU = torch.device("cpu")


@pytest.fixture
def background() -> Iterator[Background]:
    background = Background("test")
    yield background
    background.close()


def test_one_job_at_a_time_and_the_caller_goes_on(background: Background) -> None:
    go, done = threading.Event(), []

    def job() -> None:
        go.wait(10)
        done.append(time.monotonic())

    background.start(job)
    background.poll()
    assert not done
    timer = threading.Timer(0.05, go.set)
    timer.start()
    background.start(lambda: done.append(time.monotonic()))
    assert done, "the second waited for the first"
    background.wait()
    assert done == sorted(done)
    assert len(done) == 2


def test_what_a_job_raises_comes_out_once(background: Background) -> None:
    def fail() -> None:
        raise TrainingError("no room")

    background.start(fail)
    with pytest.raises(TrainingError, match="no room"):
        background.wait()
    background.poll()
    background.start(fail)
    with pytest.raises(TrainingError, match="no room"):
        background.start(lambda: None)


def test_a_copy_stays_as_it_was_taken() -> None:
    tensor = torch.arange(6.0).reshape(1, 2, 3, 1).contiguous(memory_format=torch.channels_last)
    copies = Copier()({"x": tensor})
    tensor += 1
    assert torch.equal(copies.wait()["x"].flatten(), torch.arange(6.0))


def test_a_checkpoint_is_that_of_its_moment_though_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writing waits until the weights have moved."""
    from fastswap.training import saver as module

    go, original = threading.Event(), module.write
    monkeypatch.setattr(module, "write", lambda *arguments: (go.wait(10), original(*arguments))[1])
    step, saver = Step(TINY, 2, 0, CPU), Saver(tmp_path, 3, None, 0)
    examples = noise(32, 32, 8, CPU)
    step(examples, Moment(0, 0.0))
    then = {name: tensor.clone() for name, tensor in step.state().items()}
    saver.save(step, 1, Plan(0, 10))
    step(examples, Moment(1, 0.0))
    assert saver.iteration == 0
    go.set()
    saver.wait()
    checkpoint = newest_checkpoint(tmp_path)
    assert checkpoint
    assert (saver.iteration, saver.path) == (1, checkpoint.path)
    saved = checkpoint.tensors()
    assert saved.keys() == then.keys()
    assert all(torch.equal(saved[name], tensor) for name, tensor in then.items())
    saver.close()


def test_weights_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    step, saver = Step(TINY, 2, 0, CPU), Saver(tmp_path, 3, None, 0)
    with torch.no_grad():
        next(step.generator.parameters()).fill_(float("nan"))
    saver.save(step, 7, Plan(0, 10))
    with pytest.raises(TrainingError, match="no longer numbers at iteration 7"):
        saver.wait()
    assert not list(tmp_path.rglob("*.safetensors"))
    saver.close()


def _made(asked: list[int], device: torch.device) -> Ahead:
    def make(iteration: int, strength: float) -> Examples:
        asked.append(iteration)
        torch.manual_seed(iteration)
        return noise(16, 16, 4, device)

    return Ahead(make, device)


def test_a_cpu_makes_examples_when_they_are_asked_for() -> None:
    asked: list[int] = []
    ahead = _made(asked, CPU)
    ahead.prepare(1, 1.0)
    assert not asked
    ahead(1, 1.0)
    assert asked == [1]


@pytest.mark.gpu
def test_on_a_gpu_the_next_examples_are_made_while_this_step_runs(cuda: str) -> None:
    asked: list[int] = []
    ahead = _made(asked, torch.device(cuda))
    ahead.prepare(5, 1.0)
    assert asked == [5]
    prepared = ahead(5, 1.0).target.clone()
    assert asked == [5]
    assert torch.equal(prepared, ahead(5, 1.0).target), "made again, the same"
    ahead.prepare(6, 1.0)
    assert not torch.equal(prepared, ahead(7, 1.0).target)
    assert asked == [5, 5, 6, 7]


@pytest.mark.gpu
def test_on_a_gpu_a_copy_stays_as_it_was_taken(cuda: str) -> None:
    copier = Copier()
    for number in range(3):
        tensor = torch.full((1 << 24,), float(number), device=cuda)
        copies = copier({"x": tensor})
        tensor += 100
        assert (copies.wait()["x"] == number).all()
