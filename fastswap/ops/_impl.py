"""Which implementation of an operation runs: the only place that knows what is built and what is installed.

`auto` falls back, a name never does: who asks for "triton" gets triton or an error that says why not.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fastswap.errors import MissingDependencyError
from fastswap.ops._fastest import FASTEST

NAMES = ("auto", "triton", "cupy", "numba", "reference")

_BUILT = {
    "warp": ("triton", "cupy", "numba", "reference"),
    "augment": ("triton", "numba", "reference"),
    "soft_mask": ("triton", "numba", "reference"),
    "match_colour": ("triton", "cupy", "numba", "reference"),
    "sharpen": ("triton", "numba", "reference"),
    "blend_pyramid": ("cupy", "numba", "reference"),
    "blend_poisson": ("cupy", "numba", "reference"),
    "paste": ("triton", "cupy", "numba", "reference"),
}
OPERATIONS = tuple(_BUILT)
_MODULES = {"reference": "reference", "numba": "_numba", "triton": "_triton", "cupy": "_cupy"}
_DEVICES = {"numba": "cpu", "triton": "cuda", "cupy": "cuda"}  # the reference runs on every device
_EMULATED = {
    "triton": "TRITON_INTERPRET",
    "cupy": "FASTSWAP_CUDA_EMULATE",
}  # =1: by name it runs on the CPU too, slowly
_INSTALL = {
    "numba": "pip install fastswap (numba is one of its own dependencies)",
    "triton": 'pip install "fastswap[cuda]"',
    "cupy": 'pip install "fastswap[cuda]"',
}
_CUDA_13, _LEAST_OF_CUDA_13 = 13000, (7, 5)  # CUDA 13 dropped Pascal (P100) and Volta (V100)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def resolve(operation: str, impl: str, device: torch.device) -> str:
    """The name of the implementation that `impl` means for `operation` on `device`; never "auto".

    Raises ValueError for a name that is unknown, not built for this operation, or cannot run on this device, and
    MissingDependencyError where the package behind an explicit name is absent or does not support the GPU.
    """
    built = _built(operation)
    if impl == "auto":
        order = FASTEST.get(device.type, FASTEST["cpu"]).names[operation]
        return next(name for name in order if _runs_on(name, device) and _lacking(name, device.type) is None)
    if impl not in built:
        known = "is not built for" if impl in NAMES else "is no implementation of"
        raise ValueError(f"impl={impl!r} {known} {operation}: use one of {', '.join(('auto', *built))}")
    if not _runs_on(impl, device) and not (device.type == "cpu" and emulated(impl)):
        raise ValueError(f"impl={impl!r} runs on {_DEVICES[impl]} only, and the tensors are on {device}")
    reason = _lacking(impl, device.type)
    if reason is not None:
        raise MissingDependencyError(f"impl={impl!r} of {operation}: {reason}")
    return impl


def implementations(operation: str) -> dict[str, str | None]:
    """The implementations built for `operation`: None where usable on this machine, else why not."""
    found = {}
    for name in _built(operation):
        needs_gpu = _DEVICES.get(name) == "cuda"
        reason = _lacking(name, "cuda" if needs_gpu and torch.cuda.is_available() else "cpu")
        found[name] = "no GPU" if reason is None and needs_gpu and not torch.cuda.is_available() else reason
    return found


def run(
    operation: str, impl: str, first: Tensor | Sequence[Tensor], *arguments: Any, function: str | None = None
) -> Any:
    """Calls the function of the operation's name in its implementation, on the device of the first argument: Triton
    launches on the current one. `impl` is a name that `resolve` gave."""
    module = kernel(operation, impl)
    with torch.cuda.device_of(first if isinstance(first, Tensor) else first[0]):  # type: ignore[no-untyped-call]
        return getattr(module, function or operation)(first, *arguments)


def kernel(operation: str, impl: str) -> ModuleType:
    """The module that implements `operation`, imported on first use."""
    return importlib.import_module(f"fastswap.kernels.{operation}.{_MODULES[impl]}")


def emulated(name: str) -> bool:
    """Whether a GPU's implementation may run on CPU tensors: Triton's interpreter, or the CUDA C compiled by g++."""
    return name in _EMULATED and os.environ.get(_EMULATED[name]) == "1"


def on_host(impl: str) -> bool:
    """Whether an implementation takes matrices as float64 on the CPU; those of a GPU take them beside the frames."""
    return _DEVICES.get(impl) != "cuda"


def _built(operation: str) -> tuple[str, ...]:
    if operation not in _BUILT:
        raise ValueError(f"no operation {operation!r}: there are {', '.join(_BUILT)}")
    return _BUILT[operation]


def _runs_on(name: str, device: torch.device) -> bool:
    return name not in _DEVICES or _DEVICES[name] == device.type


@functools.cache
def _lacking(name: str, device_type: str) -> str | None:
    """Why an implementation cannot be used, or None. Importing its package is the only honest test."""
    if name not in _INSTALL:
        return None
    try:
        package = importlib.import_module(name)
    except ImportError as error:
        return f"missing package: {name} does not import ({error}); {_INSTALL[name]}"
    if name == "cupy" and device_type == "cuda" and not emulated("cupy"):
        capability = torch.cuda.get_device_capability()
        if package.cuda.runtime.runtimeGetVersion() >= _CUDA_13 and capability < _LEAST_OF_CUDA_13:
            return "GPU too old: CUDA 13 does not support it; pip install cupy-cuda12x in place of cupy-cuda13x"
    return None
