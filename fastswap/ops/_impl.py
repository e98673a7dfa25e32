"""Which implementation of an operation runs: the only place that knows what is built and what is installed.

`auto` falls back, a name never does: who asks for "numba" gets numba or an error that says why not.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

import torch

from fastswap.errors import MissingDependencyError

NAMES = ("auto", "triton", "cupy", "numba", "reference")

_BUILT = {
    "warp": ("numba", "reference"),
    "paste": ("numba", "reference"),
    "augment": ("numba", "reference"),
    "soft_mask": ("numba", "reference"),
    "match_colour": ("numba", "reference"),
}
OPERATIONS = tuple(_BUILT)
_MODULES = {"reference": "reference", "numba": "_numba"}
_DEVICES = {"numba": "cpu"}  # an implementation that is not here runs on every device
_INSTALL = {"numba": "pip install fastswap (numba is one of its own dependencies)"}


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def resolve(operation: str, impl: str, device: torch.device) -> str:
    """The name of the implementation that `impl` means for `operation` on `device`; never "auto".

    Raises ValueError for a name that is unknown, not built for this operation, or cannot run on this device, and
    MissingDependencyError where the package behind an explicit name is absent.
    """
    built = _built(operation)
    if impl == "auto":
        return next(name for name in built if _runs_on(name, device) and _absent(name) is None)
    if impl not in built:
        known = "is not built for" if impl in NAMES else "is no implementation of"
        raise ValueError(f"impl={impl!r} {known} {operation}: use one of {', '.join(('auto', *built))}")
    if not _runs_on(impl, device):
        raise ValueError(f"impl={impl!r} runs on the {_DEVICES[impl]} only, and the tensors are on {device}")
    reason = _absent(impl)
    if reason is not None:
        raise MissingDependencyError(f"impl={impl!r} of {operation}: {reason}")
    return impl


def implementations(operation: str) -> dict[str, str | None]:
    """The implementations built for `operation`, best first: None where usable here, else why not."""
    return {name: _absent(name) for name in _built(operation)}


def kernel(operation: str, impl: str) -> ModuleType:
    """The module that implements `operation`, imported on first use. `impl` is a name that `resolve` gave."""
    return importlib.import_module(f"fastswap.kernels.{operation}.{_MODULES[impl]}")


def _built(operation: str) -> tuple[str, ...]:
    if operation not in _BUILT:
        raise ValueError(f"no operation {operation!r}: there are {', '.join(_BUILT)}")
    return _BUILT[operation]


def _runs_on(name: str, device: torch.device) -> bool:
    return name not in _DEVICES or _DEVICES[name] == device.type


@functools.cache
def _absent(name: str) -> str | None:
    """Why the package behind an implementation cannot be used, or None. Importing it is the only honest test."""
    if name not in _INSTALL:
        return None
    try:
        importlib.import_module(name)
    except ImportError as error:
        return f"{name} does not import ({error}); {_INSTALL[name]}"
    return None
