"""What changes over a run: the learning rate, the jitter, the weights of the losses."""

from __future__ import annotations

import math

import numpy as np

from fastswap.models import Objective, Optimisation, Preset
from fastswap.training.plan import Moment

TERMS = (
    *("l1", "mse", "dssim", "ms_ssim", "edges", "mask", "mask_hinge", "mask_variation", "agreement", "perceptual"),
    *("adversarial", "r1", "r2"),
)
"""The losses, by the name of their weight in the objective."""
CONTROLS = (*TERMS, "rate", "discriminator_rate", "following", "mask_margin")
"""What `numbers` gives."""
_LEAST_RATE = 0.01
"""What is left of the learning rate at the end of the cosine."""


def factor(objective: Objective, term: str, share: float) -> float:
    """The product of the factors that the schedules of `term` have at this share of the run; 1 where it has none."""
    result = 1.0
    for schedule in objective.schedules:
        if schedule.term != term:
            continue
        if schedule.linear:
            result *= float(np.interp(share, schedule.shares, schedule.factors))
        else:
            reached = sum(begin <= share for begin in schedule.shares)
            result *= schedule.factors[max(reached - 1, 0)]
    return result


def learning_rate(objective: Objective, optimisation: Optimisation, base: float, moment: Moment) -> float:
    """The generator's rate: a linear warm-up, a plateau up to the share `hold` of the run, half a cosine down to 1 %
    of the base; times the schedules of "learning_rate"."""
    rate = base * min(1.0, (moment.iteration + 1) / (optimisation.warm_up + 1))
    cosine = 0.5 * (1 + math.cos(math.pi * _decline(optimisation, moment.share)))
    return rate * (_LEAST_RATE + (1 - _LEAST_RATE) * cosine) * factor(objective, "learning_rate", moment.share)


def weights(objective: Objective, moment: Moment) -> dict[str, float]:
    """What each loss weighs at this moment, those that weigh nothing left out: which they are is the step's phase."""
    base = {term: getattr(objective, term) * factor(objective, term, moment.share) for term in TERMS}
    return {term: weight for term, weight in base.items() if weight}


def numbers(preset: Preset, base: float, moment: Moment) -> dict[str, float]:
    """All that changes from step to step, for a base learning rate."""
    objective, optimisation = preset.objective, preset.optimisation
    rate = learning_rate(objective, optimisation, base, moment)
    present = weights(objective, moment)
    return {
        **{term: present.get(term, 0.0) for term in TERMS},
        "rate": rate,
        "discriminator_rate": rate * optimisation.discriminator_rate,
        "following": 1 - average_decay(optimisation, moment),
        "mask_margin": factor(objective, "mask_margin", moment.share),
    }


def average_decay(optimisation: Optimisation, moment: Moment) -> float:
    """What the weights' moving average keeps of itself: less at the start, when it would else keep the random
    beginning."""
    return min(optimisation.ema, (moment.iteration + 1) / (moment.iteration + 10))


def jitter_strength(optimisation: Optimisation, moment: Moment) -> float:
    """The share of the geometric jitter: all of it on the plateau, where it makes the sides share a code, falling to
    `settle` at the end, where it would only blur."""
    return 1 - (1 - optimisation.settle) * _decline(optimisation, moment.share)


def _decline(optimisation: Optimisation, share: float) -> float:
    """0 on the plateau, rising to 1 at the end of the run."""
    if optimisation.hold >= 1:
        return 0.0
    return min(max((share - optimisation.hold) / (1 - optimisation.hold), 0.0), 1.0)
