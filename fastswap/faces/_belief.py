"""Whether a place in a frame is a face: what the mesh and the detectors say when asked again.

A detector fires on letters and clouds, and the mesh's flag then agrees often enough (0.99 on a title's letters). What
tells a face is that everything stays the same when one looks again: the mesh run on the region of its own landmarks
moves them by 1 % of the face (on letters 2 to 20 %), and both detectors, given the face upright in the middle of
their input, score it 0.77 or more on average over all our clips' faces (on the rest 0.63 or less).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from fastswap.device import is_apart
from fastswap.faces import landmarks
from fastswap.faces.detect import FULL_RANGE, SHORT_RANGE, best_score
from fastswap.ops import unchecked
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
    """The candidates that are faces, on the CPU. row: int64 [N], which; score, flag: [N]; points: [N, 478, 3]."""

    row: Tensor
    score: Tensor
    flag: Tensor
    points: Tensor


def believe(
    planes: Planes, aspect: float, region: Tensor, frame: Tensor, score: Tensor, least: float = CONFIRMED
) -> Believed:
    """Looks twice at every candidate region ([K, 4], frame int64 [K], detector's score [K], on the CPU), and a third
    time with both detectors where that leaves a doubt; `least` is the mean score they must then reach. All that is
    returned is on the CPU. A GPU is waited for once, and once more where there are doubts."""
    points, first = landmarks.landmark(planes, aspect, region, frame)
    row = _worth(first >= FLAG)
    again, flag, moved = _look_again(planes, aspect, points[row.to(points.device)], frame[row])
    first, again, flag, moved = _fetched(first[row.to(first.device)], again, flag, moved)
    candidate = Believed(row, score[row], flag, again)
    twice = (first >= FLAG) & (flag >= FLAG)
    sure = twice & (moved <= _STEADY) & (candidate.score >= _SURE_SCORE)
    doubtful = twice & (moved <= _UNSTEADY) & ~sure
    if not doubtful.any():
        return _take(candidate, sure)
    return _join(_take(candidate, sure), _third_look(planes, aspect, _take(candidate, doubtful), frame, least))


def _worth(flags: Tensor) -> Tensor:
    """The rows to look at again, on the CPU. On a GPU all of them: the network is faster than counting would be."""
    return torch.arange(len(flags)) if is_apart(flags) else flags.nonzero()[:, 0]


def _fetched(*columns: Tensor) -> list[Tensor]:
    """Columns [K, ...] of a device on the CPU, in one transfer."""
    if not is_apart(columns[0]):
        return list(columns)
    widths = [prod(column.shape[1:]) for column in columns]
    flat = [column.reshape(len(column), width) for column, width in zip(columns, widths, strict=True)]
    together = torch.cat(flat, 1).cpu()
    parts = torch.split(together, widths, 1)
    return [part.reshape(column.shape) for part, column in zip(parts, columns, strict=True)]


def _third_look(planes: Planes, aspect: float, doubtful: Believed, frame: Tensor, least: float) -> Believed:
    points, flag, moved = _look_again(planes, aspect, doubtful.points, frame[doubtful.row])
    row = _worth((flag >= _CERTAIN_FLAG) & (moved <= _STEADY))
    here = row.to(flag.device)
    region, frame = landmarks.regions_of(points[here]), frame[doubtful.row][row]
    with unchecked():
        scores = [best_score(planes, aspect, d, _view(region, around, d.size), frame) for d, around in _AROUND]
    columns = points[here], flag[here], moved[here], torch.stack(scores).mean(0)
    points, flag, moved, score = _fetched(*columns)
    kept = (flag >= _CERTAIN_FLAG) & (moved <= _STEADY) & (score >= least)
    return _take(Believed(doubtful.row[row], score, flag, points), kept)


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
