"""What turns gradients into steps of the weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from fastswap.models import Optimisation
from fastswap.training.adabelief import AdaBelief
from fastswap.training.gradients import Gradients
from fastswap.training.precision import LossScale

_FLOOR = 1e-6
"""Keeps the cut of a gradient of 0 from dividing by zero."""


class Optimiser:
    """The optimiser of those of a network's weights that have `requires_grad`. `rate`: the learning rate, a scalar on
    the device, read at each step; `scale`: what float16 needs (None: another precision); `seed`: that of the run, and a
    number that none of its other optimisers has.

    Where `optimisation.dropout` is above 0 each iteration leaves that share of the weights as they are, drawn anew
    (learning-rate dropout: Lin et al. 2019, arXiv 1912.00144). Which ones follows from the seed and the iteration."""

    def __init__(
        self,
        network: nn.Module,
        optimisation: Optimisation,
        betas: tuple[float, float],
        rate: Tensor,
        *,
        scale: LossScale | None = None,
        seed: tuple[int, int] = (0, 0),
    ) -> None:
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.optimisation, self.scale, self.seed = optimisation, scale, seed
        self.inner = _inner(list(self.parameters.values()), optimisation, betas, rate)
        for parameter in self.parameters.values():
            self.inner.state[parameter] = {
                "step": torch.zeros((), device=rate.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        self.shared = Gradients(self.parameters.values())
        self.generator = torch.Generator(rate.device) if optimisation.dropout else None

    def prepare(self, iteration: int) -> None:
        """Before each step, outside of what is captured."""
        if self.generator is not None:
            self.generator.manual_seed(int(np.random.SeedSequence((*self.seed, iteration)).generate_state(1)[0]))

    def gradients(self) -> list[Tensor]:
        """Of the weights that the backward passes reached."""
        return [p.grad for p in self.parameters.values() if p.grad is not None]

    def backward(self, loss: Tensor, *, last: bool = True) -> None:
        """Adds the gradients of a loss. After the last of a step they are the mean over the ranks."""
        if last:
            self.shared.start()
        scaled = loss if self.scale is None else loss * self.scale.value
        scaled.backward(inputs=list(self.parameters.values()))  # type: ignore[no-untyped-call]
        if last:
            self.shared.finish()

    @torch.no_grad()
    def step(self) -> tuple[Tensor, Tensor]:
        """Cuts the gradients, moves the weights and forgets the gradients. Returns the norm that they had and whether
        the step was left out because it was not a number (0 or 1; always 0 but for float16): scalars on the device."""
        gradients = self.gradients()
        norm = nn.utils.get_total_norm(gradients)
        missed = torch.zeros_like(norm)
        if self.scale is not None:
            norm = norm / self.scale.value
            missed = 1 - norm.isfinite().to(norm.dtype)
            self.inner.found_inf = missed  # type: ignore[union-attr]  # Adam's, by its fused kernels
        self._cut(gradients, norm)
        before = torch._foreach_clone(self._moved()) if self.generator is not None else ()
        self.inner.step()
        self._drop(before)
        if self.scale is not None:
            self.scale.update(missed)
        self.clear()
        return norm, missed

    def clear(self) -> None:
        """Forgets the gradients."""
        self.inner.zero_grad(set_to_none=True)

    def _cut(self, gradients: list[Tensor], norm: Tensor) -> None:
        """Divides by the scale and by what the norm has too much, in one pass."""
        factor = None
        if self.optimisation.clip:
            factor = (self.optimisation.clip / (norm + _FLOOR)).clamp_max(1.0)
        if self.scale is not None:
            factor = (1.0 if factor is None else factor) / self.scale.value
        if factor is not None:
            torch._foreach_mul_(gradients, factor)

    def _moved(self) -> list[Tensor]:
        return [p.detach() for p in self.parameters.values() if p.grad is not None]

    def _drop(self, before: tuple[Tensor, ...]) -> None:
        """Puts the weights that this iteration leaves alone back to what they were before."""
        if not before:
            return
        moved = self._moved()
        sizes = [weight.numel() for weight in moved]
        drawn = torch.empty(sum(sizes), device=moved[0].device)
        drawn.bernoulli_(self.optimisation.dropout, generator=self.generator)
        kept = [
            part.as_strided(w.shape, w.stride(), part.storage_offset())
            for part, w in zip(torch.split(drawn, sizes), moved, strict=True)
        ]
        torch._foreach_lerp_(moved, before, kept)  # shares of 0 and 1 are exact

    def state(self) -> Iterator[tuple[str, Tensor]]:
        """ "step.NAME", "exp_avg.NAME" and "exp_avg_sq.NAME" for each weight, and the state of the scale."""
        for name, parameter in self.parameters.items():
            for moment, tensor in self.inner.state[parameter].items():
                yield f"{moment}.{name}", tensor
        if self.scale is not None:
            yield from self.scale.state()


def _inner(
    parameters: list[nn.Parameter], optimisation: Optimisation, betas: tuple[float, float], rate: Tensor
) -> torch.optim.Adam | torch.optim.AdamW | AdaBelief:
    if optimisation.optimiser == "adabelief":
        return AdaBelief(parameters, rate, betas, optimisation.weight_decay)
    kind = torch.optim.Adam if optimisation.optimiser == "adam" else torch.optim.AdamW
    capturable = rate.is_cuda
    return kind(
        parameters, lr=rate, betas=betas, weight_decay=optimisation.weight_decay, fused=True, capturable=capturable
    )
