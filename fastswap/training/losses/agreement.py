"""What the codes of all sides are judged by."""

from __future__ import annotations

from torch import Tensor

_FLOOR = 1e-6


def agreement(
    code: Tensor,  # [sides * n, D], side after side; the n-th faces of all sides do about the same thing
    sides: int,
) -> Tensor:
    """How far the codes of faces that do the same lie from their mean, squared, over the variance of codes within a
    side. 0 where they agree.

    A decoder has only learned the codes of its own side. While the codes of A lie elsewhere, B's decoder makes of
    them something that is neither, with A's beard; where they agree it makes B. The gradient goes through the variance
    too: without it the loss is served by codes that shrink until they say nothing (seen at a weight of 0.07).

    It is a quotient of two sums over the batch, not a sum of what each face costs: the codes have to be those of all
    ranks (`parallel.gather`) and of all parts of an accumulated step, and the loss is then that of the whole
    batch."""
    groups = code.reshape(sides, -1, code.shape[-1])
    apart = (groups - groups.mean(dim=0)).square().sum(dim=-1).mean()
    within = (groups - groups.mean(dim=1, keepdim=True)).square().sum(dim=-1).mean()
    return apart / (within + _FLOOR)
