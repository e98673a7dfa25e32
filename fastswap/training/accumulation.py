"""A step that works its batch off in parts, to the weights that it would reach in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Means:
    """The means of the losses of a step's parts, without their graphs."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.values: dict[str, Tensor] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """The losses of one part."""
        for name, value in values.items():
            share = value.detach() / self.parts
            self.values[name] = self.values[name] + share if name in self.values else share


def whole_codes(
    codes: Sequence[Tensor],  # [sides * b, D] of each part, side after side, without a graph
    part: int,
    code: Tensor,  # [sides * b, D] of that part, with its graph
    sides: int,
) -> Tensor:
    """The codes of the whole step, [sides * B, D], side after side. What is computed from them is the same in every
    part; its gradient at `code` is `len(codes)` times this part's share, so that the mean over the parts is the
    gradient."""
    if len(codes) == 1:
        return code
    carried = code.detach() + len(codes) * (code - code.detach())
    everyone = [carried if number == part else other for number, other in enumerate(codes)]
    return torch.cat([one.reshape(sides, -1, one.shape[-1]) for one in everyone], dim=1).flatten(0, 1)
