"""One training step of each network at its own batch, on noise: forward, losses, backward, Adam, average."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.models import PRESETS
from fastswap.training.step import Examples, Step

_SIDES = 2


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_step(benchmark: BenchmarkFixture, name: str) -> None:
    """Examples a second are `_SIDES * batch` over the median."""
    preset = PRESETS[name]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    step = Step(preset, _SIDES, 0, preset.learning_rate, device)
    count = _SIDES * preset.batch
    mask = torch.ones(count, 1, preset.size_out, preset.size_out, device=device)
    warped = torch.rand(count, 3, preset.size_in, preset.size_in, device=device)
    target = torch.rand(count, 3, preset.size_out, preset.size_out, device=device)
    examples = Examples(warped, target, mask, mask)

    def run() -> float:
        return float(step(examples, 0, None)["loss"])  # reading the loss waits for the device

    benchmark.extra_info["examples"] = count
    benchmark.extra_info["threads"] = torch.get_num_threads()
    benchmark.pedantic(run, rounds=5, warmup_rounds=2)  # type: ignore[no-untyped-call]
