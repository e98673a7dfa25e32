"""One step of training: examples, forward, losses, backward, Adam, moving average. Everything in it is a function of
the weights, the optimiser's moments and the iteration number, so that a run that was cut short goes on to the same
weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastswap.models import Preset, SwapModel
from fastswap.training import losses

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


def learning_rate(preset: Preset, base: float, iteration: int, total: int | None) -> float:
    """The rate of iteration `iteration` (from 0) of `total`: a linear warm-up, a plateau up to the fraction `hold` of
    the run, a half cosine down to 1 % of the base. total None: not known yet, which is before the plateau's end."""
    rate = base * min(1.0, (iteration + 1) / (preset.warm_up + 1))
    if total is None or iteration < preset.hold * total:
        return rate
    return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * _decline(preset, iteration, total))))


def jitter_strength(preset: Preset, iteration: int, total: int | None) -> float:
    """The share of the geometric jitter at an iteration: all of it on the plateau, where it makes the sides share a
    code, falling to `settle` at the end, where it would only blur."""
    return 1.0 if total is None else 1 - (1 - preset.settle) * _decline(preset, iteration, total)


def _decline(preset: Preset, iteration: int, total: int) -> float:
    """0 on the plateau, rising to 1 at the end of the run."""
    return min(max((iteration - preset.hold * total) / max(total * (1 - preset.hold), 1), 0.0), 1.0)


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
            model = SwapModel(preset, sides)
        self.preset = preset
        self.rate = rate
        self.device = device
        self.dtype = autocast_dtype(device)
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = dict(self.model.named_parameters())
        self.optimiser = torch.optim.Adam(self.parameters.values(), lr=rate, betas=preset.betas, fused=True)
        self.average: SwapModel | None = None
        if preset.ema:
            self.average = SwapModel(preset, sides).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.average.load_state_dict(self.model.state_dict())
            self.average.requires_grad_(False)

    @property
    def shown(self) -> nn.Module:
        """The network that previews and `convert` use."""
        return self.average if self.average is not None else self.model

    def __call__(self, examples: Examples, iteration: int, total: int | None) -> dict[str, Tensor]:
        """Trains on one batch; returns the losses as scalars on the device, "loss" being their weighted sum."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.preset, self.rate, iteration, total)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, self.dtype or torch.bfloat16, enabled=self.dtype is not None):
            colour, mask, code = self.model.reconstruct(examples.warped.contiguous(memory_format=torch.channels_last))
        parts = self.losses(colour, mask, code.float(), examples)
        parts["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters.values(), _MOST_GRADIENT)
        self.optimiser.step()
        self._follow(iteration)
        return {name: value.detach() for name, value in parts.items()}

    def losses(self, colour: Tensor, mask: Tensor, code: Tensor, examples: Examples) -> dict[str, Tensor]:
        """The weighted sum "loss" and its parts, by the preset's weights; parts of weight 0 are not computed."""
        preset, weight = self.preset, examples.mask * examples.emphasis
        colour = losses.inside(colour, examples.target, examples.mask)
        parts: dict[str, Tensor] = {}
        for name, factor in (("dssim", preset.dssim), ("l1", preset.l1), ("mse", preset.mse)):
            if factor:
                parts[name] = getattr(losses, name)(colour, examples.target, weight)
        parts["mask"] = losses.l1(mask, examples.mask, torch.ones_like(mask))
        if preset.agreement:
            parts["agreement"] = losses.agreement(code, len(self.model.decoders))
        parts["loss"] = torch.stack([getattr(preset, name) * value for name, value in parts.items()]).sum()
        return parts

    def _follow(self, iteration: int) -> None:
        """Moves the average towards the weights; faster at the start, when it would else keep the random beginning."""
        if self.average is None:
            return
        decay = min(self.preset.ema, (iteration + 1) / (iteration + 10))
        averages: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def finite(self) -> bool:
        """True where every weight is a number."""
        return all(bool(torch.isfinite(p).all()) for p in self.parameters.values())
