"""One training step of each network at its own batch, on noise: forward, losses, backward, Adam, average."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.models import PRESETS, Preset
from fastswap.training.examples import Examples
from fastswap.training.plan import Moment
from fastswap.training.step import Step

_SIDES = 2
_PRESETS = [preset for sizes in PRESETS.values() for preset in sizes.values()]


@pytest.mark.parametrize("preset", _PRESETS, ids=lambda preset: f"{preset.name}-{preset.size_out}")
def test_step(benchmark: BenchmarkFixture, preset: Preset) -> None:
    """Examples a second are `_SIDES * batch` over the median."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    step = Step(preset, _SIDES, 0, device)
    count = _SIDES * preset.batch
    mask = torch.ones(count, 1, preset.size_out, preset.size_out, device=device)
    warped = torch.rand(count, 3, preset.size_in, preset.size_in, device=device)
    target = torch.rand(count, 3, preset.size_out, preset.size_out, device=device)
    examples = Examples(warped, target, mask, mask)

    def run() -> float:
        return float(step(examples, Moment(0, 0.0))["loss"])  # reading the loss waits for the device

    benchmark.extra_info["examples"] = count
    benchmark.extra_info["threads"] = torch.get_num_threads()
    benchmark.pedantic(run, rounds=5, warmup_rounds=2)  # type: ignore[no-untyped-call]
