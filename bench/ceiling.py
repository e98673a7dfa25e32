"""What the machine can do at most, measured in the same run: a large copy, and a large matrix product.

A copy of n bytes moves 2 n: read and written. On the CPU both run on one core, like everything that is held against
them; on a GPU the product is one of bf16 matrices, added up in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_COPIED = {"cpu": 256 << 20, "cuda": 2 << 30}  # bytes, far more than any cache holds
_SIDE = {"cpu": 1024, "cuda": 8192}
_DTYPE = {"cpu": torch.float32, "cuda": torch.bfloat16}


def copy(device: str) -> tuple[Callable[[], Any], int]:
    """What is timed, and the bytes it moves."""
    source = torch.ones(_COPIED[device] // 4, device=device)
    target = torch.zeros_like(source)
    return lambda: target.copy_(source), 2 * source.nbytes


def gemm(device: str, dtype: torch.dtype | None = None) -> tuple[Callable[[], Any], int]:
    """What is timed, and the operations it does: a multiply-add counts as two. dtype: None for the usual one."""
    side = _SIDE[device]
    left, right = torch.randn(2, side, side, device=device, dtype=dtype or _DTYPE[device])
    out = torch.empty_like(left)
    return lambda: torch.matmul(left, right, out=out), 2 * side**3
