"""Faces missed for a moment are filled in, faces seen for a moment are left alone; and nothing else changes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from fastswap.conversion.presence import present
from fastswap.conversion.smoothing import smoothed
from fastswap.faces import EXTENT, TEMPLATE, align, mean_face
from fastswap.faceset import FaceSet, FaceSetMeta, Source
from fastswap.faceset.format import table_schema
from fastswap.video import VideoInfo

VIDEO = VideoInfo(
    path=Path("a.mp4"), width=640, height=480, frames=60, fps=Fraction(25), time_base=Fraction(1, 1000), layout="nv12",
    codec="h264",
)  # fmt: skip
SIZE = 200  # px, of the aligned square


def seen(
    frames: Sequence[int],
    speed: float = 1.0,  # px a frame
    track: Sequence[int] | int = 0,
    person: int = 0,
    flag: float = 1.0,
    score: float = 0.9,
    left: float = 200.0,  # px, of the square in frame 0
    zoom: float = 0.0,  # growth a frame
) -> FaceSet:
    number = torch.tensor(frames, dtype=torch.float32)
    points = mean_face()[None] * SIZE * (1 + zoom * number)[:, None, None]
    points[..., 0] += left + speed * number[:, None]
    points[..., 1] += 100
    low, high = points[..., :2].aminmax(dim=1)
    count = len(frames)
    columns = {
        "file": [f"{i:06d}_0.png" for i in frames],
        "frame": list(frames),
        "pts": [40 * i for i in frames],
        "track": np.broadcast_to(track, count).tolist(),
        "person": [person] * count,
        "box": torch.cat([low, high], dim=1).tolist(),
        "score": [score] * count,
        "flag": [flag] * count,
        "landmarks": points.flatten(1).tolist(),
        "alignment": align(points).flatten(1).tolist(),
        **{name: [0.0] * count for name in ("yaw", "pitch", "roll", "sharpness")},
    }
    source = Source("a.mp4", "a.mp4", "0", 640, 480, 60, "25", 1.0)
    table = pa.table(columns).select(table_schema().names).cast(table_schema())
    return FaceSet(Path("nowhere"), FaceSetMeta(source, 64, 1, TEMPLATE, EXTENT), table)


def together(*sets: FaceSet) -> FaceSet:
    table = pa.concat_tables([faces.table for faces in sets])
    order = np.argsort(table["frame"].to_numpy(), kind="stable")
    return replace(sets[0], table=table.take(order))


def frames_of(faces: FaceSet, person: int = 0) -> list[int]:
    return [frame for frame, _ in faces.by_frame(person)]


def without(*missing: int) -> list[int]:
    return [frame for frame in range(60) if frame not in missing]


class TestAFaceMissed:
    @pytest.mark.parametrize("missing", [(30,), (30, 31), (10, 30, 31, 32)])
    def test_for_a_moment_is_filled_in_where_it_must_have_been(self, missing, caplog):
        caplog.set_level(logging.INFO, "fastswap")
        faces = present(seen(without(*missing)), 0, VIDEO)
        assert frames_of(faces) == list(range(60))
        whole = seen(range(60))
        rows = np.arange(60)
        assert torch.allclose(faces.alignments(rows), whole.alignments(rows), atol=1e-2)
        assert torch.allclose(faces.landmarks(rows), whole.landmarks(rows), atol=1e-2)
        assert f"filled in where they were missed for a moment: {len(missing)}" in caplog.text

    def test_is_marked_as_not_seen(self):
        table = present(seen(without(30)), 0, VIDEO).table
        assert [i for i, pts in enumerate(table["pts"].to_pylist()) if pts is None] == [30]
        assert table["file"][30].as_py() == ""

    def test_counts_for_nothing_when_smoothed(self):
        faces = present(seen(without(30, 31)), 0, VIDEO)
        rows = np.arange(60)
        wrong = faces.alignments(rows)
        wrong[30:32, :, 2] += 50
        wrong = smoothed(faces.with_columns(alignment=wrong.flatten(1).numpy()), 0, Fraction(1, 1000))
        assert torch.allclose(wrong.alignments(rows), seen(range(60)).alignments(rows), atol=0.1)

    def test_for_longer_stays_missed(self):
        assert frames_of(present(seen(without(*range(30, 34))), 0, VIDEO)) == list(range(60))
        assert frames_of(present(seen(without(*range(30, 35))), 0, VIDEO)) == without(*range(30, 35))

    def test_is_filled_in_for_as_long_a_time_at_any_frame_rate(self):
        quick = replace(VIDEO, fps=Fraction(60))
        assert frames_of(present(seen(without(*range(30, 36))), 0, quick)) == list(range(60))

    def test_at_a_cut_stays_missed(self):
        track = [0 if frame < 30 else 1 for frame in without(30)]
        assert frames_of(present(seen(without(30), track=track), 0, VIDEO)) == without(30)

    def test_that_is_elsewhere_afterwards_stays_missed(self):
        faces = together(seen(range(30), speed=0.0), seen(range(31, 60), speed=0.0, left=300.0))
        assert frames_of(present(faces, 0, VIDEO)) == without(30)

    def test_that_is_larger_afterwards_stays_missed(self):
        faces = together(seen(range(30)), seen(range(31, 60), zoom=0.01))
        assert frames_of(present(faces, 0, VIDEO)) == without(30)

    def test_at_the_edge_of_the_frame_stays_missed(self):
        """It went out and came back."""
        assert frames_of(present(seen(without(30), speed=0.0, left=580), 0, VIDEO)) == without(30)

    def test_where_another_face_is_stays_missed(self):
        faces = together(seen(without(30)), seen([29, 30, 31, 32], track=5, person=1))
        assert frames_of(present(faces, 0, VIDEO)) == without(30)

    def test_of_another_person_is_not_looked_for(self):
        faces = together(seen(range(60)), seen(without(30), left=0, track=5, person=1))
        assert frames_of(present(faces, 0, VIDEO), 1) == without(30)


class TestAFaceSeenForAMoment:
    @pytest.mark.parametrize("doubt", [{"flag": 0.6}, {"score": 0.6}])
    def test_in_doubt_is_left_alone(self, doubt, caplog):
        caplog.set_level(logging.INFO, "fastswap")
        faces = together(seen(range(40)), seen([50, 51], track=7, **doubt))
        assert frames_of(present(faces, 0, VIDEO)) == list(range(40))
        assert "left alone: 2 faces" in caplog.text

    def test_beyond_doubt_is_swapped(self):
        faces = together(seen(range(40)), seen([50, 51], track=7))
        assert frames_of(present(faces, 0, VIDEO)) == [*range(40), 50, 51]

    def test_whose_track_was_cut_is_swapped(self):
        faces = together(seen(range(40)), seen([40], track=7, flag=0.6), seen(range(41, 60), track=8))
        assert frames_of(present(faces, 0, VIDEO)) == list(range(60))

    def test_that_is_all_there_is_is_swapped(self):
        assert frames_of(present(seen([0], flag=0.6), 0, VIDEO)) == [0]

    def test_in_a_folder_of_pictures_is_swapped(self):
        faces = seen(range(0, 60, 2), track=range(30), flag=0.6)
        assert present(faces, 0, replace(VIDEO, is_pictures=True)) is faces


def test_a_face_always_there_is_left_as_it_is():
    faces = seen(range(60))
    assert present(faces, 0, VIDEO) is faces
