"""Faces followed from frame to frame within a shot."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastswap.faces.assignment import assign

_LEAST_OVERLAP = 0.2  # intersection over union that lets two boxes be one face
_FARTHEST = 0.6  # or: mean distance of landmarks, in face sizes
_FORBIDDEN = 1e3  # more than any sum of allowed costs, each below 2


@dataclass(slots=True)
class _Track:
    number: int
    frame: int
    box: Tensor  # [4]
    points: Tensor  # [478, 2]


class Tracker:
    """Gives each face the number of its track. Its state is the faces seen within the last `max_gap` frames."""

    def __init__(
        self,
        max_gap: int = 25,  # frames a face may be missing and keep its number: about a second
    ) -> None:
        if max_gap < 1:
            raise ValueError(f"max_gap must be at least 1, got {max_gap}")
        self._max_gap = max_gap
        self._live: list[_Track] = []
        self._next = 0

    def update(
        self,
        frame: int,  # index of the frame, rising from call to call
        box: Tensor,  # [K, 4], x0, y0, x1, y1, frame px
        landmarks: Tensor,  # [K, 478, 2 or 3], frame px
        cut: bool = False,  # True: this frame is the first of a new shot, all tracks before it end
    ) -> list[int]:
        """The track of each of the frame's K faces (K may be 0: such a frame need not be given at all).

        Pairs are the assignment of least total cost, 1 - overlap + landmark distance in face sizes, among those that
        overlap or lie near. A face without a pair begins a track; numbers are never used twice.
        """
        if len(box) != len(landmarks):
            raise ValueError(f"{len(box)} boxes for {len(landmarks)} faces")
        self._live = [] if cut else [track for track in self._live if frame - track.frame <= self._max_gap]
        box, points = (t.to("cpu", torch.float32, copy=True) for t in (box, landmarks[..., :2]))
        pairs = self._pairs(box, points)
        found = [self._follow(pairs.get(face), frame, box[face], points[face]) for face in range(len(box))]
        matched = set(pairs.values())
        self._live = [track for index, track in enumerate(self._live) if index not in matched] + found
        return [track.number for track in found]

    def _pairs(self, box: Tensor, points: Tensor) -> dict[int, int]:
        """Face -> index of its live track."""
        if not self._live or not len(box):
            return {}
        overlap = box_overlap(box, torch.stack([track.box for track in self._live]))
        distance = _distance(points, torch.stack([track.points for track in self._live]))
        cost = torch.where(
            (overlap >= _LEAST_OVERLAP) | (distance <= _FARTHEST), 1 - overlap + distance.clamp(max=1), _FORBIDDEN
        )
        return {face: track for face, track in assign(cost.tolist()) if cost[face, track] < _FORBIDDEN}

    def _follow(self, index: int | None, frame: int, box: Tensor, points: Tensor) -> _Track:
        if index is not None:
            return _Track(self._live[index].number, frame, box, points)
        self._next += 1
        return _Track(self._next - 1, frame, box, points)


def box_overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes [K, 4] and [L, 4]: [K, L]."""
    low = torch.maximum(one[:, None, :2], other[None, :, :2])
    high = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1) for boxes in (one, other)]
    return shared / (area[0][:, None] + area[1][None] - shared).clamp(min=1e-6)


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean distance of landmarks [K, 478, 2] and [L, 478, 2] over the mean of the faces' sizes: [K, L]."""
    size = [(points.amax(1) - points.amin(1)).amax(-1) for points in (one, other)]
    mean: Tensor = torch.linalg.vector_norm(one[:, None] - other[None], dim=-1).mean(-1)
    return mean / ((size[0][:, None] + size[1][None]) / 2).clamp(min=1e-6)
