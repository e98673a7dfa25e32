"""Fixtures for all tests. Real clips and photos are read from FASTSWAP_TEST_DATA; a test that needs them skips where
they are absent and says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():  # before anything imports triton
    os.environ.setdefault("TRITON_INTERPRET", "1")
    os.environ.setdefault("FASTSWAP_CUDA_EMULATE", "1")

_DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real clips and photos."""
    folder = Path(os.environ.get("FASTSWAP_TEST_DATA", _DEFAULT_DATA))
    if not (folder / "MANIFEST.csv").exists():
        pytest.skip(f"no test data at {folder}: set FASTSWAP_TEST_DATA to the folder that holds MANIFEST.csv")
    return folder


@pytest.fixture
def cuda() -> str:
    """The GPU. Without one the test skips, or fails where FASTSWAP_REQUIRE_GPU=1 says that there should be one."""
    if not torch.cuda.is_available():
        if os.environ.get("FASTSWAP_REQUIRE_GPU") == "1":
            pytest.fail("FASTSWAP_REQUIRE_GPU=1, and torch sees no CUDA device")
        pytest.skip("no CUDA device")
    return "cuda"
