"""Names never fall back, `auto` always finds something."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from fastswap.errors import MissingDependencyError
from fastswap.ops import _impl

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
OPERATIONS = ("warp", "paste", "augment", "soft_mask", "match_colour")


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    _impl._absent.cache_clear()
    yield
    _impl._absent.cache_clear()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_auto_is_numba_on_the_cpu_and_the_reference_on_a_gpu(operation):
    assert _impl.resolve(operation, "auto", CPU) == "numba"
    assert _impl.resolve(operation, "auto", CUDA) == "reference"


def test_auto_without_numba_is_the_reference(without_numba):
    assert _impl.resolve("warp", "auto", CPU) == "reference"
    assert _impl.implementations("warp")["reference"] is None
    assert "numba" in _impl.implementations("warp")["numba"]


def test_numba_by_name_without_numba_names_what_to_install(without_numba):
    with pytest.raises(MissingDependencyError, match="pip install fastswap"):
        _impl.resolve("warp", "numba", CPU)


def test_numba_by_name_on_a_gpu_says_where_it_runs():
    with pytest.raises(ValueError, match="cpu only, and the tensors are on cuda"):
        _impl.resolve("paste", "numba", CUDA)


@pytest.mark.parametrize(("name", "said"), [("triton", "not built for"), ("cupy", "not built for"), ("x", "no impl")])
def test_other_names_list_the_valid_ones(name, said):
    with pytest.raises(ValueError, match=rf"{said}.*auto, numba, reference"):
        _impl.resolve("augment", name, CPU)


def test_an_unknown_operation_lists_the_known_ones():
    with pytest.raises(ValueError, match="there are warp"):
        _impl.implementations("sharpen")


def test_importing_the_operations_probes_nothing():
    code = "import fastswap.ops, sys; print([m for m in ('numba', 'triton', 'cupy', 'av') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
