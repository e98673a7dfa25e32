"""The length of a run and the learning rate over it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fastswap.models import LITE, ORIGINAL, Checkpoint, Schedule
from fastswap.training.plan import Moment, Plan
from fastswap.training.schedule import factor, jitter_strength, learning_rate


def _checkpoint(iteration: int, plan: Plan) -> Checkpoint:
    return Checkpoint(Path("step"), iteration, plan.numbers())


def test_a_plan_survives_its_checkpoint() -> None:
    for plan in (Plan(3, 40, 60.0, 12.5), Plan(0, None, 60.0, 1.0), Plan(0, 40), Plan()):
        assert Plan.of(_checkpoint(7, plan)) == plan


def test_a_budget_of_minutes_ends_with_the_time() -> None:
    plan = Plan.resume(None, None, minutes=1.0, default=1000)
    for _ in range(300):
        plan = plan.advance(0.1)
    assert plan.moment(300).share == pytest.approx(0.5)
    assert not plan.finished(300)
    assert plan.advance(30.1).finished(301)
    assert plan.advance(99).moment(400).share == 1.0


def test_iterations_are_shares_of_the_run() -> None:
    plan = Plan.resume(None, 200, None, default=1000)
    assert [plan.moment(i).share for i in (0, 50, 200, 300)] == [0.0, 0.25, 1.0, 1.0]


def test_a_budget_that_was_cut_short_goes_on() -> None:
    cut = Plan(0, None, 60.0, 20.0)
    assert Plan.resume(_checkpoint(200, cut), None, 1.0, 1000) == cut
    assert Plan.resume(_checkpoint(200, cut), None, None, 1000) == cut


def test_a_budget_that_was_used_up_starts_anew() -> None:
    done = Plan(0, None, 60.0, 61.0)
    assert Plan.resume(_checkpoint(600, done), None, 1.0, 1000) == Plan(600, None, 60.0, 0.0)


def test_iterations_count_from_the_beginning_of_the_model() -> None:
    plan = Plan.resume(_checkpoint(600, Plan(0, 600)), 900, None, 1000)
    assert (plan.origin, plan.total, plan.finished(899), plan.finished(900)) == (0, 900, False, True)


def test_without_a_number_the_default_is_the_end() -> None:
    assert Plan.resume(None, None, None, 1000).total == 1000
    assert Plan.resume(_checkpoint(100, Plan(0, 400)), None, None, 1000).total == 400
    assert Plan.resume(_checkpoint(400, Plan(0, 400)), None, None, 1000).total == 1000


def _rate(iteration: int, total: int = 2000) -> float:
    moment = Plan(total=total).moment(iteration)
    return learning_rate(LITE.objective, LITE.optimisation, 1.0, moment)


def test_the_rate_warms_up_holds_and_falls() -> None:
    rates = [_rate(i) for i in range(2000)]
    warm_up = LITE.optimisation.warm_up
    assert rates[0] < 0.03
    assert rates[warm_up] == rates[999] == 1.0
    assert rates == rates[: warm_up + 1] + sorted(rates[warm_up + 1 :], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)


def test_the_jitter_is_whole_on_the_plateau_and_settles_as_the_rate_falls() -> None:
    strengths = [jitter_strength(LITE.optimisation, Moment(i, i / 2000)) for i in range(2001)]
    assert set(strengths[:1001]) == {1.0}
    assert strengths[2000] == pytest.approx(LITE.optimisation.settle)
    assert strengths == sorted(strengths, reverse=True)


def test_schedules_step_or_run_straight() -> None:
    steps = Schedule("edges", (0.3, 0.6), (1.0, 0.0))
    line = Schedule("adversarial", (0.2, 0.4), (0.0, 1.0), linear=True)
    objective = replace(LITE.objective, schedules=(steps, line))
    assert [factor(objective, "edges", share) for share in (0.0, 0.3, 0.59, 0.6, 1.0)] == [1, 1, 1, 0, 0]
    assert [factor(objective, "adversarial", share) for share in (0.1, 0.3, 0.5)] == pytest.approx([0, 0.5, 1])
    assert factor(objective, "l1", 0.5) == 1.0
    rate = replace(objective, schedules=(Schedule("learning_rate", (0.0, 0.5), (1.0, 0.3)),))
    assert learning_rate(rate, ORIGINAL.optimisation, 2.0, Moment(10, 0.7)) == pytest.approx(0.6)
