"""Where faces are: BlazeFace (short and full range) over views of the frames, decoded, and joined over views.

Convention: a *view* is a similarity [2, 3] from the pixels of the network's square input to *square* pixels: frame
pixels whose x is stretched by the aspect (pixel width / height), so that faces are round. Pixel centres are integers.
All views of all frames go through the network as one stream of chunks. What scores enough comes to the CPU in one
piece, some kilobytes a frame, and geometry is there, where `warp` reads it: a GPU is waited for once.

The networks' raw output is in input pixels, with pixel centres at halves; the anchors and the weighted suppression are
those the networks were trained with (Bazarevsky et al. 2019, https://arxiv.org/abs/1907.05047).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.device import is_apart
from fastswap.faces import networks
from fastswap.ops.planes import Planes
from fastswap.ops.warp import warp

Boxes = NDArray[np.floating[Any]]

JOIN_IOU = 0.3
_COLUMNS = 8  # of the regressors: box centre, size, right eye, left eye; mouth, nose and ears are not used
_MOST_A_VIEW, _LEAST_OF_ALL = 512, 2048  # candidates that a GPU hands over, of all views: a crowd of 29 has 300
_SMALLEST_TILE = 160.0  # square px: smaller ones would only enlarge
_MOST_TILES = 256
_TINY = np.finfo(np.float32).tiny
_RIGHT_EYE, _LEFT_EYE = 0, 1


@dataclass(frozen=True, slots=True)
class Detector:
    """A network's name, its input size in pixels, and its anchor grids: (stride in pixels, anchors a cell)."""

    network: str
    size: int
    grids: tuple[tuple[int, int], ...]


SHORT_RANGE = Detector("short", 128, ((8, 2), (16, 6)))
FULL_RANGE = Detector("full", 192, ((4, 1),))


@dataclass(frozen=True, slots=True)
class Views:
    """V looks at the frames. matrix: float32 [V, 2, 3], input px -> square px; frame: int64 [V]."""

    matrix: Tensor
    frame: Tensor


@dataclass(frozen=True, slots=True)
class Detections:
    """K faces, on the CPU, best first. frame: int64 [K]; centre: float32 [K, 2] and side: [K] of the box, square px;
    eyes: [K, 2, 2], the person's right and left, square px; score: [K], 0..1."""

    frame: Tensor
    centre: Tensor
    side: Tensor
    eyes: Tensor
    score: Tensor


def whole(planes: Planes, aspect: float, detector: Detector, turns: tuple[int, ...] = (0,)) -> Views:
    """The whole of each frame, letterboxed, once per quarter turn in `turns` (of the view, clockwise)."""
    width, height = planes.width * aspect, float(planes.height)
    views = [_square((width - 1) / 2, (height - 1) / 2, max(width, height), turn, detector.size) for turn in turns]
    return _each_frame(views, planes.frames)


def tiles(planes: Planes, aspect: float, detector: Detector, levels: int, turns: tuple[int, ...] = (0,)) -> Views:
    """A pyramid of overlapping squares, each in all quarter turns in `turns`: at level l = 1..levels their side is the
    frame's longer side / 2^l, while that is at least _SMALLEST_TILE and a frame has at most _MOST_TILES in all.
    Neighbours overlap by a third or more, so that a face of up to that size lies whole in one of them."""
    width, height = planes.width * aspect, float(planes.height)
    views: list[Tensor] = []
    for level in range(1, levels + 1):
        side = max(width, height) / 2**level
        corners = [(x, y) for y in _starts(height, side) for x in _starts(width, side)]
        if side < _SMALLEST_TILE or len(views) + len(corners) * len(turns) > _MOST_TILES:
            break
        half = (side - 1) / 2
        views += [_square(x + half, y + half, side, turn, detector.size) for x, y in corners for turn in turns]
    return _each_frame(views, planes.frames)


def select(views: Views, frames: Tensor) -> Views:
    """The views of some frames only. frames: bool [M]."""
    keep = frames[views.frame]
    return Views(views.matrix[keep], views.frame[keep])


def detect(planes: Planes, aspect: float, detector: Detector, views: Views, threshold: float) -> Detections:
    """All faces that score at least `threshold` in any view, those of one frame that overlap by JOIN_IOU joined."""
    tables, views_of = [], []
    for regressors, logits in _run(planes, aspect, detector, views.matrix, views.frame):
        tables.append(_candidates(regressors, logits, threshold))
        views_of.append(len(logits))
    if not tables:
        return join([])
    parts = torch.split(torch.cat(tables).cpu(), [len(table) for table in tables])
    matrices, frames = torch.split(views.matrix, views_of), torch.split(views.frame, views_of)
    return join(
        [
            _decode(detector, table[table[:, 1] >= threshold], Views(matrix, frame))
            for table, matrix, frame in zip(parts, matrices, frames, strict=True)
        ]
    )


def best_score(planes: Planes, aspect: float, detector: Detector, matrix: Tensor, frame: Tensor) -> Tensor:
    """The best score anywhere in each view: [V], on the frames' device. matrix may be there too."""
    runs = _run(planes, aspect, detector, matrix, frame)
    return torch.cat([torch.zeros(0, device=planes.device), *(logits.sigmoid().amax(1) for _, logits in runs)])


def _run(
    planes: Planes, aspect: float, detector: Detector, matrix: Tensor, frame: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """The network over the views, a chunk a time: regressors [V, A, 16], logits [V, A], on the frames' device."""
    network, chunk = networks.load(detector.network, planes.device), networks.chunk(planes.device)
    for part, of in zip(torch.split(to_frame_px(matrix, aspect), chunk), torch.split(frame, chunk), strict=True):
        if len(of):
            regressors, logits = network(warp(planes, part, detector.size, frame=of, mean=0.5, std=0.5))
            yield regressors, logits[..., 0]


def to_frame_px(matrix: Tensor, aspect: float) -> Tensor:
    """[V, 2, 3] to square px as a map to frame px."""
    return torch.stack([matrix[:, 0] * (1 / aspect), matrix[:, 1]], 1)


def _candidates(regressors: Tensor, logits: Tensor, threshold: float) -> Tensor:
    """The anchors that may be faces, on the device: [K, 2 + _COLUMNS], its number among those of all views, its score,
    its regressors. A GPU would have to be waited for to count them: of it come the best of all, as many as may be."""
    scores = logits.sigmoid().flatten()
    if is_apart(scores):
        most = max(_LEAST_OF_ALL, _MOST_A_VIEW * len(logits))
        number = scores.topk(min(most, len(scores)), sorted=False).indices.sort().values
    else:
        number = (scores >= threshold).nonzero()[:, 0]
    raw = regressors.flatten(0, 1)[number, :_COLUMNS]
    return torch.cat([torch.stack([number.float(), scores[number]], 1), raw], 1)


def join(parts: list[Detections]) -> Detections:
    """Weighted suppression: of boxes that overlap the best one, placed at the mean of them all, weighted by score."""
    frame, score = (torch.cat([getattr(p, name) for p in parts] or [torch.zeros(0)]) for name in ("frame", "score"))
    if not len(frame):
        return Detections(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2), score, torch.zeros(0, 2, 2), score)
    shape = torch.cat([torch.cat([p.centre, p.side[:, None], p.eyes.flatten(1)], 1) for p in parts])
    order = score.argsort(descending=True, stable=True)
    frame, score, shape = frame[order], score[order], shape[order]
    groups = _groups(frame.numpy(), shape.numpy())
    weights = score[:, None]
    kept = [int(group[0]) for group in groups]
    means = torch.stack([(shape[group] * weights[group]).sum(0) / weights[group].sum() for group in groups])
    return Detections(frame[kept], means[:, :2], means[:, 2], means[:, 3:].reshape(-1, 2, 2), score[kept])


def overlap(boxes: Boxes, others: Boxes) -> Boxes:
    """Intersection over union of boxes (x0, y0, x1, y1): [A, 4], [B, 4] -> [A, B]."""
    shared, areas, other_areas = _areas(boxes, others)
    ratio: Boxes = shared / np.maximum(areas + other_areas - shared, _TINY)
    return ratio


def nesting(boxes: Boxes, others: Boxes) -> Boxes:
    """How much of the smaller of two boxes lies in the other: [A, 4], [B, 4] -> [A, B]."""
    shared, areas, other_areas = _areas(boxes, others)
    ratio: Boxes = shared / np.maximum(np.minimum(areas, other_areas), _TINY)
    return ratio


def _areas(boxes: Boxes, others: Boxes) -> tuple[Boxes, Boxes, Boxes]:
    """The areas of the intersections [A, B], of the boxes [A, 1] and of the others [1, B]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared: Boxes = np.prod((high - low).clip(min=0), axis=2)
    areas, other_areas = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, others))
    return shared, areas[:, None], other_areas[None]


def _groups(frame: NDArray[np.int64], shape: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    half = shape[:, 2:3] / 2
    boxes = np.concatenate([shape[:, :2] - half, shape[:, :2] + half], axis=1)
    groups = []
    for number in np.unique(frame):
        left = np.flatnonzero(frame == number)
        while len(left):
            near = overlap(boxes[left[:1]], boxes[left])[0] >= JOIN_IOU
            near[0] = True
            groups.append(left[near])
            left = left[~near]
    return groups


def _decode(detector: Detector, table: Tensor, views: Views) -> Detections:
    """table: as `_candidates` makes it, on the CPU."""
    anchors = _anchors(detector)
    number, raw = table[:, 0].long(), table[:, 2:].reshape(-1, _COLUMNS // 2, 2)
    view, anchor = number // len(anchors), number % len(anchors)
    matrix = views.matrix[view]
    points = raw[:, [0, 2 + _RIGHT_EYE, 2 + _LEFT_EYE]] + anchors[anchor][:, None] - 0.5
    points = points @ matrix[:, :, :2].mT + matrix[:, None, :, 2]
    side = raw[:, 1].amax(dim=1) * matrix[:, :, 0].norm(dim=1)
    return Detections(views.frame[view], points[:, 0], side, points[:, 1:], table[:, 1])


@cache
def _anchors(detector: Detector) -> Tensor:
    """The anchors' centres [A, 2] in input pixels, halves at pixel centres: by grid, row, column, anchor of a cell."""
    grids = []
    for stride, per_cell in detector.grids:
        at = (torch.arange(detector.size // stride) + 0.5) * stride
        y, x = torch.meshgrid(at, at, indexing="ij")
        grids.append(torch.stack([x, y], -1).reshape(-1, 1, 2).expand(-1, per_cell, 2).reshape(-1, 2))
    return torch.cat(grids)


def _square(x: float, y: float, side: float, turn: int, size: int) -> Tensor:
    """The view of the square of `side` centred at (x, y), turned by quarter turns: [2, 3]."""
    scale, middle = side / size, (size - 1) / 2
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[turn % 4]
    linear = torch.tensor([[cos, -sin], [sin, cos]]) * scale
    shift = torch.tensor([x, y]) - linear @ torch.tensor([middle, middle])
    return torch.cat([linear, shift[:, None]], dim=1).float()


def _starts(length: float, side: float) -> list[float]:
    """Where along an edge the squares begin; one centred on an edge shorter than a square."""
    if length <= side:
        return [(length - side) / 2]
    count = int(np.ceil((length - side) / (side * 2 / 3))) + 1
    return [float(start) for start in np.linspace(0, length - side, count)]


def _each_frame(views: list[Tensor], frames: int) -> Views:
    matrix = torch.stack(views) if views else torch.zeros(0, 2, 3)
    return Views(matrix.repeat(frames, 1, 1), torch.arange(frames).repeat_interleave(len(views)))
