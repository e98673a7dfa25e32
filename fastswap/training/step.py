"""One step of training: the generator's forward pass, the discriminators' losses, backward pass and step, then the
generator's, and the moving average. Everything in it is a function of the weights, the optimisers' moments, the
examples and the iteration number, so that a run that was cut short goes on to the same weights. Nothing in it reads
the device, so that it can be captured (`engine.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import TypeVar

import torch
from torch import Tensor, nn

from fastswap.models import AVERAGE, WEIGHTS, Discriminator, Preset, Reconstruction, SwapModel
from fastswap.training import losses, parallel
from fastswap.training.accumulation import Means, whole_codes
from fastswap.training.adversary import PENALTIES, Scene, discriminator_terms, generator_term
from fastswap.training.controls import Controls
from fastswap.training.examples import Examples
from fastswap.training.optimisers import Optimiser
from fastswap.training.plan import Moment
from fastswap.training.precision import choose_precision
from fastswap.training.schedule import CONTROLS, numbers, weights

_Network = TypeVar("_Network", bound=nn.Module)
_DISCRIMINATORS = "discriminators."
GENERATOR_STATE = "generator."
"""How the names of the generator's moments begin in a step's state."""
_DISCRIMINATORS_STATE = "discriminators_state."


class Step:
    """The networks in training. `discriminators`: one a side, None where the preset has none; `average`: the moving
    average of the generator's weights, None where the preset keeps none.

    rate: the learning rate that the schedule starts from (None: the preset's); precision: see `choose_precision`;
    frozen: how the names of those of the generator's weights begin that are not trained; accumulate: in how many parts
    a batch is worked off, for memory's sake; perceptual: the user's network for the loss of that name.

    With several ranks the examples are this rank's; gradients and what couples examples go through `parallel`."""

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
        accumulate: int = 1,
        perceptual: losses.Perceptual | None = None,
    ) -> None:
        self.preset, self.sides, self.device, self.accumulate = preset, sides, device, accumulate
        self.rate = preset.optimisation.learning_rate if rate is None else rate
        self.precision = choose_precision(precision, device)
        self.perceptual = perceptual
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator = _place(SwapModel(preset.generator, sides), device)
            self.discriminators = self._discriminators()
        for name, parameter in self.generator.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(frozen)))
        self.reconstruct: Callable[[Tensor], Reconstruction] = self.generator.reconstruct
        self.average = self._average()
        self.controls = Controls(CONTROLS, device)
        self.faults = torch.zeros((), device=device)
        self.optimiser, self.opponent = self._optimisers(seed)

    def _discriminators(self) -> nn.ModuleList | None:
        spec = self.preset.discriminator
        if spec is None:
            return None
        return _place(nn.ModuleList(Discriminator(spec) for _ in range(self.sides)), self.device)

    def _average(self) -> SwapModel | None:
        if not self.preset.optimisation.ema:
            return None
        average = _place(SwapModel(self.preset.generator, self.sides), self.device)
        average.load_state_dict(self.generator.state_dict())
        return average.requires_grad_(False)

    def _optimisers(self, seed: int) -> tuple[Optimiser, Optimiser | None]:
        """That of the generator and that of the discriminators."""
        optimisation, scale = self.preset.optimisation, self.precision.scale
        optimiser = Optimiser(
            *(self.generator, optimisation, optimisation.betas, self.controls["rate"]), scale=scale(), seed=(seed, 0)
        )
        if self.discriminators is None:
            return optimiser, None
        betas, rate = optimisation.discriminator_betas, self.controls["discriminator_rate"]
        return optimiser, Optimiser(self.discriminators, optimisation, betas, rate, scale=scale(), seed=(seed, 1))

    @property
    def optimisers(self) -> list[Optimiser]:
        return [self.optimiser] if self.opponent is None else [self.optimiser, self.opponent]

    @property
    def shown(self) -> SwapModel:
        """The network that previews and `convert` use."""
        return self.average if self.average is not None else self.generator

    def __call__(self, examples: Examples, moment: Moment) -> dict[str, Tensor]:
        """Trains on one batch; returns what `compute` does."""
        self.prepare(moment)
        return self.compute(examples, self.phase(moment))

    def phase(self, moment: Moment) -> frozenset[str]:
        """Which losses are there at this moment: what is on or off, and so what a captured step depends on."""
        return frozenset(weights(self.preset.objective, moment))

    def prepare(self, moment: Moment) -> None:
        """Tells the device what the step to come is like."""
        self.controls.write(numbers(self.preset, self.rate, moment))
        for optimiser in self.optimisers:
            optimiser.prepare(moment.iteration)

    def compute(self, examples: Examples, terms: Set[str]) -> dict[str, Tensor]:
        """The step itself, with the losses in `terms`, once it is prepared: work for the device alone. The losses as
        scalars on the device, "loss" being the generator's weighted sum; the norms of the gradients, "gradient" and
        "discriminator_gradient"; and how many steps so far had a loss or a gradient that was not a number, "faults"."""
        pieces = examples.split(self.accumulate, self.sides)
        totals = losses.Totals(parallel.average(losses.totals(examples, self.accumulate).sums))
        with torch.set_grad_enabled(self.accumulate == 1):  # else with a graph later, part by part
            outputs = [self._reconstruct(piece) for piece in pieces]
        parts = self._oppose(pieces, outputs, terms) if "adversarial" in terms else {}
        parts |= self._generate(pieces, outputs, totals, terms)
        parts["faults"] = self.faults
        together = parallel.average(torch.stack([value.float() for value in parts.values()]))
        return dict(zip(parts, together.unbind(), strict=True))

    def _reconstruct(self, examples: Examples) -> Reconstruction:
        with self.precision.autocast():
            return self.reconstruct(examples.warped.contiguous(memory_format=torch.channels_last))

    def _oppose(self, pieces: list[Examples], outputs: list[Reconstruction], terms: Set[str]) -> dict[str, Tensor]:
        """One step of the discriminators. With a penalty on their gradients they run in float32 where float16 would be
        the choice: its exponents are too narrow for gradients of gradients."""
        assert self.discriminators is not None
        assert self.opponent is not None
        means = Means(self.accumulate)
        wide = bool(PENALTIES & terms) and self.opponent.scale is not None
        for number, (piece, output) in enumerate(zip(pieces, outputs, strict=True)):
            scene = Scene.of(self.preset, piece, output)
            with self.precision.autocast(enabled=not wide):
                parts = discriminator_terms(self.discriminators, self.preset, scene, terms)
            penalties = [self.controls[name] * parts[name] for name in sorted(PENALTIES & terms)]
            total = torch.stack([parts["discriminator"], *penalties]).sum()
            self.opponent.backward(total / self.accumulate, last=number == self.accumulate - 1)
            means.add(parts)
        norm, _ = self.opponent.step()
        self._note(means.values["discriminator"], norm, scaled=self.opponent.scale is not None)
        return {**means.values, "discriminator_gradient": norm}

    def _generate(
        self, pieces: list[Examples], outputs: list[Reconstruction], totals: losses.Totals, terms: Set[str]
    ) -> dict[str, Tensor]:
        """One step of the generator and of its average."""
        means = Means(self.accumulate)
        codes = [output.code.detach().float() for output in outputs]
        for number, piece in enumerate(pieces):
            output = outputs[number] if self.accumulate == 1 else self._reconstruct(piece)
            code = whole_codes(codes, number, output.code.float(), self.sides)
            parts = self.losses(output._replace(code=code), piece, totals, terms)
            parts["loss"] = torch.stack([self.controls[name] * value for name, value in parts.items()]).sum()
            self.optimiser.backward(parts["loss"] / self.accumulate, last=number == self.accumulate - 1)
            means.add(parts)
        norm, missed = self.optimiser.step()
        self._note(means.values["loss"], norm, scaled=self.optimiser.scale is not None)
        self._follow(1 - missed)
        return {**means.values, "gradient": norm}

    def losses(
        self,
        output: Reconstruction,  # its codes those of the whole step
        examples: Examples,
        totals: losses.Totals,
        terms: Set[str],
    ) -> dict[str, Tensor]:
        """The generator's losses in `terms`, unweighted."""
        parts = losses.reconstruction_terms(
            terms, output, examples, totals, self.controls["mask_margin"], self.perceptual
        )
        if "agreement" in terms:
            parts["agreement"] = losses.agreement(parallel.gather(output.code, self.sides), self.sides)
        if "adversarial" in terms:
            assert self.discriminators is not None
            with self.precision.autocast():
                scene = Scene.of(self.preset, examples, output)
                parts["adversarial"] = generator_term(self.discriminators, self.preset, scene)
        return parts

    def _note(self, loss: Tensor, norm: Tensor, *, scaled: bool) -> None:
        """Counts a step that was not of numbers. A gradient that overflows under a loss scale is no fault."""
        sound = loss.isfinite() if scaled else loss.isfinite() & norm.isfinite()
        self.faults += 1 - sound.to(self.faults.dtype)

    @torch.no_grad()
    def _follow(self, share: Tensor) -> None:
        """Moves the average towards the weights, but for those that are frozen, by `share` of what this moment asks
        for."""
        if self.average is None:
            return
        averages: list[Tensor] = [self.average.get_parameter(name) for name in self.optimiser.parameters]
        share = self.controls["following"] * share
        torch._foreach_lerp_(averages, list(self.optimiser.parameters.values()), [share] * len(averages))

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, by name: the tensors themselves, not copies."""
        named = [(WEIGHTS, self.generator.state_dict()), (GENERATOR_STATE, dict(self.optimiser.state()))]
        if self.average is not None:
            named.append((AVERAGE, self.average.state_dict()))
        if self.discriminators is not None and self.opponent is not None:
            named.append((_DISCRIMINATORS, self.discriminators.state_dict()))
            named.append((_DISCRIMINATORS_STATE, dict(self.opponent.state())))
        return {prefix + name: tensor for prefix, tensors in named for name, tensor in tensors.items()}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts back what `state` gave, in place. Raises KeyError or RuntimeError where it does not fit."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])


def _place(network: _Network, device: torch.device) -> _Network:
    placed: _Network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed
