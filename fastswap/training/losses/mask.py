"""What the mask beside the colours is judged by. Masks are float [n, 1, H, W] in 0..1; each loss is a scalar."""

from __future__ import annotations

from torch import Tensor


def mask_l1(
    alpha: Tensor,  # [n, 1, H, W]
    mask: Tensor,  # [n, 1, H, W], the mesh's
) -> Tensor:
    """Mean absolute difference to the mesh's mask."""
    return (alpha - mask).abs().mean()


def mask_hinge(
    alpha: Tensor,  # [n, 1, H, W]
    mask: Tensor,  # [n, 1, H, W], the mesh's
    margin: Tensor,  # [], on the device
) -> Tensor:
    """What alpha lacks to `margin` inside of the mesh's mask, the mean over the whole picture: it keeps an adversary,
    to whom the untouched picture is the best forgery, from closing the mask."""
    return ((margin - alpha).relu() * mask).mean()


def mask_variation(
    alpha: Tensor,  # [n, 1, H, W]
) -> Tensor:
    """Total variation: the mean absolute step to the right plus that down. 0 for a flat mask."""
    return alpha.diff(dim=-1).abs().mean() + alpha.diff(dim=-2).abs().mean()
