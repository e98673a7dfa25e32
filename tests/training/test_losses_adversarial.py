"""The adversaries' losses by hand, the gradient penalties against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from fastswap.training import losses


def _noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _maps(*examples: tuple[float, float]) -> list[Tensor]:
    """Two maps of different sizes whose means are those numbers: [n, 1, 1, 1] and [n, 1, 2, 2]."""
    first = torch.tensor([a for a, _ in examples]).view(-1, 1, 1, 1)
    second = torch.tensor([b for _, b in examples]).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return [first, second]


def test_hinge_counts_what_is_on_the_wrong_side_of_the_margin() -> None:
    real, fake = _maps((2.0, 0.5), (0.0, -1.0)), _maps((-2.0, 0.5), (0.0, -1.0))
    # real: map 1 (0 + 1) / 2, map 2 (0.5 + 2) / 2; fake: map 1 (0 + 1) / 2, map 2 (1.5 + 0) / 2
    assert losses.hinge_discriminator(real, fake).item() == pytest.approx((0.5 + 1.25) / 2 + (0.5 + 0.75) / 2)
    assert losses.hinge_generator(fake).item() == pytest.approx(-(-1.0 - 0.25) / 2)


def test_lsgan_wants_the_share_and_the_generator_its_opposite() -> None:
    logits, share = _maps((0.9, 0.5), (0.2, 0.0)), torch.tensor([1.0, 0.3])
    expected = ((0.01 + 0.01) / 2 + (0.25 + 0.09) / 2) / 2
    assert losses.lsgan_discriminator(logits, share).item() == pytest.approx(expected)
    opposite = ((0.81 + 0.25) / 2 + (0.25 + 0.49) / 2) / 2
    assert losses.lsgan_generator(logits, share).item() == pytest.approx(opposite)


def test_mixup_takes_its_share_of_the_true_picture_for_each_example() -> None:
    real, fake, share = torch.ones(2, 3, 4, 4), torch.zeros(4, 3, 4, 4), torch.tensor([0.25, 1.0])
    got = losses.mixed(real, fake, share)
    assert got[:, 0, 0, 0].tolist() == [0.25, 1.0, 0.25, 1.0]
    logits = [got[:, :1]]
    assert losses.lsgan_discriminator(logits, share).item() == 0


def test_relativistic_losses_compare_each_fake_with_its_own_example() -> None:
    real, fake = _maps((1.0, 2.0), (-1.0, 0.0)), _maps((0.5, 2.0), (0.0, 3.0), (1.0, 0.0), (2.0, -1.0))
    differences = [[-0.5, 1.0, 0.0, 3.0], [0.0, 3.0, -2.0, -1.0]]  # fake - real, for each map
    softplus = [[math.log1p(math.exp(x)) for x in row] for row in differences]
    opposite = [[math.log1p(math.exp(-x)) for x in row] for row in differences]
    got = losses.relativistic_discriminator(real, fake).item()
    assert got == pytest.approx(sum(map(sum, softplus)) / 8)
    assert losses.relativistic_generator(real, fake).item() == pytest.approx(sum(map(sum, opposite)) / 8)


def test_no_adversary_depends_on_how_the_batch_is_divided() -> None:
    real, fake, share = _noise(0, 4, 1, 3, 3), _noise(1, 4, 1, 3, 3), torch.rand(4)
    for loss, arguments in (
        (losses.hinge_discriminator, (real, fake)),
        (losses.relativistic_discriminator, (real, fake)),
        (losses.relativistic_generator, (real, fake)),
        (losses.hinge_generator, (fake,)),
    ):
        halves = [loss(*([x[part]] for x in arguments)) for part in (slice(2), slice(2, 4))]
        assert loss(*([x] for x in arguments)).item() == pytest.approx(float(sum(halves)) / 2, rel=1e-5)
    halves = [losses.lsgan_generator([fake[part]], share[part]) for part in (slice(2), slice(2, 4))]
    assert losses.lsgan_generator([fake], share).item() == pytest.approx(float(sum(halves)) / 2, rel=1e-5)


def test_what_is_judged_is_the_raw_picture_and_its_composition() -> None:
    colour, target = torch.full((2, 3, 4, 4), 0.8), torch.full((2, 3, 4, 4), 0.2)
    mask = torch.full((2, 1, 4, 4), 0.5, requires_grad=True)
    pictures = losses.judged(colour, mask, target)
    assert torch.equal(pictures[:2], colour)
    assert torch.allclose(pictures[2:], torch.tensor(0.5))
    pictures.sum().backward()
    assert mask.grad is not None
    assert torch.allclose(mask.grad, torch.tensor(3 * 0.6)), "colour - target, of three channels"


def test_the_penalty_of_a_linear_critic_is_half_its_squared_norm() -> None:
    weight, pictures = _noise(2, 3, 5, 5), _noise(3, 4, 3, 5, 5).requires_grad_()
    logits = (pictures * weight).sum(dim=(1, 2, 3), keepdim=True)
    assert losses.gradient_penalty([logits], pictures).item() == pytest.approx(weight.square().sum().item() / 2)
    twice = [logits, 3 * logits.expand(-1, 1, 2, 2)]  # the mean of the maps' means: 2 w x
    assert losses.gradient_penalty(twice, pictures).item() == pytest.approx(4 * weight.square().sum().item() / 2)


def test_the_penalty_of_a_quadratic_critic_can_be_differentiated_again() -> None:
    weight = torch.tensor(0.7, requires_grad=True)
    pictures = _noise(4, 4, 3, 5, 5).requires_grad_()
    penalty = losses.gradient_penalty([weight * pictures.square().sum(dim=(1, 2, 3), keepdim=True)], pictures)
    power = pictures.detach().square().sum().item() / 4
    assert penalty.item() == pytest.approx(2 * 0.7**2 * power, rel=1e-5)
    penalty.backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(4 * 0.7 * power, rel=1e-5)


def test_the_penaltys_gradient_is_that_of_finite_differences() -> None:
    pictures = _noise(5, 2, 1, 5, 5).double()

    def penalty(first: Tensor, second: Tensor) -> Tensor:
        x = pictures.clone().requires_grad_()
        hidden = torch.nn.functional.conv2d(x, first, stride=2).tanh()
        return losses.gradient_penalty([torch.nn.functional.conv2d(hidden, second), hidden[:, :1]], x)

    weights = (_noise(6, 2, 1, 3, 3).double().requires_grad_(), _noise(7, 1, 2, 1, 1).double().requires_grad_())
    assert torch.autograd.gradcheck(penalty, weights)


def _critic() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3, 2, 1))


def test_under_autocast_the_penalty_is_float32s_but_for_the_logits_rounding() -> None:
    critic, picture = _critic(), _noise(8, 4, 3, 16, 16)
    exact = losses.gradient_penalty([critic(x := picture.clone().requires_grad_())], x).item()
    with torch.autocast("cpu", torch.bfloat16):
        logits = critic(x := picture.clone().requires_grad_())
        penalty = losses.gradient_penalty([logits], x)
        assert logits.dtype == torch.bfloat16
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(exact, rel=0.05)
    penalty.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in critic[0].parameters() if p.ndim > 1)


def test_the_loss_scale_saves_a_small_gradient_from_float16_and_leaves_the_result_alone() -> None:
    weight = torch.full((16, 16), 2.0**-18, requires_grad=True)
    pictures = torch.ones(2, 1, 16, 16, requires_grad=True)

    def penalty(scale: Tensor | None) -> Tensor:
        return losses.gradient_penalty([pictures.half() * weight.half()], pictures, scale)

    expected = 256 * (2.0**-18 / 256) ** 2 / 2
    assert penalty(None).item() == 0, "the case is one that underflows"
    scaled = penalty(torch.tensor(2.0**16))
    assert scaled.item() == pytest.approx(expected, rel=1e-4)
    (2.0**30 * scaled).backward()
    assert weight.grad is not None
    assert weight.grad.mean().item() == pytest.approx(2.0**30 * 2 * expected / 256 / 2.0**-18, rel=1e-2)


def test_no_loss_reads_the_device() -> None:
    """On tensors without values a read fails."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        real, fake, share = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 8, 8, requires_grad=True), torch.rand(2)
        logits = [fake.mean(dim=1, keepdim=True)]
        other = [real.mean(dim=1, keepdim=True)]
        total = (
            losses.hinge_discriminator(other, logits)
            + losses.relativistic_generator(other, logits)
            + losses.lsgan_generator(logits, share)
            + losses.mixed(real, fake, share).mean()
            + losses.gradient_penalty(logits, fake, torch.tensor(8.0))
        )
        total.backward()
