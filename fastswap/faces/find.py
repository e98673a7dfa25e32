"""All faces of a batch of frames: detected, landmarked, and believed only where the mesh itself sees a face.

The detectors fire on logos and miss profiles; the mesh knows better in both cases. So the detector may be generous, the
mesh's flag decides, and where a frame lacks a face that the frame beside it has, the mesh looks where that one was.
What costs much (a pyramid of tiles, quarter turns) is done for pictures, and else only for every few frames in which
nothing was found; what that finds is carried on to the frames around by the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from fastswap.faces import detect, landmarks
from fastswap.faces._belief import CONFIRMED, FOLLOWED, believe
from fastswap.faces.detect import FULL_RANGE, SHORT_RANGE, Detections
from fastswap.ops.planes import Planes

_SCORE = 0.4  # the least detector score worth a look by the mesh
_SAME_FACE = 0.3  # the overlap of landmark boxes from which two finds in a frame are one face
_NESTED = 0.7  # the part of a landmark box inside another from which it is the same face, seen as its mouth or eye
_TURNS = (1, 2, 3)
_SEARCH_EVERY = 8  # of consecutive frames in which nothing was found, every how many are searched thoroughly
_SMALL_LEVELS, _TURNED_LEVELS, _RETRY_LEVELS = 5, 2, 2  # of the tile pyramid


@dataclass(frozen=True, slots=True)
class Faces:
    """N faces of a batch of frames, sorted by frame, larger first within a frame; on the CPU, where what reads them is,
    the matrices of `warp` among it.

    frame: int64 [N], index into the batch; box: float32 [N, 4] x0, y0, x1, y1 of the landmarks, frame px; score: [N],
    the detector's, or where that left a doubt the mean of both detectors on the face alone; flag: [N], the mesh's own
    face probability; landmarks: float32 [N, 478, 3], frame px and relative depth (in frame px of height).
    """

    frame: Tensor
    box: Tensor
    score: Tensor
    flag: Tensor
    landmarks: Tensor


@dataclass(frozen=True, slots=True)
class _Found:
    """Faces in square pixels, on the CPU; `points` [N, 478, 3]."""

    frame: Tensor
    score: Tensor
    flag: Tensor
    points: Tensor

    def boxes(self) -> Tensor:
        low, high = self.points[..., :2].aminmax(dim=1)
        return torch.cat([low, high], dim=1)

    def take(self, rows: Tensor) -> _Found:
        return _Found(*(getattr(self, field.name)[rows] for field in fields(self)))

    def join(self, other: _Found) -> _Found:
        """Both, each face once, sorted by frame and size."""
        return _Found(
            *(torch.cat([getattr(self, field.name), getattr(other, field.name)]) for field in fields(self))
        ).distinct()

    def distinct(self) -> _Found:
        """Of the finds of one face the one with the best flag (to a hundredth), then the best score."""
        boxes = self.boxes().numpy()
        quality = np.lexsort((-self.score.numpy(), -(self.flag * 100).round().numpy()))
        same = (detect.overlap(boxes, boxes) >= _SAME_FACE) | (detect.nesting(boxes, boxes) >= _NESTED)
        same &= (self.frame[:, None] == self.frame).numpy()
        kept: list[int] = []
        for row in quality:
            if not same[row, kept].any():
                kept.append(int(row))
        area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        rows = torch.tensor(sorted(kept, key=lambda row: (int(self.frame[row]), -area[row])), dtype=torch.int64)
        return self.take(rows)


class FaceFinder:
    """Finds the faces of batches of frames.

    device: where the networks run; frames elsewhere are brought there. small: look for small faces in large frames too,
    in all frames (what pictures want; a video's frame costs about ten times as much). window: within runs of how many
    frames faces are followed (None: within the batch), so that a batch of several windows finds what they find alone.
    """

    def __init__(self, device: torch.device | str = "cpu", *, small: bool = False, window: int | None = None) -> None:
        self.device = torch.device(device)
        self.small = small
        self.window = window

    def find(self, planes: Planes, *, aspect: float = 1.0) -> Faces:
        """The faces of M frames, which are consecutive frames of a video where M > 1: faces are followed from frame to
        frame within a window. aspect: pixel width / height. Raises ValueError for an aspect that is not positive, and
        what `networks.load` raises."""
        if not 0 < aspect < float("inf"):
            raise ValueError(f"aspect is positive and finite, got {aspect}")
        search = _Search(planes.to(self.device), aspect, self.window or planes.frames)
        everywhere = torch.ones(planes.frames, dtype=torch.bool)
        search.whole(FULL_RANGE, everywhere)
        if self.small:
            search.tiles(_SMALL_LEVELS, everywhere)
            search.whole(FULL_RANGE, everywhere, _TURNS)
            search.tiles(_TURNED_LEVELS, everywhere, _TURNS)
        search.follow()
        empty = search.thinned_empty()
        if empty.any():
            search.thoroughly(empty, small=self.small)
            search.follow()
        return search.faces()


class _Search:
    """What is known so far of one batch of frames."""

    def __init__(self, planes: Planes, aspect: float, window: int) -> None:
        self.planes, self.aspect, self.window = planes, aspect, window
        none = torch.zeros(0)
        self.found = _Found(torch.zeros(0, dtype=torch.int64), none, none, torch.zeros(0, 478, 3))

    def whole(self, detector: detect.Detector, frames: Tensor, turns: tuple[int, ...] = (0,)) -> None:
        self._detect(detector, detect.select(detect.whole(self.planes, self.aspect, detector, turns), frames))

    def tiles(self, levels: int, frames: Tensor, turns: tuple[int, ...] = (0,)) -> None:
        views = detect.tiles(self.planes, self.aspect, FULL_RANGE, levels, turns)
        self._detect(FULL_RANGE, detect.select(views, frames))

    def thoroughly(self, frames: Tensor, *, small: bool) -> None:
        """All that is still untried, cheapest first, each for the frames that have nothing yet."""
        self.whole(SHORT_RANGE, frames)
        if not small:
            self.tiles(_RETRY_LEVELS, frames & self.empty())
            self.whole(FULL_RANGE, frames & self.empty(), _TURNS)
        self.whole(SHORT_RANGE, frames & self.empty(), _TURNS)

    def empty(self) -> Tensor:
        """bool [M]: the frames without a face."""
        empty = torch.ones(self.planes.frames, dtype=torch.bool)
        empty[self.found.frame] = False
        return empty

    def thinned_empty(self) -> Tensor:
        """bool [M]: the first frame without a face of every run of them in a window, and every _SEARCH_EVERY-th after
        it."""
        empty = self.empty()
        run = 0
        for index in range(len(empty)):
            before = 0 if index % self.window == 0 else run
            run = before + 1 if empty[index] else 0
            empty[index] = run % _SEARCH_EVERY == 1
        return empty

    def follow(self) -> None:
        """Carries faces on to the frames beside them, in both directions, as far as the mesh agrees and the window
        goes."""
        fresh = self.found
        while len(fresh.frame):
            asked = [self._missing(fresh, step) for step in (-1, 1)]
            rows = torch.cat([rows for rows, _ in asked])
            target = torch.cat([frames for _, frames in asked])
            before = len(self.found.frame)
            fresh = self._look(landmarks.regions_of(fresh.points[rows]), target, torch.zeros(len(rows)), FOLLOWED)
            if len(self.found.frame) == before:
                return

    def _missing(self, fresh: _Found, step: int) -> tuple[Tensor, Tensor]:
        """The rows of `fresh` whose face the frame `step` beside it lacks, and the number of that frame."""
        target = fresh.frame + step
        boxes = detect.overlap(fresh.boxes().numpy(), self.found.boxes().numpy())
        there = (boxes >= _SAME_FACE) & (target[:, None] == self.found.frame).numpy()
        together = (target >= 0) & (target // self.window == fresh.frame // self.window)
        lacking = torch.from_numpy(~there.any(axis=1)) & together & (target < self.planes.frames)
        rows = lacking.nonzero()[:, 0]
        return rows, target[rows]

    def _detect(self, detector: detect.Detector, views: detect.Views) -> None:
        if len(views.frame):
            found: Detections = detect.detect(self.planes, self.aspect, detector, views, _SCORE)
            self._look(landmarks.regions(found), found.frame, found.score)

    def _look(self, region: Tensor, frame: Tensor, score: Tensor, least: float = CONFIRMED) -> _Found:
        """Keeps the regions that are faces, and returns those."""
        faces = believe(self.planes, self.aspect, region, frame, score, least)
        new = _Found(frame[faces.row], faces.score, faces.flag, faces.points)
        self.found = self.found.join(new)
        return new

    def faces(self) -> Faces:
        found = self.found
        to_frame = torch.tensor([1 / self.aspect, 1.0, 1.0])
        points = found.points * to_frame
        low, high = points[..., :2].aminmax(dim=1)
        return Faces(found.frame, torch.cat([low, high], dim=1), found.score, found.flag, points)
