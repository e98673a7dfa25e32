"""What turns gradients into steps of the weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fastswap.models import Optimisation

_FLOOR = 1e-6
"""Keeps the cut of a gradient of 0 from dividing by zero."""


class Optimiser:
    """The optimiser of one network's weights, those with `requires_grad`, by their names. `rate`: the learning rate, a
    scalar on the device, read at each step."""

    def __init__(
        self, network: nn.Module, optimisation: Optimisation, betas: tuple[float, float], rate: Tensor
    ) -> None:
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.optimisation = optimisation
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        self.inner = kinds[optimisation.optimiser](
            self.parameters.values(), lr=rate, betas=betas, weight_decay=optimisation.weight_decay, fused=True,
            capturable=rate.is_cuda,
        )  # fmt: skip
        for parameter in self.parameters.values():
            self.inner.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def gradients(self) -> list[Tensor]:
        """Of the weights that the last backward pass reached."""
        return [p.grad for p in self.parameters.values() if p.grad is not None]

    def clear(self) -> None:
        self.inner.zero_grad(set_to_none=True)

    def step(self) -> Tensor:
        """Moves the weights; returns the norm that the gradients had, a scalar on the device."""
        gradients = self.gradients()
        norm = nn.utils.get_total_norm(gradients)
        if self.optimisation.clip:
            torch._foreach_mul_(gradients, (self.optimisation.clip / (norm + _FLOOR)).clamp_max(1.0))
        self.inner.step()
        return norm

    def state(self) -> Iterator[tuple[str, Tensor]]:
        """The moments, "step.NAME", "exp_avg.NAME" and "exp_avg_sq.NAME" for each weight."""
        for name, parameter in self.parameters.items():
            for moment, tensor in self.inner.state[parameter].items():
                yield f"{moment}.{name}", tensor
