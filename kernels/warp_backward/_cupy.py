"""The gradient of `warp` on a GPU, in CUDA C: how warp_backward.cu is launched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fastswap.kernels.cuda._cupy import TYPES, launch

_TILE, _BLOCK = 32, (32, 8)  # as affine.cuh has them


def warp_backward(gradient: Tensor, matrix: Tensor, frame: Tensor, shape: Sequence[int], std: float) -> Tensor:
    """As `reference.warp_backward`, but that the kernel counts the taps, and takes its matrices on the device."""
    out = torch.zeros(*shape, device=gradient.device)
    size = gradient.shape[-1]
    across = -(-size // _TILE)
    steps = *map(np.int64, gradient.stride()[:2]), *gradient.stride()[2:]
    numbers = *shape, *steps, size, across, across * across, 1 / std
    grid, types = (len(matrix) * across * across,), {"TYPE": TYPES[gradient.dtype]}
    launch(
        "warp_backward/warp_backward.cu", "warp_backward", grid, _BLOCK, gradient, matrix, frame, out, *numbers,
        defines=types,
    )  # fmt: skip
    return out
