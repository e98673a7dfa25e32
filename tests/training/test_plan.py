"""The length of a run and the learning rate over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastswap.models import LITE, Checkpoint
from fastswap.training.plan import Plan
from fastswap.training.step import jitter_strength, learning_rate


def _checkpoint(iteration: int, plan: Plan) -> Checkpoint:
    return Checkpoint(Path("step"), iteration, plan.numbers())


def test_a_plan_survives_its_checkpoint() -> None:
    for plan in (Plan(3, 40, 60.0, 12.5), Plan(0, None, 60.0, 1.0), Plan(0, 40), Plan()):
        assert Plan.of(_checkpoint(7, plan)) == plan


def test_minutes_decide_the_total_when_the_plateau_is_over() -> None:
    plan = Plan.resume(None, None, minutes=1.0, default=1000)
    for iteration in range(1, 301):
        assert plan.total is None
        plan = plan.advance(iteration, 0.1, hold=0.5)
    assert plan.total == 600
    assert plan.advance(301, 9.9, 0.5).total == 600, "once decided it stays"
    assert not plan.finished(599)
    assert plan.finished(600)


def test_a_budget_that_was_cut_short_goes_on() -> None:
    cut = Plan(0, None, 60.0, 20.0)
    assert Plan.resume(_checkpoint(200, cut), None, 1.0, 1000) == cut
    assert Plan.resume(_checkpoint(200, cut), None, None, 1000) == cut


def test_a_budget_that_was_used_up_starts_anew() -> None:
    done = Plan(0, 600, 60.0, 61.0)
    assert Plan.resume(_checkpoint(600, done), None, 1.0, 1000) == Plan(600, None, 60.0, 0.0)


def test_iterations_count_from_the_beginning_of_the_model() -> None:
    plan = Plan.resume(_checkpoint(600, Plan(0, 600)), 900, None, 1000)
    assert (plan.origin, plan.total, plan.finished(899), plan.finished(900)) == (0, 900, False, True)


def test_without_a_number_the_default_is_the_end() -> None:
    assert Plan.resume(None, None, None, 1000).total == 1000
    assert Plan.resume(_checkpoint(100, Plan(0, 400)), None, None, 1000).total == 400
    assert Plan.resume(_checkpoint(400, Plan(0, 400)), None, None, 1000).total == 1000


def test_the_rate_warms_up_holds_and_falls() -> None:
    rates = [learning_rate(LITE, 1.0, i, 2000) for i in range(2000)]
    assert rates[0] < 0.03
    assert rates[LITE.warm_up] == rates[999] == 1.0
    assert rates == rates[: LITE.warm_up + 1] + sorted(rates[LITE.warm_up + 1 :], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)


def test_on_the_plateau_the_rate_does_not_know_the_total() -> None:
    assert all(learning_rate(LITE, 1.0, i, None) == learning_rate(LITE, 1.0, i, 2000) for i in range(1000))


def test_the_jitter_is_whole_on_the_plateau_and_settles_as_the_rate_falls() -> None:
    strengths = [jitter_strength(LITE, i, 2000) for i in range(2001)]
    assert set(strengths[:1001]) == {1.0}
    assert strengths[2000] == pytest.approx(LITE.settle)
    assert strengths == sorted(strengths, reverse=True)
    assert jitter_strength(LITE, 5000, None) == 1.0
