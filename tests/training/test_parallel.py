"""Several processes do together what one does alone: numbers, decisions, gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fastswap.errors import UsageError
from fastswap.training import parallel
from fastswap.training.capture import CudaRecorder
from fastswap.training.gradients import Gradients

RANKS = 3
"""Not a power of two: sums of three have an order."""
Found = dict[str, Tensor]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What one process found."""
    return _run(tmp_path_factory.mktemp("alone"), [])[0]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What each of three found."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS)]
    return _run(tmp_path_factory.mktemp("together"), torchrun)


def _run(folder: Path, torchrun: list[str]) -> list[Found]:
    program = Path(__file__).with_name("ranks.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *torchrun, str(program), str(folder)], check=True, env=environment, timeout=120)
    return [load_file(path) for path in sorted(folder.iterdir())]


def test_all_ranks_have_the_same_results(together: list[Found]) -> None:
    assert len(together) == RANKS
    differ = {name for found in together for name in found if not torch.equal(found[name], together[0][name])}
    assert differ == {"writer"}


def test_an_average_is_the_mean_over_the_ranks(alone: Found, together: list[Found]) -> None:
    assert alone["average"].tolist() == [0, 0, 0]
    assert together[0]["average"].tolist() == [0, 1, 2]


def test_the_rows_of_all_ranks_lie_in_the_order_of_the_batch(alone: Found, together: list[Found]) -> None:
    assert torch.equal(together[0]["gathered"], alone["gathered"])


def test_a_loss_of_gathered_rows_has_the_gradient_of_one_process(alone: Found, together: list[Found]) -> None:
    torch.testing.assert_close(together[0]["gathered_gradient"], alone["gathered_gradient"], rtol=1e-4, atol=1e-6)


def test_one_flag_stops_all_and_rank_0_s_number_counts(together: list[Found]) -> None:
    assert together[1]["agree"].tolist() == [1, 10, 0, 0.5]


def test_rank_0_writes_and_its_text_and_weights_are_everybody_s(together: list[Found]) -> None:
    assert [bool(found["writer"]) for found in together] == [True, False, False]
    assert bytes(together[2]["text"].tolist()).decode() == "from 0 é"
    assert (together[2]["replicated"] == 0).all()


def test_buckets_of_gradients_give_the_steps_of_one_process(alone: Found, together: list[Found]) -> None:
    names = [name for name in alone if name.startswith("whole.")]
    assert names
    for name in names:
        torch.testing.assert_close(together[0][name], alone[name], rtol=1e-5, atol=1e-7)


def test_a_resumed_run_adds_gradients_in_the_same_order(together: list[Found]) -> None:
    names = [name.removeprefix("whole.") for name in together[0] if name.startswith("whole.")]
    assert all(torch.equal(together[0][f"whole.{name}"], together[0][f"resumed.{name}"]) for name in names)


def test_half_an_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"MASTER_PORT not: start with torchrun"):
        parallel.launched()


def test_one_process_sends_nothing() -> None:
    rows = torch.rand(4, 3, requires_grad=True)
    with parallel.session(torch.device("cpu")) as device:
        assert (device, parallel.rank(), parallel.world()) == (torch.device("cpu"), 0, 1)
        assert parallel.gather(rows, 2) is rows
        assert parallel.agree(True, 2.5) == (True, 2.5)


@pytest.mark.gpu
def test_buckets_that_nccl_sends_are_captured_with_the_step(cuda: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a group of one, told that it is two: the sum is its own gradient, the mean half of it."""
    device = torch.device(cuda, 0)
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl", store=torch.distributed.HashStore(), rank=0, world_size=1, device_id=device
    )
    try:
        monkeypatch.setattr(parallel, "world", lambda: 2)
        layers = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(4))).to(device)
        gradients = Gradients(layers.parameters(), bucket=20_000)
        x = torch.randn(8, 64, device=device)

        def work() -> Found:
            for parameter in layers.parameters():
                parameter.grad = None
            gradients.start()
            layers(x).square().mean().backward()
            gradients.finish()
            return {name: p.grad.clone() for name, p in layers.named_parameters() if p.grad is not None}

        recorder = CudaRecorder(device, [])
        for _ in range(3):
            recorder.warm_up(work)
        graph = recorder.capture(work)
        x.normal_()
        graph.replay()
        wanted = torch.autograd.grad(layers(x).square().mean(), list(layers.parameters()))
        for (_, got), whole in zip(graph.outputs.items(), wanted, strict=True):
            torch.testing.assert_close(got, whole / 2, rtol=1e-2, atol=1e-4)  # TF32
    finally:
        torch.distributed.destroy_process_group()
