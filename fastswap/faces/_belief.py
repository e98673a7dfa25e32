"""Whether a place in a frame is a face: what the mesh and the detectors say when asked again.

A detector fires on letters and clouds, and the mesh's flag then agrees often enough (0.99 on a title's letters). What
tells a face is that everything stays the same when one looks again: the mesh run on the region of its own landmarks
moves them by 1 % of the face (on letters 2 to 20 %), and both detectors, given the face upright in the middle of
their input, score it 0.77 or more on average over all our clips' faces (on the rest 0.63 or less).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastswap.faces import landmarks
from fastswap.faces.detect import FULL_RANGE, SHORT_RANGE, best_score
from fastswap.ops.planes import Planes

FLAG = 0.5  # the least face flag of a face, at the first two looks
_CERTAIN_FLAG = 0.8  # and at the third
_SURE_SCORE = 0.75  # a detector's score from which a steady face needs no second opinion
_STEADY = 0.03  # how far landmarks may move from look to look, over the face's size
_UNSTEADY = 0.1  # from which on a third look is not worth its time
_AROUND = ((SHORT_RANGE, 1.07), (FULL_RANGE, 2.0))  # the side of each detector's crop over that of the mesh's
CONFIRMED = 0.7  # the detectors' mean score on a face out of nowhere
FOLLOWED = 0.5  # the same on a face that the frame beside has at this place


@dataclass(frozen=True, slots=True)
class Believed:
    """The candidates that are faces. row: int64 [N], which candidates; score, flag: [N]; points: [N, 478, 3]."""

    row: Tensor
    score: Tensor
    flag: Tensor
    points: Tensor


def believe(
    planes: Planes, aspect: float, region: Tensor, frame: Tensor, score: Tensor, least: float = CONFIRMED
) -> Believed:
    """Looks twice at every candidate region ([K, 4], frame int64 [K], detector's score [K]), and a third time with both
    detectors where that leaves a doubt; `least` is the mean score they must then reach."""
    points, flag = landmarks.landmark(planes, aspect, region, frame)
    row = (flag >= FLAG).nonzero()[:, 0]
    again, flag, moved = _look_again(planes, aspect, points[row], frame[row])
    candidate = Believed(row, score[row], flag, again)
    sure = (flag >= FLAG) & (moved <= _STEADY) & (candidate.score >= _SURE_SCORE)
    doubtful = (flag >= FLAG) & (moved <= _UNSTEADY) & ~sure
    third = _third_look(planes, aspect, _take(candidate, doubtful), frame, least)
    return _join(_take(candidate, sure), third)


def _third_look(planes: Planes, aspect: float, doubtful: Believed, frame: Tensor, least: float) -> Believed:
    points, flag, moved = _look_again(planes, aspect, doubtful.points, frame[doubtful.row])
    kept = (flag >= _CERTAIN_FLAG) & (moved <= _STEADY)
    candidate = _take(Believed(doubtful.row, doubtful.score, flag, points), kept)
    region, frame = landmarks.regions_of(candidate.points), frame[candidate.row]
    scores = [best_score(planes, aspect, d, _view(region, around, d.size), frame) for d, around in _AROUND]
    score = torch.stack(scores).mean(0)
    return _take(Believed(candidate.row, score, candidate.flag, candidate.points), score >= least)


def _look_again(planes: Planes, aspect: float, points: Tensor, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mesh on the regions of given landmarks: landmarks, flags, and the mean movement over the face's size."""
    region = landmarks.regions_of(points)
    again, flag = landmarks.landmark(planes, aspect, region, frame)
    moved = (again - points)[..., :2].norm(dim=2).mean(1) / (region[:, 2] / landmarks.ENLARGE)
    return again, flag, moved


def _view(region: Tensor, around: float, size: int) -> Tensor:
    wider = region.clone()
    wider[:, 2] *= around
    return landmarks.matrices(wider, size)


def _take(faces: Believed, rows: Tensor) -> Believed:
    return Believed(faces.row[rows], faces.score[rows], faces.flag[rows], faces.points[rows])


def _join(first: Believed, second: Believed) -> Believed:
    pairs = ((getattr(first, name), getattr(second, name)) for name in Believed.__slots__)
    return Believed(*(torch.cat(pair) for pair in pairs))
