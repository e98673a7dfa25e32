"""What one step is shown."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """A batch of this rank, side after side, n = sides * B: warped faces [n, 3, in, in], targets [n, 3, out, out],
    masks [n, 1, out, out], how much the loss counts each pixel inside the mask (emphasis [n, 1, out, out], >= 1), and
    the share of the true picture in what mixup shows the discriminator (mix [n]; None: all of it). Floats, 0..1."""

    warped: Tensor
    target: Tensor
    mask: Tensor
    emphasis: Tensor
    mix: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Those that are there, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def split(self, parts: int, sides: int) -> list[Examples]:
        """The same as `parts` batches, each with its share of every side, whose B is a multiple of `parts`."""
        if parts == 1:
            return [self]
        pieces = {
            name: tensor.reshape(sides, parts, -1, *tensor.shape[1:]).transpose(0, 1).flatten(1, 2)
            for name, tensor in self.tensors().items()
        }
        return [Examples(**{name: tensor[part] for name, tensor in pieces.items()}) for part in range(parts)]


def noise(size_in: int, size_out: int, count: int, device: torch.device) -> Examples:
    """`count` examples of nothing, for what has to be run before there are any."""
    warped = torch.rand(count, 3, size_in, size_in, device=device)
    target = torch.rand(count, 3, size_out, size_out, device=device)
    whole = torch.ones(count, 1, size_out, size_out, device=device)
    return Examples(warped, target, whole, whole, torch.rand(count, device=device))
