"""AdaBelief, which torch does not have."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_EPSILON = 1e-16


class AdaBelief(torch.optim.Optimizer):
    """Steps as long as the gradient is like what was expected of it, short where it surprises (Zhuang et al. 2020,
    arXiv 2010.07468, algorithm 2):

        m = b1 m + (1 - b1) g;  s = b2 s + (1 - b2) (g - m)^2 + eps
        w -= rate * (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + eps)

    with decoupled weight decay, as in AdamW. A few kernels for all weights together, and no reading of the device:
    `lr` and the number of steps are scalars there. `found_inf` as torch's fused optimisers have it: where that scalar
    is 1 the step leaves everything as it was."""

    found_inf: Tensor | None = None

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: Tensor, betas: tuple[float, float], weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of all weights that have a gradient. The state of each ("step", "exp_avg", "exp_avg_sq") is there
        already."""
        for group in self.param_groups:
            reached = [p for p in group["params"] if p.grad is not None]
            if reached:
                self._move(reached, group["lr"], group["betas"], group["weight_decay"])

    def _move(self, weights: list[Tensor], rate: Tensor, betas: tuple[float, float], decay: float) -> None:
        beta1, beta2 = betas
        gradients: list[Tensor] = [w.grad for w in weights if w.grad is not None]
        steps, first, second = ([self.state[w][name] for w in weights] for name in ("step", "exp_avg", "exp_avg_sq"))
        alive = torch.ones_like(rate)
        if self.found_inf is not None:
            alive = 1 - self.found_inf
            gradients = [torch.where(alive > 0, gradient, 0) for gradient in gradients]
        torch._foreach_add_(steps, alive)
        surprise = torch._foreach_sub(gradients, first)
        torch._foreach_add_(first, torch._foreach_mul(surprise, (1 - beta1) * alive))
        torch._foreach_mul_(surprise, beta1)  # g minus the m just made
        change = torch._foreach_mul(surprise, surprise)
        torch._foreach_sub_(change, second)
        torch._foreach_mul_(change, 1 - beta2)
        torch._foreach_add_(change, _EPSILON)
        torch._foreach_mul_(change, alive)
        torch._foreach_add_(second, change)
        if decay:
            torch._foreach_mul_(weights, 1 - rate * alive * decay)
        torch._foreach_add_(weights, _movement(first, second, steps, rate * alive, betas))


def _movement(
    first: list[Tensor], second: list[Tensor], steps: list[Tensor], rate: Tensor, betas: tuple[float, float]
) -> list[Tensor]:
    """By how much each weight moves. Weights that were reached by every step have made equally many: the first speaks
    for all."""
    (beta1, beta2), count = betas, steps[0].double()
    spread = torch._foreach_sqrt(second)
    torch._foreach_mul_(spread, (1 - beta2**count).rsqrt().to(rate.dtype))
    torch._foreach_add_(spread, _EPSILON)
    moved = torch._foreach_div(first, spread)
    torch._foreach_mul_(moved, (-rate / (1 - beta1**count)).to(rate.dtype))
    return list(moved)
