"""The discriminators' part of a step: one a side, each judging the faces of its own side.

What they are shown of the generator's work is its colours inside of the mesh's mask, over the true surroundings: the
face is what a swap keeps, and no capacity goes into a background that nobody asks for. Where a preset gives its mask to
the adversary (`mask_hinge` holds against it), they also see the composition by the network's own mask."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastswap.models import Preset, Reconstruction
from fastswap.training import losses
from fastswap.training.examples import Examples

PENALTIES = frozenset(("r1", "r2"))


@dataclass(frozen=True)
class Scene:
    """What the discriminators look at, all sides, side after side: real pictures [n, 3, out, out], fakes [k n, 3, out,
    out], k times the same examples, the conditions [n, 3, out, out] that they came from (None: none are seen), and
    mixup's shares [n]."""

    real: Tensor
    fake: Tensor
    condition: Tensor | None
    mix: Tensor

    @staticmethod
    def of(preset: Preset, examples: Examples, output: Reconstruction) -> Scene:
        """The scene of a batch and of what the generator made of it, with its graph."""
        target = examples.target
        fake = losses.inside(output.colour, target, examples.mask)
        if preset.objective.mask_hinge:
            fake = losses.judged(fake, output.mask, target)
        condition = None
        if preset.discriminator is not None and preset.discriminator.conditional:
            condition = functional.interpolate(examples.warped, target.shape[-2:], mode="bilinear", antialias=True)
        mix = torch.ones_like(target[:, 0, 0, 0]) if examples.mix is None else examples.mix
        return Scene(target, fake, condition, mix)

    def judge(self, discriminators: nn.ModuleList, pictures: Tensor) -> list[Tensor]:
        """The logits of pictures [k n, 3, out, out] by the discriminators of their sides: maps [k n, 1, h, w]."""
        sides, times = len(discriminators), len(pictures) // len(self.real)
        condition = None if self.condition is None else self.condition.repeat(times, 1, 1, 1)

        def of(batch: Tensor, side: int) -> Tensor:
            part = batch.reshape(times, sides, -1, *batch.shape[1:])[:, side].flatten(0, 1)
            return part.contiguous(memory_format=torch.channels_last)

        judged = [
            network(of(pictures, side), None if condition is None else of(condition, side))
            for side, network in enumerate(discriminators)
        ]
        return [_joined(maps, times) for maps in zip(*judged, strict=True)]


def _joined(maps: tuple[Tensor, ...], times: int) -> Tensor:
    """The maps of each side, [k B, 1, h, w], in the order of the pictures: [k n, 1, h, w]."""
    sides = torch.stack([side.reshape(times, -1, *side.shape[1:]) for side in maps], dim=1)
    return sides.flatten(0, 2)


def discriminator_terms(
    discriminators: nn.ModuleList, preset: Preset, scene: Scene, terms: Set[str]
) -> dict[str, Tensor]:
    """What the discriminators learn from: "discriminator", and those of "r1" and "r2" that are among the terms."""
    kind, real, fake = preset.objective.adversary, scene.real, scene.fake.detach()
    if kind == "lsgan":
        real = fake = losses.mixed(real, fake, scene.mix)
    if PENALTIES & terms:
        real, fake = (pictures.detach().requires_grad_() for pictures in (real, fake))
    fake_logits = scene.judge(discriminators, fake)
    if kind == "lsgan":
        real, real_logits = fake, fake_logits
        parts = {"discriminator": losses.lsgan_discriminator(fake_logits, scene.mix)}
    else:
        real_logits = scene.judge(discriminators, real)
        between = losses.hinge_discriminator if kind == "hinge" else losses.relativistic_discriminator
        parts = {"discriminator": between(real_logits, fake_logits)}
    for name, pictures, logits in (("r1", real, real_logits), ("r2", fake, fake_logits)):
        if name in terms:
            parts[name] = losses.gradient_penalty(logits, pictures)
    return parts


def generator_term(discriminators: nn.ModuleList, preset: Preset, scene: Scene) -> Tensor:
    """What the generator learns from the discriminators."""
    kind = preset.objective.adversary
    if kind == "lsgan":
        pictures = losses.mixed(scene.real, scene.fake, scene.mix)
        return losses.lsgan_generator(scene.judge(discriminators, pictures), scene.mix)
    fake = scene.judge(discriminators, scene.fake)
    if kind == "hinge":
        return losses.hinge_generator(fake)
    with torch.no_grad():
        real = scene.judge(discriminators, scene.real)
    return losses.relativistic_generator(real, fake)
