"""Who is there in which frame: a face missed for a moment is filled in, one seen for a moment only is left alone, since
either would make the swap flash.

A face is filled in between two frames of its own track, so never across a cut, and only where it cannot have gone far:
the two are in nearly one place, and both lie within the frame for the most part.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from fastswap.faces import align
from fastswap.faces.track import box_overlap
from fastswap.faceset import FaceSet
from fastswap.faceset.format import DROPPED
from fastswap.video import VideoInfo

if TYPE_CHECKING:
    import pyarrow as pa

Numbers = NDArray[np.float64]

_log = logging.getLogger("fastswap")
_LONGEST = 0.15  # seconds that a face may be missing and be filled in: a blink of the detector, not a hand before it
_FARTHEST = 0.4  # of its size: how far it may have gone meanwhile
_MOST_CHANGE = 1.25  # of its size: how much larger or smaller it may have become
_LEAST_WITHIN = 0.6  # of its box inside of the frame, before and after
_MOMENT = 2  # frames: a face that is seen in no more is believed only where it is beyond doubt
_SURE_FLAG, _SURE_SCORE = 0.9, 0.77  # every face of all our clips has these, hardly a false one has
_SAME_PLACE = 0.2  # overlap of boxes from which a face of the frame beside is the same one, its track cut


def present(faces: FaceSet, person: int, video: VideoInfo) -> FaceSet:
    """The same face set for the conversion of `person`: with the faces that were missed for a moment, without those
    that only seemed to be there for one. Rows that were filled in have no pts and no file name. Pictures of a folder
    are left as they are. Says in the log what was done."""
    if video.is_pictures:
        return faces
    faces, left = _without_moments(faces, person)
    faces, filled = _filled(faces, person, float(video.fps))
    if filled:
        _log.info("faces filled in where they were missed for a moment: %d", filled)
    if left:
        _log.info("seen for a moment only and in doubt, left alone: %d faces", left)
    return faces


def _without_moments(faces: FaceSet, person: int) -> tuple[FaceSet, int]:
    rows = np.concatenate([rows for _, rows in faces.by_frame(person)])
    track, frame, flag, score = (
        np.asarray(faces.table[name].to_numpy())[rows] for name in ("track", "frame", "flag", "score")
    )
    box = _boxes(faces)[rows]
    doubtful = np.zeros(faces.table.num_rows, dtype=bool)
    numbers, counts = np.unique(track, return_counts=True)
    for number in numbers[counts <= _MOMENT]:
        own = track == number
        sure = bool((flag[own] >= _SURE_FLAG).all() and (score[own] >= _SURE_SCORE).all())
        if not sure and not _goes_on(frame, box, own):
            doubtful[rows[own]] = True
    if not doubtful.any() or doubtful.sum() == len(rows):
        return faces, 0
    persons = np.where(doubtful, DROPPED, faces.table["person"].to_numpy())
    return faces.with_columns(person=persons), int(doubtful.sum())


def _goes_on(frame: NDArray[np.int64], box: Numbers, own: NDArray[np.bool_]) -> bool:
    """Whether a face of another track is in the same place in the frame before or after."""
    for moment, place in zip(frame[own], box[own], strict=True):
        beside = ~own & (np.abs(frame - moment) == 1)
        if (_overlap(place, box[beside]) >= _SAME_PLACE).any():
            return True
    return False


@dataclass(frozen=True)
class _Gap:
    """Two rows of one track, and the frames between them in which nothing was found."""

    before: int
    after: int
    frames: range


def _filled(faces: FaceSet, person: int, fps: float) -> tuple[FaceSet, int]:
    gaps = [gap for gap in _gaps(faces, person, max(1, round(_LONGEST * fps))) if _same_place(faces, gap)]
    if not gaps:
        return faces, 0
    import pyarrow as pa

    added = pa.concat_tables([_between(faces, gap) for gap in gaps])
    table = pa.concat_tables([faces.table, added])
    order = np.argsort(np.asarray(table["frame"].to_numpy()), kind="stable")
    return replace(faces, table=table.take(order)), added.num_rows


def _gaps(faces: FaceSet, person: int, longest: int) -> Iterator[_Gap]:
    rows = np.concatenate([rows for _, rows in faces.by_frame(person)])
    track, frame = (np.asarray(faces.table[name].to_numpy())[rows] for name in ("track", "frame"))
    order = np.lexsort((frame, track))
    missed = np.diff(frame[order]) - 1
    short = (np.diff(track[order]) == 0) & (missed > 0) & (missed <= longest)
    for place in np.flatnonzero(short):
        before, after = (int(row) for row in rows[order[place : place + 2]])
        yield _Gap(before, after, range(int(frame[order[place]]) + 1, int(frame[order[place + 1]])))


def _same_place(faces: FaceSet, gap: _Gap) -> bool:
    """Whether the face was still there in between, as far as its two ends and the other faces of those frames tell."""
    box = _boxes(faces)
    ends = box[[gap.before, gap.after]]
    size = (ends[:, 2:] - ends[:, :2]).max(axis=1)
    moved = float(np.linalg.norm((ends[1] - ends[0]).reshape(2, 2).mean(axis=0)))
    frame_box = np.array([0.0, 0.0, faces.meta.source.width, faces.meta.source.height])
    shared = np.minimum(ends[:, 2:], frame_box[2:]) - np.maximum(ends[:, :2], frame_box[:2])
    within = shared.clip(min=0).prod(axis=1) / (ends[:, 2:] - ends[:, :2]).prod(axis=1)
    frame = np.asarray(faces.table["frame"].to_numpy())
    meanwhile = box[np.isin(frame, list(gap.frames))]
    return bool(
        moved <= _FARTHEST * size.mean()
        and size.max() <= _MOST_CHANGE * size.min()
        and (within >= _LEAST_WITHIN).all()
        and not (_overlap(ends.mean(axis=0), meanwhile) >= _SAME_PLACE).any()
    )


def _between(faces: FaceSet, gap: _Gap) -> pa.Table:
    """The rows of a gap's frames: their places between those of its ends, all else as in the row before."""
    import pyarrow as pa

    count = len(gap.frames)
    ends = np.array([gap.before, gap.after])
    share = np.linspace(0, 1, count + 2, dtype=np.float32)[1:-1]
    first, last = faces.landmarks(ends)
    landmarks = torch.lerp(first, last, torch.from_numpy(share)[:, None, None])
    box = _boxes(faces)[ends]
    copies = replace(faces, table=faces.table.take(np.full(count, gap.before)))
    table = copies.with_columns(
        file=np.full(count, ""),
        frame=np.array(gap.frames),
        box=box[0] + share[:, None] * (box[1] - box[0]),
        landmarks=landmarks.flatten(1).numpy(),
        alignment=align(landmarks, faces.meta.source.aspect).flatten(1).numpy(),
    ).table
    place = table.schema.get_field_index("pts")
    return table.set_column(place, table.schema.field(place), pa.nulls(count, pa.int64()))


def _boxes(faces: FaceSet) -> Numbers:
    """[rows, 4], frame px."""
    values = faces.table["box"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.array(values, dtype=np.float64).reshape(-1, 4)


def _overlap(box: Numbers, others: Numbers) -> Numbers:
    """Intersection over union of a box [4] and others [k, 4]: [k]."""
    boxes = (torch.from_numpy(np.atleast_2d(part)) for part in (box, others))
    return np.asarray(box_overlap(*boxes)[0].numpy())
