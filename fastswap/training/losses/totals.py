"""What makes a loss over a part of a batch add up to the loss over all of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastswap.training.examples import Examples
from fastswap.training.losses.similarity import crop, windows


@dataclass(frozen=True)
class Totals:
    """The sums of the weights that losses divide by: `sums` [1 + windows], of whole pictures and of the centres of each
    of dssim's windows.

    A batch may lie on several ranks, and be worked off in several parts on each. A loss that divides by the sum over
    its own part would count a face for more where its neighbours have small masks. With the *mean of the parts' sums*
    in place of its own, the mean of the parts' losses is the loss of the whole batch, and the mean of their gradients
    its gradient: what ranks and accumulation take anyhow. It is one small tensor, so that a step needs one collective
    for it, before the first part:

        whole = Totals(parallel.average(totals(examples, parts).sums))"""

    sums: Tensor

    @property
    def picture(self) -> Tensor:
        """The sum over whole pictures."""
        return self.sums[0]

    def window(self, index: int) -> Tensor:
        """The sum over the centres of the windows of `windows(size)[index]`."""
        return self.sums[1 + index]


def totals(examples: Examples, parts: int = 1) -> Totals:
    """The totals of all examples of this rank in a step, which works them off in `parts`."""
    weight = examples.mask * examples.emphasis
    crops = [crop(weight, window) for window in windows(weight.shape[-1])]
    return Totals(torch.stack([x.sum() for x in (weight, *crops)]) / parts)
