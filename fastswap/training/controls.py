"""The numbers that change from step to step, on the device: learning rates, weights of the losses, EMA's share. They
are written before a step and read by its kernels, so that a captured step follows them and none waits for the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Controls:
    """A float32 scalar on the device for each of `names`."""

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._names = tuple(names)
        self._values = torch.zeros(len(self._names), device=device)
        self._scalars = dict(zip(self._names, self._values.unbind(), strict=True))

    def __getitem__(self, name: str) -> Tensor:
        """The scalar, always the same one."""
        return self._scalars[name]

    def write(self, numbers: Mapping[str, float]) -> None:
        """Fills in all of `names`, after what the device was asked to do so far and before what it is asked next. The
        host does not wait: pinned memory is kept by torch until the copy is done."""
        values = torch.tensor([numbers[name] for name in self._names], pin_memory=self._values.is_cuda)
        self._values.copy_(values, non_blocking=True)
