"""One pattern for the operations: every test of behaviour takes `impl` and runs on all implementations of the operation
that its file is named after, every test of agreement takes `fast_impl` and holds it against the reference.

Where there is no GPU, Triton's kernels run in its interpreter and the CUDA C through g++ (tests/conftest.py sets the
variables). The interpreter's time is per program, so kernels get larger blocks there.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from fastswap.ops import OPERATIONS, Planes, implementations

INTERPRETED_BLOCK = 8192
GPU_NAMES = ("triton", "cupy")


def operation_of(module: ModuleType) -> str | None:
    """The operation that a file is about: test_warp.py and test_warp_gradient.py are about `warp`."""
    name = module.__name__.rpartition("test_")[2]
    return next((operation for operation in OPERATIONS if f"{name}_".startswith(f"{operation}_")), None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    operation = operation_of(metafunc.module)
    if operation is not None:
        names = sorted(implementations(operation))
        if "impl" in metafunc.fixturenames:
            metafunc.parametrize("impl", names)
        if "fast_impl" in metafunc.fixturenames:
            metafunc.parametrize("fast_impl", [name for name in names if name != "reference"])


@pytest.fixture(autouse=True)
def _large_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For Triton's interpreter, whose time is per program."""
    operation = operation_of(request.module)
    name = request.node.callspec.params.get("fast_impl", request.node.callspec.params.get("impl")) if hasattr(
        request.node, "callspec"
    ) else None  # fmt: skip
    if operation is not None and name == "triton" and os.environ.get("TRITON_INTERPRET") == "1":
        module = importlib.import_module(f"fastswap.kernels.{operation}._triton")
        monkeypatch.setattr(module, "BLOCK", INTERPRETED_BLOCK)


def home(impl: str) -> torch.device:
    """Where an implementation runs on this machine."""
    return torch.device("cuda" if impl in GPU_NAMES and torch.cuda.is_available() else "cpu")


def moved(value: Any, device: torch.device) -> Any:
    """Tensors and planes, also inside of tuples and lists, on `device`; everything else as it is."""
    if isinstance(value, torch.Tensor | Planes):
        return value.to(device)
    return type(value)(moved(part, device) for part in value) if isinstance(value, tuple | list) else value


@pytest.fixture
def there(impl: str) -> Callable[[Any], Any]:
    """there(value): tensors and planes where the test's implementation runs, for what `call` cannot call."""
    return lambda value: moved(value, home(impl))


@pytest.fixture
def call() -> Callable[..., Any]:
    """call(op, ..., impl=impl): op where that implementation runs, results on the CPU, planes written in place."""

    def run(operation: Callable[..., Any], *arguments: Any, impl: str = "auto", **named: Any) -> Any:
        device = home(impl)
        there = [moved(value, device) for value in arguments]
        named = {name: moved(value, device) for name, value in named.items()}
        result = moved(operation(*there, impl=impl, **named), torch.device("cpu"))
        for here, written in zip(arguments, there, strict=True):
            if isinstance(here, Planes) and written is not here:
                for plane, copy in zip(here.data, written.data, strict=True):
                    plane.copy_(copy)
        return result

    return run
