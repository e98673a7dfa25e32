"""One step: who is moved by which loss, what a checkpoint of it holds, what is on in which phase."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from synthetic import TINY

from fastswap.models import DiscriminatorSpec, Preset, Schedule
from fastswap.training.examples import Examples
from fastswap.training.plan import Moment
from fastswap.training.step import Step

CPU = torch.device("cpu")
JUDGE = DiscriminatorSpec(size=32, channels=(8, 16), conditional=True)


def gan(adversary: str = "hinge", judge: DiscriminatorSpec = JUDGE, **changes: object) -> Preset:
    """The tiny preset against a discriminator."""
    penalties = {"r1": 1.0, "r2": 1.0} if adversary == "relativistic" else {}
    chosen = {"adversarial": 0.1, **penalties, **changes}
    objective = replace(TINY.objective, adversary=adversary, **chosen)  # type: ignore[arg-type]
    return replace(TINY, name="tiny-gan", discriminator=judge, objective=objective)


def examples(seed: int = 0, batch: int = 4, size: int = 32) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    warped, target = torch.rand(2, 2 * batch, 3, size, size, generator=generator)
    mask = (torch.rand(2 * batch, 1, size, size, generator=generator) > 0.3).float()
    return Examples(warped, target, mask, 1 + mask, torch.rand(2 * batch, generator=generator))


def _copies(step: Step) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in step.state().items()}


@pytest.mark.parametrize("precision", ["fp32", "auto"])
@pytest.mark.parametrize(
    "preset",
    [
        gan("hinge"),
        gan("lsgan", mask_hinge=0.1, mask_variation=0.1),
        gan("relativistic"),
        gan("hinge", replace(JUDGE, spectral=True, conditional=False)),
        gan("relativistic", replace(JUDGE, unet=True)),
        TINY,
    ],
    ids=["hinge", "lsgan", "relativistic", "spectral", "unet", "none"],
)
def test_all_weights_move_and_the_losses_are_numbers(preset: Preset, precision: str) -> None:
    step = Step(preset, 2, 0, CPU, precision=precision)
    before = _copies(step)
    for iteration in range(2):
        losses = step(examples(iteration), Moment(iteration, 0.5))
    assert all(torch.isfinite(value) for value in losses.values())
    still = [name for name, tensor in step.state().items() if torch.equal(tensor, before[name])]
    # real pulls the last bias as much as fake does; the left singular vector of one row is 1
    assert not [name for name in still if not re.search(r"judge.*bias$|_u$", name)]
    assert ("discriminator" in losses) == (preset.discriminator is not None)
    assert ("r1" in losses) == (preset.objective.r1 > 0)


def test_a_step_goes_on_from_its_state_to_the_same_bits() -> None:
    whole, cut = Step(gan(), 2, 0, CPU), Step(gan(), 2, 1, CPU)
    for iteration in range(3):
        whole(examples(iteration), Moment(iteration, iteration / 6))
    cut.restore(_copies(whole))
    for iteration in range(3, 6):
        for step in (whole, cut):
            step(examples(iteration), Moment(iteration, iteration / 6))
    ended = cut.state()
    assert all(torch.equal(tensor, ended[name]) for name, tensor in whole.state().items())


def test_no_gradient_outlives_the_step_not_even_those_of_a_judge_that_the_generator_learned_through() -> None:
    step = Step(gan(), 2, 0, CPU)
    step(examples(), Moment(0, 0.0))
    assert step.discriminators is not None
    assert all(p.grad is None for p in (*step.generator.parameters(), *step.discriminators.parameters()))


@pytest.mark.parametrize("adversary", ["hinge", "lsgan", "relativistic"])
def test_a_batch_worked_off_in_parts_gives_the_weights_of_the_whole(adversary: str) -> None:
    """The parts' masks are of different sizes, and `agreement` couples all codes."""
    preset = replace(gan(adversary), optimisation=replace(TINY.optimisation, clip=0.0, warm_up=0))
    whole, parts = Step(preset, 2, 0, CPU, precision="fp32"), Step(preset, 2, 0, CPU, precision="fp32", accumulate=4)
    shown = examples()
    shown = replace(shown, mask=shown.mask * torch.linspace(0.1, 1, 8)[:, None, None, None].round(decimals=1))
    losses = [step(shown, Moment(0, 0.0)) for step in (whole, parts)]
    for name, value in losses[0].items():
        assert losses[1][name] == pytest.approx(value.item(), rel=1e-4, abs=1e-6), name
    for optimiser, other in zip(whole.optimisers, parts.optimisers, strict=True):
        for (name, one), (_, two) in zip(optimiser.state(), other.state(), strict=True):
            if name.startswith("exp_avg."):  # the gradient, but for a factor
                torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-3 * one.abs().max().item() + 1e-8, msg=name)


def test_against_a_discriminator_that_learns_the_generator_gains() -> None:
    """The adversarial loss alone moves the generator towards what it is told is real: bright faces."""
    alone = gan("hinge", l1=0.0, dssim=0.0, mask=0.0, agreement=0.0)
    step = Step(replace(alone, objective=replace(alone.objective, adversarial=1.0)), 2, 0, CPU, precision="fp32")
    bright = replace(examples(), target=torch.full((8, 3, 32, 32), 0.9), mask=torch.ones(8, 1, 32, 32))
    first = step.generator.reconstruct(bright.warped).colour.mean().item()
    for iteration in range(60):
        step(bright, Moment(iteration, 0.2))
    assert step.generator.reconstruct(bright.warped).colour.mean().item() > first + 0.1


def test_a_loss_whose_schedule_is_at_zero_is_another_phase() -> None:
    later = gan(schedules=(Schedule("adversarial", (0.0, 0.5), (0.0, 1.0)),))
    step = Step(later, 2, 0, CPU)
    assert "adversarial" not in step.phase(Moment(0, 0.4))
    assert "adversarial" in step.phase(Moment(0, 0.5))
    before = _copies(step)
    assert "discriminator" not in step(examples(), Moment(0, 0.4))
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in step.state().items() if name.startswith("discriminators.")
    )


def test_weights_without_gradient_stay() -> None:
    step = Step(TINY, 2, 0, CPU, frozen=("encoder.",))
    before = _copies(step)
    step(examples(), Moment(0, 0.0))
    moved = {name for name, tensor in step.state().items() if not torch.equal(tensor, before[name])}
    assert moved
    assert not any("encoder" in name for name in moved)
