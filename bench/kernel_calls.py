"""Calls of the operations that between them launch every GPU kernel in every variant: what `kernels_report` compiles.

Sizes are those in use, since alignment decides what is compiled; contents do not matter, for nothing is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from fastswap import ops
from fastswap.ops import Planes

_WITHOUT_GRADIENT = "sm_60"  # Triton has no atomic additions for it, and `warp` says so
Call = tuple[tuple[Any, ...], dict[str, Any]]
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_MAIN = _FLOATS[:2]  # bfloat16 is float16 but for one instruction: one variant of each kernel is enough
_MATRIX = torch.tensor([[[1.5, 0.2, 300.0], [-0.2, 1.5, 200.0]]]).repeat(2, 1, 1)
_PASTED = torch.tensor([[[0.6, 0.1, -300.0], [-0.1, 0.6, -100.0]]]).repeat(2, 1, 1)  # back: frame px -> face px


def _planes(layout: str) -> Planes:
    if layout == "rgb":
        return Planes("rgb", (torch.zeros(2, 1080, 1920, 3, dtype=torch.uint8),))
    dtype = torch.uint16 if layout == "p010" else torch.uint8
    data = torch.zeros(2, 1080, 1920, dtype=dtype), torch.zeros(2, 540, 960, 2, dtype=dtype)
    return Planes("p010" if layout == "p010" else "nv12", data)


def _aligned(dtype: torch.dtype, size: int = 256) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    face, target = torch.rand(2, 2, 3, size, size).to(dtype)
    return face, target, torch.ones(2, 1, size, size, dtype=dtype)


def _warp_calls() -> Iterator[Call]:
    for layout in ("rgb", "nv12", "p010"):
        yield (_planes(layout), _MATRIX, 256), {"dtype": torch.float16}
        yield (_planes(layout), _MATRIX, 256), {"dtype": torch.float32, "channels_last": True}
    yield (_planes("nv12"), _MATRIX, 256), {"dtype": torch.bfloat16}
    for dtype in _FLOATS:
        yield (torch.zeros(2, 3, 512, 512, dtype=dtype), _MATRIX, 256), {"dtype": dtype}


def _warp_gradient(impl: str) -> None:
    src = torch.zeros(2, 3, 512, 512, requires_grad=True)
    ops.warp(src, _MATRIX, 256, impl=impl).sum().backward()  # type: ignore[no-untyped-call]


def _augment_calls() -> Iterator[Call]:
    faces, index = torch.zeros(4, 256, 256, 4, dtype=torch.uint8), torch.arange(4)
    jitters = (ops.Jitter(), ops.Jitter().without(colour=True), ops.Jitter().without(warp=True, flip=True))
    given = [(jitter, size, torch.float16) for jitter in jitters for size in (128, 256)]  # two taps a pixel, and one
    for jitter, size, dtype in (*given, (jitters[0], 256, torch.float32), (jitters[0], 256, torch.bfloat16)):
        sizes = {"seed": 1, "size_in": size, "size_out": size, "coverage": 0.8}
        yield (faces, index, index), {"jitter": jitter, "dtype": dtype, **sizes}


def _match_colour_calls() -> Iterator[Call]:
    for dtype in _MAIN:
        for method in ("reinhard", "covariance", "histogram"):
            yield (*_aligned(dtype), method), {}
    yield (*_aligned(torch.bfloat16), "reinhard"), {}


def _soft_mask_calls() -> Iterator[Call]:
    for dtype in _FLOATS:
        yield (torch.ones(2, 1, 256, 256, dtype=dtype), 4.0, 16.0), {}


def _sharpen_calls() -> Iterator[Call]:
    for method in ("unsharp", "box", "gaussian"):
        yield (_aligned(torch.float16)[0], method), {}
    yield (_aligned(torch.float32)[0],), {}
    yield (_aligned(torch.bfloat16)[0],), {}


def _blend_pyramid_calls() -> Iterator[Call]:
    for dtype in _FLOATS:
        yield (*_aligned(dtype, 512), 5), {}


def _blend_poisson_calls() -> Iterator[Call]:
    for dtype in _FLOATS:
        yield (*_aligned(dtype), "normal"), {}
    yield (*_aligned(torch.float16), "mixed"), {}


def _paste_calls() -> Iterator[Call]:
    for layout in ("rgb", "nv12", "p010"):
        for dtype in _MAIN:
            face, _, alpha = _aligned(dtype)
            yield (_planes(layout), face, alpha, _PASTED), {}
    face, _, alpha = _aligned(torch.bfloat16)
    yield (_planes("nv12"), face, alpha, _PASTED), {}


_CALLS: dict[str, Callable[[], Iterator[Call]]] = {
    "warp": _warp_calls,
    "augment": _augment_calls,
    "soft_mask": _soft_mask_calls,
    "match_colour": _match_colour_calls,
    "sharpen": _sharpen_calls,
    "blend_pyramid": _blend_pyramid_calls,
    "blend_poisson": _blend_poisson_calls,
    "paste": _paste_calls,
}


def calls(operation: str, target: str) -> Iterator[Callable[[str], object]]:
    """Calls of an operation that between them launch each of its kernels in each of its variants."""
    for arguments, named in _CALLS[operation]():
        yield lambda impl, a=arguments, k=named: getattr(ops, operation)(*a, impl=impl, **k)  # type: ignore[misc]
    if operation == "warp" and target != _WITHOUT_GRADIENT:
        yield _warp_gradient
