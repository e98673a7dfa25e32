"""How steadily a face is held over time: the tremble of its alignment, and how far the head slips within it.

Tremble alone is not enough: an alignment that never moves does not tremble. Slip tells both faults, trembling and
lagging, without a known truth: where the alignment follows the head exactly, the head does not move in the aligned
square. Both are shares of the square's side, so that faces of all sizes compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.faces import mean_face, transform
from fastswap.faces.alignment import RIGID
from fastswap.faces.mesh import FACE_OVAL
from fastswap.quality.metrics import Array, Picture

_WINDOW = 0.06  # of the square's side: what the flow of one point is measured in
_LEAST_WINDOW = 9  # px
_LEVELS = 2  # of the flow's pyramid: what an alignment leaves to find is small
_THERE_AND_BACK = 0.3  # px that a point may be off after both ways
_LEAST_POINTS = 15  # of the skull's, that a movement is believed of
_INLIER = 1.0  # px


def tremble(
    alignment: Tensor,  # [n, 2, 3], unit square -> frame px, of square pixels
    frame: Sequence[int] | None = None,  # [n], rising; None: without gaps
) -> float:
    """The root mean square of the second difference over time of the mean face's oval, as the alignments of one track
    place it. Over frames that follow each other; nan where there are no three."""
    oval = transform(alignment.double(), mean_face()[list(FACE_OVAL)].double().expand(len(alignment), -1, -1))
    second = oval[2:] - 2 * oval[1:-1] + oval[:-2]
    number = np.arange(len(alignment)) if frame is None else np.asarray(frame)
    whole = torch.from_numpy(number[2:] - number[:-2] == 2)
    if not bool(whole.any()):
        return float("nan")
    scale = torch.linalg.det(alignment[1:-1, :, :2].double()).sqrt()
    shares = second.square().sum(-1).mean(-1) / scale.square()
    return float(shares[whole].mean().sqrt())


class Slip:
    """Measures how far a head moves within its aligned square from frame to frame, for several ways to align it.

        slip = Slip(("measured", "smoothed"))
        for picture, alignments in ...:
            slip.add(picture, alignments)
        slip.scores()["smoothed"]

    The head's movement is that of the skull's points, by optical flow (Lucas and Kanade, forth and back), and it is the
    same for all candidates. What flow itself is off by is in all scores: they compare, and are no absolute truth.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._previous: tuple[NDArray[np.uint8], dict[str, Array]] | None = None
        self._squares: dict[str, list[float]] = {name: [] for name in self.names}

    def add(
        self,
        picture: Picture,  # RGB uint8 [h, w, 3]
        alignment: Mapping[str, Tensor] | None,  # by name: [2, 3]; None: nobody is there, or a new shot begins
    ) -> None:
        """The next frame. Raises ValueError where names differ."""
        if alignment is None:
            self._previous = None
            return
        if set(alignment) != set(self.names):
            raise ValueError(f"alignments of {sorted(self.names)} are due, got {sorted(alignment)}")
        grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        matrices = {name: matrix.double().numpy() for name, matrix in alignment.items()}
        if self._previous is not None:
            self._compare(*self._previous, grey, matrices)
        self._previous = grey, matrices

    def scores(self) -> dict[str, float]:
        """The root mean square of the slip by name; nan where no movement could be measured."""
        return {
            name: float(np.sqrt(np.mean(squares))) if squares else float("nan")
            for name, squares in self._squares.items()
        }

    def _compare(
        self, before: NDArray[np.uint8], old: dict[str, Array], after: NDArray[np.uint8], new: dict[str, Array]
    ) -> None:
        movement = _movement(before, after, old[self.names[0]], new[self.names[0]])
        if movement is None:
            return
        oval = mean_face()[list(FACE_OVAL), :2].double().numpy()
        for name in self.names:
            carried = _place(movement, _place(old[name], oval))
            scale = np.linalg.det(new[name][:, :2])
            self._squares[name].append(float(np.square(carried - _place(new[name], oval)).sum(1).mean() / scale))


def _movement(before: NDArray[np.uint8], after: NDArray[np.uint8], old: Array, new: Array) -> Array | None:
    """The similarity [2, 3] from frame to frame that the skull's points follow; None where too few can be followed."""
    rigid = mean_face()[list(RIGID), :2].double().numpy()
    start, guess = (_place(matrix, rigid).astype(np.float32)[:, None] for matrix in (old, new))
    window = max(_LEAST_WINDOW, round(_WINDOW * float(np.sqrt(np.linalg.det(new[:, :2]))))) | 1
    there, found = _flow(before, after, start, guess, window)
    back, found_back = _flow(after, before, there, start, window)
    good = found & found_back & (np.linalg.norm(back - start, axis=2)[:, 0] < _THERE_AND_BACK)
    if good.sum() < _LEAST_POINTS:
        return None
    movement, _ = cv2.estimateAffinePartial2D(start[good], there[good], ransacReprojThreshold=_INLIER)
    return None if movement is None else np.asarray(movement)


def _flow(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    start: NDArray[np.float32],
    guess: NDArray[np.float32],
    window: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, start, guess.copy(), winSize=(window, window), maxLevel=_LEVELS,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )  # fmt: skip
    return np.asarray(there, dtype=np.float32), np.asarray(found[:, 0] > 0)


def _place(matrix: Array, points: Array) -> Array:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])
