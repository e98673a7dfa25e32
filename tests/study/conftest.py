"""The modules beside the tests, and a record to read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_up import PAIR, record, run

from fastswap.bench.quality.entry import entries
from fastswap.models import LITE, Preset


@pytest.fixture
def gan() -> Preset:
    return entries(["lite"], ["name=gan"])[0].preset


@pytest.fixture
def three_seeds(gan: Preset) -> dict[str, Any]:
    """The GAN's margins lie apart from lite's; its sharpness of 1.6 is further from the truth than lite's 0.7; it
    follows better by the median of its seeds alone."""
    runs = [run(PAIR, "gan-96", seed, {"margin": 1.0}, {"margin": m, "sharpness": 1.6, "yaw": y})
            for seed, m, y in ((0, 3.2, 0.95), (1, 3.4, 0.5), (2, 2.9, 0.99))]  # fmt: skip
    runs += [run(PAIR, "lite-96", seed, {"margin": 1.5}, {"margin": m, "sharpness": 0.7})
             for seed, m in ((0, 2.1), (1, 2.5), (2, 2.3))]  # fmt: skip
    return record(runs, {"lite-96": LITE, "gan-96": gan}, PAIR)
