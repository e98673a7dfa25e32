"""One step of training: examples, forward, losses, backward, Adam, moving average. Everything in it is a function of
the weights, the optimiser's moments and the iteration number, so that a run that was cut short goes on to the same
weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastswap.models import Preset, SwapModel
from fastswap.training import losses
from fastswap.training.plan import Moment
from fastswap.training.schedule import learning_rate

_MOST_GRADIENT = 1.0
"""The norm that a gradient is cut to: one odd batch at a high learning rate must not undo the ones before it."""


@dataclass(frozen=True)
class Examples:
    """A batch of both sides, side after side: warped faces [sides * B, 3, in, in], targets [sides * B, 3, out, out],
    masks [sides * B, 1, out, out], and how much the loss counts each pixel inside the mask, of the same shape (>=
    1)."""

    warped: Tensor
    target: Tensor
    mask: Tensor
    emphasis: Tensor


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """What the convolutions are computed in: bfloat16 where the hardware multiplies it, else None for float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else None


class Step:
    """The network in training. `average` is the moving average of the weights, None where the preset keeps none."""

    def __init__(self, preset: Preset, sides: int, seed: int, rate: float, device: torch.device) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = SwapModel(preset.generator, sides)
        self.preset = preset
        self.rate = rate
        self.device = device
        self.dtype = autocast_dtype(device)
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = dict(self.model.named_parameters())
        self.optimiser = torch.optim.Adam(
            self.parameters.values(), lr=rate, betas=preset.optimisation.betas, fused=True
        )
        self.average: SwapModel | None = None
        if preset.optimisation.ema:
            self.average = SwapModel(preset.generator, sides).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.average.load_state_dict(self.model.state_dict())
            self.average.requires_grad_(False)

    @property
    def shown(self) -> nn.Module:
        """The network that previews and `convert` use."""
        return self.average if self.average is not None else self.model

    def __call__(self, examples: Examples, moment: Moment) -> dict[str, Tensor]:
        """Trains on one batch; returns the losses as scalars on the device, "loss" being their weighted sum."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.preset.objective, self.preset.optimisation, self.rate, moment)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, self.dtype or torch.bfloat16, enabled=self.dtype is not None):
            colour, mask, code, _ = self.model.reconstruct(examples.warped.contiguous(memory_format=torch.channels_last))
        parts = self.losses(colour, mask, code.float(), examples)
        parts["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters.values(), _MOST_GRADIENT)
        self.optimiser.step()
        self._follow(moment.iteration)
        return {name: value.detach() for name, value in parts.items()}

    def losses(self, colour: Tensor, mask: Tensor, code: Tensor, examples: Examples) -> dict[str, Tensor]:
        """The weighted sum "loss" and its parts, by the preset's weights; parts of weight 0 are not computed."""
        objective, weight = self.preset.objective, examples.mask * examples.emphasis
        colour = losses.inside(colour, examples.target, examples.mask)
        parts: dict[str, Tensor] = {}
        for name, factor in (("dssim", objective.dssim), ("l1", objective.l1), ("mse", objective.mse)):
            if factor:
                parts[name] = getattr(losses, name)(colour, examples.target, weight)
        parts["mask"] = losses.l1(mask, examples.mask, torch.ones_like(mask))
        if objective.agreement:
            parts["agreement"] = losses.agreement(code, len(self.model.decoders))
        parts["loss"] = torch.stack([getattr(objective, name) * value for name, value in parts.items()]).sum()
        return parts

    def _follow(self, iteration: int) -> None:
        """Moves the average towards the weights; faster at the start, when it would else keep the random beginning."""
        if self.average is None:
            return
        decay = min(self.preset.optimisation.ema, (iteration + 1) / (iteration + 10))
        averages: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def finite(self) -> bool:
        """True where every weight is a number."""
        return all(bool(torch.isfinite(p).all()) for p in self.parameters.values())
