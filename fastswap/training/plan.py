"""How long a run is, and where in it an iteration lies. What changes over a run (learning rate, jitter, weights of
losses) is a function of the `Moment`. With a number of iterations a moment follows from the iteration alone; with a
budget of minutes its share is that of the time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastswap.models import Checkpoint

_UNKNOWN = -1.0


@dataclass(frozen=True)
class Moment:
    """iteration: counted from the beginning of the run, which is not the model's where a budget of minutes was given
    again; share: how much of the run is done, 0..1."""

    iteration: int
    share: float


@dataclass(frozen=True)
class Plan:
    """origin: the iteration the run counts from; total: where it ends, None for a run by minutes; seconds: the budget,
    None for a run by iterations; elapsed: seconds trained so far."""

    origin: int = 0
    total: int | None = None
    seconds: float | None = None
    elapsed: float = 0.0

    @staticmethod
    def resume(checkpoint: Checkpoint | None, iterations: int | None, minutes: float | None, default: int) -> Plan:
        """The plan to go on with: what is asked for; else what the checkpoint had not finished; else `default`
        iterations. A budget of minutes that was not used up goes on, one that was starts anew."""
        old, done = Plan.of(checkpoint), checkpoint.iteration if checkpoint else 0
        if iterations is not None:
            return replace(old, origin=0, total=iterations, seconds=None)
        unfinished = checkpoint is not None and not old.finished(done)
        if minutes is not None:
            return old if unfinished and old.seconds == minutes * 60 else Plan(origin=done, seconds=minutes * 60)
        return old if unfinished else replace(old, origin=0, total=max(default, done), seconds=None)

    @staticmethod
    def of(checkpoint: Checkpoint | None) -> Plan:
        """The plan that a checkpoint recorded; without one, a plan that is finished."""
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

    def advance(self, seconds: float) -> Plan:
        """After work that took `seconds`."""
        return replace(self, elapsed=self.elapsed + seconds)

    def finished(self, iteration: int) -> bool:
        if self.seconds is not None:
            return self.elapsed >= self.seconds
        return self.total is None or iteration >= self.total

    def moment(self, iteration: int) -> Moment:
        """Where in the run the iteration lies."""
        passed = iteration - self.origin
        if self.seconds is not None:
            return Moment(passed, min(self.elapsed / self.seconds, 1.0))
        return Moment(passed, min(passed / max((self.total or 0) - self.origin, 1), 1.0))
