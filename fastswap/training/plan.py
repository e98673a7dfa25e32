"""How long a run is. With a number of iterations that is all; with a budget of minutes the length is found on the
way: the plateau of the learning rate lasts for its share of the budget, and as many iterations as that took decide
the total. Once decided it is kept in the checkpoint, so that the learning rate stays a function of the iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fastswap.models import Checkpoint

_UNKNOWN = -1.0


@dataclass(frozen=True)
class Plan:
    """origin: the iteration the schedule counts from; total: where the run ends, None while not decided; seconds: the
    budget, None for a run by iterations; elapsed: seconds trained so far."""

    origin: int = 0
    total: int | None = None
    seconds: float | None = None
    elapsed: float = 0.0

    @staticmethod
    def resume(checkpoint: Checkpoint | None, iterations: int | None, minutes: float | None, default: int) -> Plan:
        """The plan to go on with: what is asked for; else what the checkpoint had not finished; else `default`
        iterations. A budget of minutes that was not used up goes on, one that was starts anew."""
        if iterations is not None:
            return replace(Plan.of(checkpoint), origin=0, total=iterations, seconds=None)
        old, done = Plan.of(checkpoint), checkpoint.iteration if checkpoint else 0
        finished = old.total is not None and done >= old.total
        if minutes is not None:
            continued = old.seconds == minutes * 60 and not finished
            return old if continued else Plan(origin=done, seconds=minutes * 60)
        if checkpoint and not finished and (old.total or old.seconds):
            return old
        return replace(old, origin=0, total=max(default, done), seconds=None)

    @staticmethod
    def of(checkpoint: Checkpoint | None) -> Plan:
        """The plan that a checkpoint recorded."""
        if checkpoint is None:
            return Plan()
        numbers = {name: value for name, value in checkpoint.numbers.items() if value != _UNKNOWN}
        total = numbers.get("total")
        return Plan(
            origin=int(numbers.get("origin", 0)),
            total=None if total is None else int(total),
            seconds=numbers.get("seconds"),
            elapsed=numbers.get("elapsed", 0.0),
        )

    def numbers(self) -> dict[str, float]:
        """For the checkpoint."""
        total = _UNKNOWN if self.total is None else float(self.total)
        seconds = _UNKNOWN if self.seconds is None else self.seconds
        return {"origin": float(self.origin), "total": total, "seconds": seconds, "elapsed": self.elapsed}

    def advance(self, iteration: int, seconds: float, hold: float) -> Plan:
        """After an iteration that took `seconds`, `iteration` being how many are done: decides the total when the
        plateau's share (`hold`) of the budget is used up."""
        plan = replace(self, elapsed=self.elapsed + seconds)
        if plan.total is None and plan.seconds is not None and plan.elapsed >= hold * plan.seconds:
            done = iteration - plan.origin
            return replace(plan, total=plan.origin + math.ceil(done * plan.seconds / plan.elapsed))
        return plan

    def finished(self, iteration: int) -> bool:
        return self.total is not None and iteration >= self.total

    def schedule(self, iteration: int) -> tuple[int, int | None]:
        """The iteration and the total as the learning rate counts them: from the origin."""
        return iteration - self.origin, None if self.total is None else self.total - self.origin
