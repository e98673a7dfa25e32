"""Between fastswap's tensors and the arrays that OpenCV works on, and the one torch.compile of all compiled peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


def arrays(tensor: Tensor, dtype: type[np.generic] = np.float32) -> list[Array]:
    """[N, C, s, s] 0..1 -> N arrays [s, s, C] (or [s, s] of one channel): float 0..1, or uint8 rounded to codes."""
    values = tensor.float().cpu().permute(0, 2, 3, 1).numpy()
    if dtype is np.uint8:
        values = np.rint(values * 255)
    pictures = [np.ascontiguousarray(each, dtype) for each in values]
    return [each[..., 0] if each.shape[2] == 1 else each for each in pictures]


def tensor(pictures: Iterable[Array]) -> Sequence[Tensor]:
    """N arrays [s, s, C] or [s, s] -> ([N, C, s, s],), 0..1 where they are uint8."""
    stacked = torch.from_numpy(np.stack([each if each.ndim == 3 else each[..., None] for each in pictures]))
    planar = stacked.permute(0, 3, 1, 2)
    return (planar.float() / 255 if planar.dtype == torch.uint8 else planar,)


def alone(result: Tensor) -> Sequence[Tensor]:
    """A peer that returns the one tensor the operation returns."""
    return (result,)


def as_they_are(results: Sequence[Tensor]) -> Sequence[Tensor]:
    return results


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """By torch.compile for exactly these shapes: what a user gets who compiles the eager chain."""
    torch.compiler.reset()
    made: Callable[..., Any] = torch.compile(function, dynamic=False)
    return made
