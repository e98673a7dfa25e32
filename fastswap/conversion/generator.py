"""What a swap comes from: a model, or a control of `quality`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Generate = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Aligned faces of A, float [N, 3, s, s] in 0..1 -> B performing them: colour [N, 3, t, t] and mask [N, 1, t, t],
0..1."""
