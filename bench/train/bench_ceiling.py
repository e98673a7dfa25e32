"""The largest rate of matrix products, in the precisions that a step here may have, with all cores."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.bench import ceiling
from fastswap.bench.train.conftest import Write
from fastswap.errors import UsageError
from fastswap.training.precision import choose_precision

_CALLS = {"cpu": 5, "cuda": 50}  # in a round: a tenth of a second


@pytest.mark.parametrize("name", ["bf16", "fp16", "fp32"])
def test_ceiling(benchmark: BenchmarkFixture, name: str, device: str, write: Write) -> None:
    """On a GPU float32 is TF32, as in a step."""
    try:
        precision = choose_precision(name, torch.device(device))
    except UsageError as error:
        pytest.skip(str(error))
    timed, amount = ceiling.gemm(device, precision.dtype or torch.float32)
    benchmark.pedantic(timed, rounds=9, iterations=_CALLS[device], warmup_rounds=1)  # type: ignore[no-untyped-call]
    assert benchmark.stats is not None
    median = benchmark.stats.stats.median
    write({"precision": name, "device": device, "threads": torch.get_num_threads(), "rate": amount / median})
