"""Fixtures for all tests. Real clips and photos are read from FASTSWAP_TEST_DATA; a test that needs them skips where
they are absent and says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from unittest import mock

import pytest
import torch

if not torch.cuda.is_available():  # before anything imports triton
    os.environ.setdefault("TRITON_INTERPRET", "1")
    os.environ.setdefault("FASTSWAP_CUDA_EMULATE", "1")

_DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _without_a_compiler() -> Iterator[None]:
    """CUDA C runs on the CPU by g++: where there is none, a test that comes to launch it skips."""
    if os.environ.get("FASTSWAP_CUDA_EMULATE") != "1" or shutil.which("g++"):
        yield
        return

    def skip(*_: object) -> NoReturn:
        pytest.skip("no GPU, and no g++ to run the CUDA C on the CPU")

    with mock.patch("fastswap.kernels.cuda._cupy._emulated", skip):
        yield


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
