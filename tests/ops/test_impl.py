"""Names never fall back, `auto` always finds something, and tries first what was measured fastest."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch

from fastswap.errors import MissingDependencyError
from fastswap.ops import OPERATIONS, _aligned, _impl
from fastswap.ops._fastest import FASTEST

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results"
ON_GPU = {"blend_pyramid": "cupy", "blend_poisson": "cupy"}  # all others: triton


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """`without("numba")`: as if that package were not installed."""

    def block(name: str) -> None:
        monkeypatch.setitem(sys.modules, name, None)
        _impl._lacking.cache_clear()

    yield block
    monkeypatch.undo()
    _impl._lacking.cache_clear()


@pytest.fixture
def real_devices(monkeypatch: pytest.MonkeyPatch):
    """As a user has it: nothing is emulated."""
    for variable in _impl._EMULATED.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_auto_is_numba_on_the_cpu_also_where_gpu_kernels_are_emulated(operation):
    assert _impl.resolve(operation, "auto", CPU) == "numba"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_auto_is_a_fused_kernel_on_a_gpu(operation):
    assert FASTEST["cuda"].names[operation][0] == ON_GPU.get(operation, "triton")


def test_auto_on_a_gpu_falls_back_where_a_package_is_absent(without, real_devices, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    without("triton")
    without("cupy")
    assert _impl.resolve("warp", "auto", CUDA) == "reference"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("device", FASTEST)
def test_the_orders_name_what_is_built_and_end_with_the_reference(operation, device):
    order = FASTEST[device].names[operation]
    assert set(order) <= set(_impl.implementations(operation))
    assert order[-1] == "reference"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("device", [device for device, order in FASTEST.items() if order.measured])
def test_the_order_is_the_one_that_was_measured(operation, device):
    """By the geometric mean, over the cases that all implementations ran, of their medians."""
    order = FASTEST[device]
    record = json.loads((RESULTS / order.measured).read_text(encoding="utf-8"))
    medians = defaultdict(dict)
    for row in record["rows"]:
        if row["operation"] == operation and row["kind"] == "ours" and row["device"] == device and row["median"]:
            medians[row["case"], row["batch"], row["mode"]][row["contender"]] = row["median"]
    names = order.names[operation]
    complete = [found for found in medians.values() if set(names) <= set(found)]
    assert complete, f"{order.measured} has no case of {operation} that {' and '.join(names)} all ran"
    mean = {name: statistics.geometric_mean(found[name] for found in complete) for name in names}
    assert sorted(names, key=mean.get) == list(names), mean


def test_auto_without_numba_is_the_reference(without):
    without("numba")
    assert _impl.resolve("warp", "auto", CPU) == "reference"
    assert _impl.implementations("warp")["reference"] is None
    assert "numba" in _impl.implementations("warp")["numba"]


def test_numba_by_name_without_numba_names_what_to_install(without):
    without("numba")
    with pytest.raises(MissingDependencyError, match="pip install fastswap"):
        _impl.resolve("warp", "numba", CPU)


@pytest.mark.parametrize("name", ["triton", "cupy"])
def test_a_gpu_package_that_is_absent_names_the_extra(without, name):
    without(name)
    with pytest.raises(MissingDependencyError, match=r"fastswap\[cuda\]"):
        _impl.resolve("warp", name, CUDA)


def test_cuda_13_does_not_run_on_volta(without, real_devices, monkeypatch):
    cupy = pytest.importorskip("cupy")
    _impl._lacking.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 0))
    monkeypatch.setattr(cupy.cuda.runtime, "runtimeGetVersion", lambda: 13000)
    with pytest.raises(MissingDependencyError, match="cupy-cuda12x"):
        _impl.resolve("blend_poisson", "cupy", CUDA)
    assert _impl.resolve("blend_poisson", "auto", CUDA) == "reference"
    _impl._lacking.cache_clear()


def test_numba_by_name_on_a_gpu_says_where_it_runs():
    with pytest.raises(ValueError, match="cpu only, and the tensors are on cuda"):
        _impl.resolve("paste", "numba", CUDA)


@pytest.mark.parametrize("name", ["triton", "cupy"])
def test_gpu_names_on_the_cpu_say_where_they_run(real_devices, name):
    with pytest.raises(ValueError, match="cuda only, and the tensors are on cpu"):
        _impl.resolve("warp", name, CPU)


@pytest.mark.parametrize(("name", "said"), [("cupy", "is not built for"), ("x", "is no implementation of")])
def test_other_names_list_the_valid_ones(name, said):
    with pytest.raises(ValueError, match=rf"{said}.*auto, triton, numba, reference"):
        _impl.resolve("augment", name, CPU)


def test_an_unknown_operation_lists_the_known_ones():
    with pytest.raises(ValueError, match="there are warp"):
        _impl.implementations("blur")


def test_where_there_is_no_gpu_the_matrix_says_so():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert _impl.implementations("warp") == {"triton": "no GPU", "cupy": "no GPU", "numba": None, "reference": None}


def test_importing_the_operations_probes_nothing():
    """(torch's own compiler imports triton where it finds it.)"""
    code = "import fastswap.ops, sys; print([m for m in ('numba', 'cupy', 'av') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_more_faces_than_a_launch_takes_are_refused():
    many = torch.zeros(1, 3, 1, 1).expand(21846, -1, -1, -1)
    _aligned.check_count(many, "numba")
    with pytest.raises(ValueError, match="split the batch"):
        _aligned.check_count(many, "cupy")
