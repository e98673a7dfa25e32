"""Optimisers against their formulas in float64; what dropout and a step that overflowed leave as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from fastswap.models import Optimisation
from fastswap.training.optimisers import Optimiser
from fastswap.training.precision import LossScale

CPU = torch.device("cpu")
PLAN = Optimisation(learning_rate=0.01, betas=(0.8, 0.95), clip=0.0)


def _network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 3, bias=False))


def _optimiser(network: nn.Module, plan: Optimisation = PLAN, scale: LossScale | None = None) -> Optimiser:
    return Optimiser(network, plan, plan.betas, torch.tensor(plan.learning_rate), scale=scale, seed=(3, 0))


def _loss(network: nn.Module, number: int) -> Tensor:
    x = torch.randn(4, 7, generator=torch.Generator().manual_seed(number))
    loss: Tensor = (network(x) - 1).square().mean()
    return loss


def _train(optimiser: Optimiser, network: nn.Module, steps: int, first: int = 0) -> None:
    for number in range(first, first + steps):
        optimiser.prepare(number)
        optimiser.backward(_loss(network, number))
        optimiser.step()


def _expected(kind: str, decay: float, steps: int) -> list[Tensor]:
    """The same training in float64, written out."""
    network = _network().double()
    weights = list(network.parameters())
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    (beta1, beta2), rate = PLAN.betas, PLAN.learning_rate
    for number in range(steps):
        x = torch.randn(4, 7, generator=torch.Generator().manual_seed(number)).double()
        gradients = torch.autograd.grad((network(x) - 1).square().mean(), weights)
        with torch.no_grad():
            for w, g, m, s in zip(weights, gradients, first, second, strict=True):
                if decay:
                    w -= rate * decay * w
                m += (1 - beta1) * (g - m)
                surprise = g - m if kind == "adabelief" else g
                s += (1 - beta2) * (surprise**2 - s) + (1e-16 if kind == "adabelief" else 0)
                epsilon = 1e-16 if kind == "adabelief" else 1e-8
                spread = (s / (1 - beta2 ** (number + 1))).sqrt() + epsilon
                w -= rate * m / (1 - beta1 ** (number + 1)) / spread
    return weights


@pytest.mark.parametrize(("kind", "decay"), [("adam", 0.0), ("adamw", 0.1), ("adabelief", 0.0), ("adabelief", 0.1)])
def test_they_follow_their_formulas(kind: str, decay: float) -> None:
    network = _network()
    optimiser = _optimiser(network, replace(PLAN, optimiser=kind, weight_decay=decay))
    _train(optimiser, network, 12)
    for weight, expected in zip(network.parameters(), _expected(kind, decay, 12), strict=True):
        torch.testing.assert_close(weight.double(), expected, rtol=2e-5, atol=2e-6)


def test_the_rate_is_read_at_each_step() -> None:
    network = _network()
    rate = torch.tensor(0.0)
    optimiser = Optimiser(network, PLAN, PLAN.betas, rate)
    before = [w.clone() for w in network.parameters()]
    _train(optimiser, network, 1)
    assert all(torch.equal(w, b) for w, b in zip(network.parameters(), before, strict=True))
    rate.fill_(0.1)
    _train(optimiser, network, 1)
    assert not any(torch.equal(w, b) for w, b in zip(network.parameters(), before, strict=True))


@pytest.mark.parametrize("kind", ["adam", "adabelief"])
def test_dropout_leaves_its_share_of_the_weights_as_they_were(kind: str) -> None:
    network = nn.Linear(100, 100)
    optimiser = _optimiser(network, replace(PLAN, optimiser=kind, dropout=0.7))
    left = []
    for number in range(2):
        before = network.weight.detach().clone()
        optimiser.prepare(number)
        optimiser.backward(
            (network(torch.randn(4, 100, generator=torch.Generator().manual_seed(number))) - 1).square().mean()
        )
        optimiser.step()
        left.append(network.weight == before)
    assert all(abs(one.float().mean().item() - 0.7) < 0.03 for one in left)
    assert abs((left[0] & left[1]).float().mean().item() - 0.49) < 0.03, "each iteration draws anew"
    moment = optimiser.inner.state[network.weight]["exp_avg"]
    assert (moment != 0).all(), "the moments are those of all weights"


def test_which_weights_are_dropped_follows_from_the_iteration() -> None:
    plan = replace(PLAN, dropout=0.5)
    whole, cut = _network(), _network()
    first, second = _optimiser(whole, plan), _optimiser(cut, plan)
    _train(first, whole, 6)
    _train(second, cut, 3)
    resumed = _optimiser(cut, plan)
    for (_, old), (_, new) in zip(second.state(), resumed.state(), strict=True):
        new.copy_(old)
    _train(resumed, cut, 3, first=3)
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), cut.parameters(), strict=True))


def test_gradients_are_cut_to_their_norm() -> None:
    for clip, left in ((0.0, None), (0.01, 0.01), (1e6, None)):
        network = _network()
        optimiser = _optimiser(network, replace(PLAN, clip=clip))
        optimiser.backward(_loss(network, 0))
        norm, missed = optimiser.step()
        first = [tensor for name, tensor in optimiser.state() if name.startswith("exp_avg.")]
        seen = nn.utils.get_total_norm(first) / (1 - PLAN.betas[0])
        assert seen.item() == pytest.approx(left or norm.item(), rel=1e-3)
        assert norm > 0.1, "the norm told is that before the cut"
        assert missed == 0


@pytest.mark.parametrize("kind", ["adam", "adamw", "adabelief"])
def test_a_step_that_overflows_leaves_everything_but_the_scale(kind: str) -> None:
    network, scale = _network(), LossScale(CPU)
    optimiser = _optimiser(network, replace(PLAN, optimiser=kind, weight_decay=0.1, clip=1.0), scale)
    _train(optimiser, network, 2)
    before = [tensor.clone() for tensor in (*network.parameters(), *dict(optimiser.state()).values())]
    first = scale.value.item()
    optimiser.backward(_loss(network, 2) * float("inf"))
    _, missed = optimiser.step()
    after = [*network.parameters(), *dict(optimiser.state()).values()]
    changed = [number for number, tensor in enumerate(after) if not torch.equal(tensor, before[number])]
    assert missed == 1
    assert [after[number].shape for number in changed] == [(), ()], "the scale and its count of calm steps"
    assert scale.value.item() == first / 2
    _train(optimiser, network, 1, first=3)
    assert all(tensor.isfinite().all() for tensor in network.parameters())


@pytest.mark.parametrize("kind", ["adam", "adabelief"])
def test_a_scale_changes_nothing_else(kind: str) -> None:
    plain, scaled = _network(), _network()
    plan = replace(PLAN, optimiser=kind, clip=0.05)
    _train(_optimiser(plain, plan), plain, 5)
    _train(_optimiser(scaled, plan, LossScale(CPU)), scaled, 5)
    for one, other in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
