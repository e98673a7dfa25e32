"""What a swap has to beat: three ways to fill the aligned face without having learned anything.

A margin alone proves little: a still picture of B, pasted over A, lies nearer to the truth than A does. Each control
gives what a network gives, so that it is composited by the same path and judged by the same judge.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from fastswap.ops import match_colour

THUMBNAIL = 32  # px: on which faces are compared


class Control(Protocol):
    """Fills aligned faces."""

    def __call__(
        self,
        faces: Tensor,  # [N, 3, s, s], A's aligned faces, 0..1
        truth: Tensor,  # [N, 3, s, s], the truth's, aligned alike: for the oracle only
    ) -> tuple[Tensor, Tensor]:  # colour [N, 3, s, s], mask [N, 1, s, s]
        ...


def controls(
    faces: Tensor,  # [M, 3, s, s], B's aligned training faces, 0..1
    masks: Tensor,  # [M, 1, s, s], 0..1
) -> dict[str, Control]:
    """The three by name: "recoloured", "constant", "nearest". Raises ValueError for shapes that do not fit."""
    if faces.ndim != 4 or faces.shape[1] != 3 or masks.shape != (len(faces), 1, *faces.shape[2:]) or not len(faces):
        raise ValueError(
            f"faces [M, 3, s, s] and masks [M, 1, s, s] expected, got {list(faces.shape)}, {list(masks.shape)}"
        )
    return {
        "recoloured": Recoloured(faces, masks),
        "constant": Constant(faces, masks),
        "nearest": Nearest(faces, masks),
    }


class Recoloured:
    """A as he is, with the colours of B's mean picture: no identity but its complexion."""

    def __init__(self, faces: Tensor, masks: Tensor) -> None:
        self._mean, self._mask = faces.mean(0, keepdim=True), masks.mean(0, keepdim=True)

    def __call__(self, faces: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        mask = self._mask.expand(len(faces), -1, -1, -1).contiguous()
        return match_colour(faces, self._mean.expand_as(faces).contiguous(), mask), mask


class Constant:
    """The mean picture of B's faces, whatever A does: identity without performance."""

    def __init__(self, faces: Tensor, masks: Tensor) -> None:
        self._mean, self._mask = faces.mean(0, keepdim=True), masks.mean(0, keepdim=True)

    def __call__(self, faces: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        shape = (len(faces), -1, -1, -1)
        return self._mean.expand(shape).contiguous(), self._mask.expand(shape).contiguous()


class Nearest:
    """The one of B's training faces that looks most like the truth, which only an oracle can choose: what copying
    without learning could reach at best."""

    def __init__(self, faces: Tensor, masks: Tensor) -> None:
        self._faces, self._masks = faces, masks
        self._weight = _thumbnails(masks.mean(0, keepdim=True)).sqrt()
        self._known = (_thumbnails(faces) * self._weight).flatten(1)

    def __call__(self, faces: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        wanted = (_thumbnails(truth) * self._weight).flatten(1)
        chosen = torch.cdist(wanted, self._known).argmin(1)
        return self._faces[chosen], self._masks[chosen]


def _thumbnails(pictures: Tensor) -> Tensor:
    return functional.interpolate(pictures.float(), (THUMBNAIL, THUMBNAIL), mode="area")
