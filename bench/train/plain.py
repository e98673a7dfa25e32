"""A training step of the same networks as one writes it in plain PyTorch: eager, autocast, a plain optimiser, and every
loss read as it is made. It is what fastswap's step is measured against.

The networks, the losses and their schedules are fastswap's own, so that both steps do the same work (a test holds their
losses together). What is plain is how they are run: no fused or capturable optimiser (on a GPU torch takes `foreach` by
itself), numbers on the host, `.item()` of every loss, an average weight by weight, one process."""

from __future__ import annotations

import copy
from collections.abc import Set
from typing import TypeVar

import torch
from torch import Tensor, nn

from fastswap.models import Discriminator, Preset, Reconstruction, SwapModel
from fastswap.training import losses, schedule
from fastswap.training.adversary import PENALTIES, Scene, discriminator_terms, generator_term
from fastswap.training.examples import Examples
from fastswap.training.plan import Moment
from fastswap.training.precision import choose_precision

_Network = TypeVar("_Network", bound=nn.Module)


class PlainStep:
    """channels_last: the layout of weights and pictures, else NCHW. All presets train with Adam: so does this."""

    def __init__(
        self,
        preset: Preset,
        sides: int,
        seed: int,
        device: torch.device,
        *,
        channels_last: bool = True,
        precision: str = "auto",
    ) -> None:
        self.preset, self.sides, self.device = preset, sides, device
        self.precision = choose_precision(precision, device)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        torch.manual_seed(seed)
        self.generator = self._place(SwapModel(preset.generator, sides))
        self.discriminators = self._place(self._make_discriminators())
        if not channels_last:
            _keep_planar([self.generator.encoder.up, *self.discriminators])
        optimisation = preset.optimisation
        self.average = copy.deepcopy(self.generator).requires_grad_(False) if optimisation.ema else None
        self.optimiser = torch.optim.Adam(self.generator.parameters(), betas=optimisation.betas)
        judges = self.discriminators.parameters()
        self.opponent = (
            torch.optim.Adam(judges, betas=optimisation.discriminator_betas) if preset.discriminator else None
        )
        half = self.precision.dtype is torch.float16
        self.scalers = [torch.amp.GradScaler(device.type, enabled=half) for _ in range(2)]

    def _make_discriminators(self) -> nn.ModuleList:
        spec = self.preset.discriminator
        return nn.ModuleList() if spec is None else nn.ModuleList(Discriminator(spec) for _ in range(self.sides))

    def _place(self, network: _Network) -> _Network:
        placed: _Network = network.to(device=self.device, memory_format=self.layout)  # type: ignore[call-overload]
        return placed

    def __call__(self, examples: Examples, moment: Moment) -> dict[str, float]:
        """Trains on one batch; returns the losses by the names that `Step.compute` has for them."""
        numbers = schedule.numbers(self.preset, self.preset.optimisation.learning_rate, moment)
        terms = frozenset(schedule.weights(self.preset.objective, moment))
        with self.precision.autocast():
            output = self.generator.reconstruct(examples.warped.contiguous(memory_format=self.layout))
        values = self._oppose(examples, output, terms, numbers) if "adversarial" in terms else {}
        values |= self._generate(examples, output, terms, numbers)
        self._follow(numbers["following"])
        return values

    def _oppose(
        self, examples: Examples, output: Reconstruction, terms: Set[str], numbers: dict[str, float]
    ) -> dict[str, float]:
        assert self.opponent is not None
        self.discriminators.requires_grad_(True)
        scene = Scene.of(self.preset, examples, output)
        wide = bool(PENALTIES & terms) and self.precision.dtype is torch.float16  # too narrow for a second derivative
        with self.precision.autocast(enabled=not wide):
            parts = discriminator_terms(self.discriminators, self.preset, scene, terms)
        total = parts["discriminator"] + sum(numbers[name] * parts[name] for name in sorted(PENALTIES & terms))
        self._descend(self.opponent, self.scalers[1], total, numbers["discriminator_rate"])
        self.discriminators.requires_grad_(False)
        return {name: value.item() for name, value in parts.items()}

    def _generate(
        self, examples: Examples, output: Reconstruction, terms: Set[str], numbers: dict[str, float]
    ) -> dict[str, float]:
        margin = torch.tensor(numbers["mask_margin"], device=self.device)
        parts = losses.reconstruction_terms(terms, output, examples, losses.totals(examples), margin)
        if "agreement" in terms:
            parts["agreement"] = losses.agreement(output.code.float(), self.sides)
        if "adversarial" in terms:
            with self.precision.autocast():
                scene = Scene.of(self.preset, examples, output)
                parts["adversarial"] = generator_term(self.discriminators, self.preset, scene)
        total = torch.stack([numbers[name] * value for name, value in parts.items()]).sum()
        self._descend(self.optimiser, self.scalers[0], total, numbers["rate"])
        return {"loss": total.item(), **{name: value.item() for name, value in parts.items()}}

    def _descend(self, optimiser: torch.optim.Adam, scaler: torch.amp.GradScaler, loss: Tensor, rate: float) -> None:
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimiser)
        if self.preset.optimisation.clip:
            weights = [weight for group in optimiser.param_groups for weight in group["params"]]
            nn.utils.clip_grad_norm_(weights, self.preset.optimisation.clip)
        scaler.step(optimiser)
        scaler.update()

    @torch.no_grad()
    def _follow(self, share: float) -> None:
        if self.average is None:
            return
        for average, weight in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            average.lerp_(weight, share)


def _keep_planar(modules: list[nn.Module]) -> None:
    """Undoes the layout that the networks and the scene bring along, before modules where it would spread."""

    def planar(module: nn.Module, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        return tuple(None if picture is None else picture.contiguous() for picture in inputs)

    for module in modules:
        module.register_forward_pre_hook(planar)
