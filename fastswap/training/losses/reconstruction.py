"""How far a picture is from what it should be, pixel by pixel. Pictures are float [n, C, H, W] in 0..1, weights float
[n, 1, H, W]; each loss is a scalar, 0 for identical pictures."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_FLOOR = 1e-6
"""Keeps the mean over an empty mask from dividing by zero."""


def weighted_mean(
    values: Tensor,  # [n, C, H, W]
    weight: Tensor,  # [n, 1, H, W]
    total: Tensor | None = None,  # []
) -> Tensor:
    """The mean of `values` under `weight`, over the whole batch: a face with a large mask counts for more than one
    with a small one, and none counts where no weight is.

    `total` is the sum of the weight, where this batch is one part of a larger one: the mean of the parts' sums (see
    `Totals`). None: this batch is all there is."""
    if total is None:
        total = weight.sum()
    return (values * weight).sum() / (total * values.shape[1]).clamp_min(_FLOOR)


def l1(output: Tensor, target: Tensor, weight: Tensor, total: Tensor | None = None) -> Tensor:
    """Weighted mean absolute difference."""
    return weighted_mean((output - target).abs(), weight, total)


def mse(output: Tensor, target: Tensor, weight: Tensor, total: Tensor | None = None) -> Tensor:
    """Weighted mean squared difference."""
    return weighted_mean((output - target).square(), weight, total)


def edges(output: Tensor, target: Tensor, weight: Tensor, total: Tensor | None = None) -> Tensor:
    """How far the steps between neighbouring pixels differ: the weighted mean over pixels of the absolute difference
    of the steps to the right plus that of the steps down. A step weighs as much as its two pixels on average, and
    there is none beyond the picture's border."""
    if total is None:
        total = weight.sum()
    error = output - target  # a step of the difference is the difference of the steps
    right, down = error.diff(dim=-1).abs(), error.diff(dim=-2).abs()
    weight_right = (weight[..., 1:] + weight[..., :-1]) / 2
    weight_down = (weight[..., 1:, :] + weight[..., :-1, :]) / 2
    return weighted_mean(right, weight_right, total) + weighted_mean(down, weight_down, total)


def inside(
    output: Tensor,  # [n, C, H, W]
    target: Tensor,  # [n, C, H, W]
    mask: Tensor,  # [n, 1, H, W]
) -> Tensor:
    """`output` inside the mask and `target` outside of it: a window across the mask's edge then sees only the error
    that is inside, and neither an edge of the mask's own making nor a background that nobody asks for."""
    return target.lerp(output, mask)


def auxiliary(
    output: Tensor,  # [n, C, h, w], h a whole fraction of H
    target: Tensor,  # [n, C, H, W]
    weight: Tensor,  # [n, 1, H, W]
    total: Tensor | None = None,  # [], of the full weight
) -> Tensor:
    """Weighted mean absolute difference of a smaller picture to the target; target and weight are reduced by area."""
    factor = target.shape[-1] // output.shape[-1]
    small, weight = functional.avg_pool2d(target, factor), functional.avg_pool2d(weight, factor)
    return l1(output, small, weight, None if total is None else total / factor**2)
