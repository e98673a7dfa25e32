"""Alignments and landmarks smoothed over time before a conversion, so that the swap on a still head does not tremble.

The alignment is smoothed as four numbers: the logarithm of its scale, its turn, and where its square's middle is. Scale
and turn are calmed more than place: a head's own change slower, and what speech does to the mesh is in them. Landmarks
move with the alignment; within its square they are smoothed lightly, since lips and lids are quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.faces import invert, smooth_evenly, smooth_path, transform
from fastswap.faceset import FaceSet

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

_TREMBLE_PLACE = 0.00035  # of the square's side: how far a still head's alignment is off from frame to frame
_TREMBLE_TURN = 0.0035  # of the scale, and radians
_LANDMARK_CUTOFF = 5.0  # Hz: speech and lids are slower
_COLUMNS = 240  # of landmarks smoothed at once: bounded memory, whatever the length of the video


def smoothed(faces: FaceSet, person: int, time_base: Fraction) -> FaceSet:
    """The same face set with the alignments and landmarks of `person` smoothed, track by track and never over frames in
    which the face was not seen. time_base: seconds that one unit of the table's pts stands for; a row without pts is
    one that was filled in (`presence`), and counts for nothing in the paths."""
    aspect = faces.meta.source.aspect
    every = np.arange(faces.table.num_rows)
    landmarks, alignments = faces.landmarks(every), faces.alignments(every)
    for rows, seconds, seen in _runs(faces, person, time_base):
        before = alignments[rows]
        after = _smooth_alignments(before, aspect, seconds, seen)
        local = transform(invert(before), landmarks[rows])
        shape = local.shape
        flat = local.flatten(1).double().numpy()
        pieces = np.split(flat, range(_COLUMNS, flat.shape[1], _COLUMNS), axis=1)
        calm = np.concatenate([smooth_evenly(piece, seconds, _LANDMARK_CUTOFF, seen) for piece in pieces], axis=1)
        landmarks[rows, :, :2] = transform(after, torch.from_numpy(calm).float().reshape(shape))
        alignments[rows] = after
    return faces.with_columns(landmarks=landmarks.flatten(1).numpy(), alignment=alignments.flatten(1).numpy())


def _runs(faces: FaceSet, person: int, time_base: Fraction) -> Iterator[tuple[Rows, Array, NDArray[np.bool_] | None]]:
    """The rows of one track over frames without a gap, their times, and whether something was measured in each."""
    rows = np.concatenate([rows for _, rows in faces.by_frame(person)])
    track, frame = (np.asarray(faces.table[name].to_numpy())[rows] for name in ("track", "frame"))
    pts = np.asarray(faces.table["pts"].to_numpy(), dtype=np.float64)[rows]
    order = np.lexsort((frame, track))
    breaks = (np.diff(track[order]) != 0) | (np.diff(frame[order]) != 1)
    for run in np.split(order, np.flatnonzero(breaks) + 1):
        seen = ~np.isnan(pts[run])
        times = np.interp(frame[run], frame[run][seen], pts[run][seen])
        yield rows[run], times * float(time_base), seen


def _smooth_alignments(alignment: Tensor, aspect: float, seconds: Array, seen: NDArray[np.bool_] | None) -> Tensor:
    """Alignments of one run, [n, 2, 3], smoothed as similarities of square pixels."""
    matrix = alignment.double().numpy() * np.array([[aspect], [1.0]])
    along, across = matrix[:, 0, 0], matrix[:, 1, 0]
    scale = np.hypot(along, across)
    middle = matrix[..., :2].sum(axis=2) / 2 + matrix[..., 2]
    numbers = np.column_stack([np.log(scale), np.unwrap(np.arctan2(across, along)), middle])
    place = _TREMBLE_PLACE * float(np.median(scale))
    tremble = np.array([_TREMBLE_TURN, _TREMBLE_TURN, place, place])
    calm = smooth_path(numbers, seconds, tremble, seen)
    along, across = np.exp(calm[:, 0]) * (np.cos(calm[:, 1]), np.sin(calm[:, 1]))
    turn = np.stack([np.stack([along, -across], axis=1), np.stack([across, along], axis=1)], axis=1)
    shift = calm[:, 2:] - turn.sum(axis=2) / 2
    result = np.concatenate([turn, shift[..., None]], axis=2) / np.array([[aspect], [1.0]])
    return torch.from_numpy(result).float()
