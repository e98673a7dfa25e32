"""How far mouth and eyes are open: lengths in space over lengths that do not change, so free of scale and, nearly, of
pose. Curves to compare over time, not anatomy."""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.faces.alignment import check_landmarks

_EYE_CORNERS = (33, 263)  # outer
_LIPS = ((82, 87), (13, 14), (312, 317))  # inner edges, upper and lower
_EYES = (  # corners; two pairs of lid points: upper and lower
    ((33, 133), ((160, 144), (158, 153))),
    ((263, 362), ((387, 373), (385, 380))),
)


def mouth_opening(landmarks: Tensor, aspect: float = 1.0) -> Tensor:
    """[N, 478, 3] frame px and depth -> [N]: the mean gap of the inner lips over the distance of the outer eye corners.
    About 0 closed, 0.1 in speech, 0.5 and more wide open. Raises ValueError for another shape."""
    points = _square(landmarks, aspect)
    gap = torch.stack([_distance(points, *pair) for pair in _LIPS]).mean(0)
    return gap / _distance(points, *_EYE_CORNERS)


def eye_opening(landmarks: Tensor, aspect: float = 1.0) -> Tensor:
    """[N, 478, 3] -> [N]: the eye aspect ratio (Soukupova and Cech 2016), mean of both eyes: lid gap over width.
    About 0.3 open, below 0.15 shut. Raises ValueError for another shape."""
    points = _square(landmarks, aspect)
    ratios = [
        torch.stack([_distance(points, *pair) for pair in lids]).mean(0) / _distance(points, *corners)
        for corners, lids in _EYES
    ]
    return torch.stack(ratios).mean(0)


def _square(landmarks: Tensor, aspect: float) -> Tensor:
    check_landmarks(landmarks)
    points = landmarks.float()
    return torch.cat([points[..., :1] * aspect, points[..., 1:]], -1)


def _distance(points: Tensor, one: int, other: int) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(points[:, one] - points[:, other], dim=-1)
    return length
