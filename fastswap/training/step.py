"""One step of training: the generator's forward pass, the discriminators' losses, backward pass and step, then the
generator's, and the moving average. Everything in it is a function of the weights, the optimisers' moments, the
examples and the iteration number, so that a run that was cut short goes on to the same weights. Nothing in it reads
the device, so that it can be captured (`engine.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from fastswap.models import AVERAGE, WEIGHTS, Discriminator, Preset, Reconstruction, SwapModel
from fastswap.training import losses
from fastswap.training.adversary import PENALTIES, Scene, discriminator_terms, generator_term
from fastswap.training.controls import Controls
from fastswap.training.examples import Examples
from fastswap.training.optimisers import Optimiser
from fastswap.training.plan import Moment
from fastswap.training.schedule import CONTROLS, numbers, weights

_Network = TypeVar("_Network", bound=nn.Module)
_DTYPES = {"fp32": None, "bf16": torch.bfloat16}
GENERATOR_STATE = "generator."
"""How the names of the generator's moments begin in a step's state."""
_DISCRIMINATORS = "discriminators."
_DISCRIMINATORS_STATE = "discriminators_state."


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """What the convolutions are computed in: bfloat16 where the hardware multiplies it, else None for float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else None


def alone(gradients: list[Tensor]) -> None:
    """What `Step.synchronise` is where there is one process."""


class Step:
    """The networks in training. `discriminators`: one a side, None where the preset has none; `average`: the moving
    average of the generator's weights, None where the preset keeps none.

    frozen: how the names of those of the generator's weights begin that are not trained. `synchronise` is called with
    the gradients of the discriminators, then with those of the generator, after the backward pass and before they are
    cut: to replace them, in place, by their mean over the ranks."""

    def __init__(
        self,
        preset: Preset,
        sides: int,
        seed: int,
        device: torch.device,
        *,
        rate: float | None = None,
        precision: str = "auto",
        frozen: Sequence[str] = (),
    ) -> None:
        self.preset, self.sides, self.device = preset, sides, device
        self.rate = preset.optimisation.learning_rate if rate is None else rate
        self.dtype = autocast_dtype(device) if precision == "auto" else _DTYPES[precision]
        self.synchronise: Callable[[list[Tensor]], None] = alone
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator = _place(SwapModel(preset.generator, sides), device)
            self.discriminators = self._discriminators()
        for name, parameter in self.generator.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(frozen)))
        self.average: SwapModel | None = None
        if preset.optimisation.ema:
            self.average = _place(SwapModel(preset.generator, sides), device)
            self.average.load_state_dict(self.generator.state_dict())
            self.average.requires_grad_(False)
        self.controls = Controls(CONTROLS, device)
        optimisation, controls = preset.optimisation, self.controls
        self.optimiser = Optimiser(self.generator, optimisation, optimisation.betas, controls["rate"])
        self.opponent: Optimiser | None = None
        if self.discriminators is not None:
            betas = optimisation.discriminator_betas
            self.opponent = Optimiser(self.discriminators, optimisation, betas, controls["discriminator_rate"])

    def _discriminators(self) -> nn.ModuleList | None:
        spec = self.preset.discriminator
        if spec is None:
            return None
        return _place(nn.ModuleList(Discriminator(spec) for _ in range(self.sides)), self.device)

    @property
    def shown(self) -> SwapModel:
        """The network that previews and `convert` use."""
        return self.average if self.average is not None else self.generator

    def __call__(self, examples: Examples, moment: Moment) -> dict[str, Tensor]:
        """Trains on one batch; returns the losses as scalars on the device, "loss" being the generator's weighted
        sum."""
        self.prepare(moment)
        return self.compute(examples, self.phase(moment))

    def phase(self, moment: Moment) -> frozenset[str]:
        """Which losses are there at this moment: what is on or off, and so what a captured step depends on."""
        return frozenset(weights(self.preset.objective, moment))

    def prepare(self, moment: Moment) -> None:
        """Writes the controls of the step to come."""
        self.controls.write(numbers(self.preset, self.rate, moment), moment.iteration)

    def compute(self, examples: Examples, terms: Set[str]) -> dict[str, Tensor]:
        """The step itself, with the losses in `terms`, once the controls are written: work for the device alone."""
        with self._autocast():
            output = self.generator.reconstruct(examples.warped.contiguous(memory_format=torch.channels_last))
        scene = Scene.of(self.preset, examples, output) if "adversarial" in terms else None
        parts = self._oppose(scene, terms) if scene is not None else {}
        parts |= self._generate(output, examples, scene, terms)
        self._follow()
        return {name: value.detach() for name, value in parts.items()}

    def _oppose(self, scene: Scene, terms: Set[str]) -> dict[str, Tensor]:
        """One step of the discriminators. With a penalty on their gradients they run in float32."""
        assert self.discriminators is not None
        assert self.opponent is not None
        self.opponent.clear()
        with self._autocast(enabled=not PENALTIES & terms):
            parts = discriminator_terms(self.discriminators, self.preset, scene, terms)
        penalties = [self.controls[name] * parts[name] for name in sorted(PENALTIES & terms)]
        torch.stack([parts["discriminator"], *penalties]).sum().backward(  # type: ignore[no-untyped-call]
            inputs=list(self.opponent.parameters.values())
        )
        self.synchronise(self.opponent.gradients())
        self.opponent.step()
        return parts

    def _generate(
        self, output: Reconstruction, examples: Examples, scene: Scene | None, terms: Set[str]
    ) -> dict[str, Tensor]:
        """One step of the generator."""
        self.optimiser.clear()
        parts = self.losses(output, examples, terms)
        if scene is not None:
            assert self.discriminators is not None
            with self._autocast():
                parts["adversarial"] = generator_term(self.discriminators, self.preset, scene)
        parts["loss"] = torch.stack([self.controls[name] * value for name, value in parts.items()]).sum()
        parts["loss"].backward(inputs=list(self.optimiser.parameters.values()))  # type: ignore[no-untyped-call]
        self.synchronise(self.optimiser.gradients())
        self.optimiser.step()
        return parts

    def losses(self, output: Reconstruction, examples: Examples, terms: Set[str]) -> dict[str, Tensor]:
        """Those of the generator's losses in `terms` that need no discriminator, unweighted."""
        parts = losses.reconstruction_terms(
            terms, output, examples, losses.totals(examples), self.controls["mask_margin"]
        )
        if "agreement" in terms:
            parts["agreement"] = losses.agreement(output.code.float(), self.sides)
        return parts

    def _autocast(self, *, enabled: bool = True) -> torch.autocast:
        return torch.autocast(
            self.device.type, self.dtype or torch.bfloat16, enabled=enabled and self.dtype is not None
        )

    @torch.no_grad()
    def _follow(self) -> None:
        """Moves the average towards the weights, but for those that are frozen."""
        if self.average is None:
            return
        averages: list[Tensor] = [self.average.get_parameter(name) for name in self.optimiser.parameters]
        apart = torch._foreach_sub(list(self.optimiser.parameters.values()), averages)
        torch._foreach_mul_(apart, self.controls["following"])
        torch._foreach_add_(averages, apart)

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, by name: the tensors themselves, not copies."""
        parts = [_named(WEIGHTS, self.generator.state_dict()), _named(GENERATOR_STATE, dict(self.optimiser.state()))]
        if self.average is not None:
            parts.append(_named(AVERAGE, self.average.state_dict()))
        if self.discriminators is not None and self.opponent is not None:
            parts.append(_named(_DISCRIMINATORS, self.discriminators.state_dict()))
            parts.append(_named(_DISCRIMINATORS_STATE, dict(self.opponent.state())))
        return dict(chain.from_iterable(part.items() for part in parts))

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts back what `state` gave, in place. Raises KeyError or RuntimeError where it does not fit."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])

    def finite(self) -> bool:
        """True where every weight is a number."""
        return all(bool(torch.isfinite(p).all()) for p in self.generator.parameters())


def _place(network: _Network, device: torch.device) -> _Network:
    placed: _Network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}
