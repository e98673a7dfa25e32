"""The machine's own limits, in the same run as the operations that are held against them."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.bench import ceiling

MEASURES = {"copy": ceiling.copy, "gemm": ceiling.gemm}


@pytest.mark.parametrize("kind", MEASURES)
def test_ceiling(benchmark: BenchmarkFixture, kind: str, device: str) -> None:
    timed, amount = MEASURES[kind](device)
    benchmark.extra_info["ceiling"] = {"kind": kind, "device": device, "amount": amount}
    benchmark(timed)
