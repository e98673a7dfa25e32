"""Smoothing calms a trembling alignment and follows a moving one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from fastswap.conversion.smoothing import smoothed
from fastswap.extraction import extract
from fastswap.faces import EXTENT, TEMPLATE, align, mean_face
from fastswap.faceset import FaceSet, FaceSetMeta, Source
from fastswap.faceset.format import table_schema
from fastswap.faceset.scan import ScanSettings
from fastswap.ops import warp
from fastswap.quality.steadiness import Slip, tremble
from fastswap.video import Frame, open_video

FRAMES = 100
MILLISECONDS = Fraction(1, 1000)


def trembling(speed: float) -> FaceSet:
    """A face that moves by `speed` pixels a frame, its landmarks half a pixel off at random."""
    generator = torch.Generator().manual_seed(3)
    points = mean_face()[None] * 200 + torch.randn((FRAMES, 478, 3), generator=generator) * 0.5
    points[..., 0] += torch.arange(FRAMES)[:, None] * speed
    alignment = align(points)
    constant = {name: [0] * FRAMES for name in ("track", "person")}
    numbers = {name: [0.0] * FRAMES for name in ("score", "flag", "yaw", "pitch", "roll", "sharpness")}
    table = pa.table(
        {
            "file": [f"{i:06d}_0.png" for i in range(FRAMES)],
            "frame": list(range(FRAMES)),
            "pts": [40 * i for i in range(FRAMES)],
            "box": [[0, 0, 1, 1]] * FRAMES,
            "landmarks": points.flatten(1).tolist(),
            "alignment": alignment.flatten(1).tolist(),
            **constant,
            **numbers,
        }
    )
    source = Source("a", "a", "0", 640, 480, FRAMES, "25", 1.0)
    meta = FaceSetMeta(source, 64, 1, TEMPLATE, EXTENT)
    return FaceSet(Path("nowhere"), meta, table.select(table_schema().names).cast(table_schema()))


def centres(faces: FaceSet) -> np.ndarray:
    alignment = faces.alignments(np.arange(FRAMES))
    return (alignment @ torch.tensor([0.5, 0.5, 1.0])).numpy()


def jitter(faces: FaceSet) -> float:
    return float(np.abs(np.diff(centres(faces), 2, axis=0)).mean())


def test_a_still_head_trembles_less() -> None:
    before = trembling(0.0)
    assert jitter(smoothed(before, 0, MILLISECONDS)) < 0.15 * jitter(before)


def test_a_moving_head_is_followed_without_lag() -> None:
    before = trembling(6.0)
    after = smoothed(before, 0, MILLISECONDS)
    assert abs((centres(before) - centres(after))[:, 0].mean()) < 0.01
    assert np.abs(centres(before) - centres(after)).max() < 0.5


def test_landmarks_move_with_the_alignment() -> None:
    before = trembling(0.0)
    after = smoothed(before, 0, MILLISECONDS)
    points = [faces.landmarks(np.arange(FRAMES)) for faces in (before, after)]
    still = [float(torch.diff(each[..., :2], n=2, dim=0).square().mean().sqrt()) for each in points]
    assert still[1] < 0.5 * still[0]
    assert torch.equal(points[0][..., 2], points[1][..., 2]), "depth is left alone"
    again = align(points[1])
    assert float((again - after.alignments(np.arange(FRAMES))).abs().max()) < 0.5


def test_an_alignment_stays_a_similarity_of_square_pixels() -> None:
    before = trembling(0.0)
    narrow = replace(before, meta=replace(before.meta, source=replace(before.meta.source, aspect=2.0)))
    squeezed = before.alignments(np.arange(FRAMES)) * torch.tensor([[0.5], [1.0]])
    narrow = narrow.with_columns(alignment=squeezed.flatten(1).numpy())
    after = smoothed(narrow, 0, MILLISECONDS).alignments(np.arange(FRAMES)) * torch.tensor([[2.0], [1.0]])
    turn = after[..., :2]
    assert torch.allclose(turn @ turn.mT, torch.linalg.det(turn)[:, None, None] * torch.eye(2), rtol=1e-4, atol=0.1)
    wide = smoothed(before, 0, MILLISECONDS).alignments(np.arange(FRAMES))
    assert torch.allclose(after, wide, atol=0.2)


def test_two_shots_do_not_know_of_each_other() -> None:
    """The same face in another place from frame 50 on, in a track of its own; and a track with a hole in it."""
    before = trembling(0.0)
    place = before.alignments(np.arange(FRAMES)).clone()
    place[50:, 0, 2] += 30
    first = np.arange(50)
    apart = before.with_columns(track=(np.arange(FRAMES) >= 50).astype(int), alignment=place.flatten(1).numpy())
    hole = before.with_columns(frame=np.arange(FRAMES) + 20 * (np.arange(FRAMES) >= 50))
    alone = smoothed(replace(before, table=before.table.slice(0, 50)), 0, MILLISECONDS).alignments(first)
    for faces in (apart, hole):
        assert torch.equal(smoothed(faces, 0, MILLISECONDS).alignments(first), alone)


def test_other_persons_are_left_as_they_are() -> None:
    before = trembling(0.0).with_columns(person=np.arange(FRAMES) // 50)
    after = smoothed(before, 1, MILLISECONDS)
    assert torch.equal(after.alignments(np.arange(50)), before.alignments(np.arange(50)))
    assert not torch.equal(after.alignments(np.arange(50, 100)), before.alignments(np.arange(50, 100)))


@pytest.mark.parametrize(
    ("name", "trembles", "slips"), [("grid_woman.mpg", 0.35, 0.65), ("hard_hand_on_mouth.mkv", 0.7, 0.9)]
)
def test_real_heads_slip_and_tremble_less(data: Path, tmp_path: Path, name: str, trembles: float, slips: float) -> None:
    """A still one and a quick one."""
    clip = data / "videos" / name
    extract(ScanSettings(clip, tmp_path / "faces", size=64, pictures=False), quiet=True)
    before = FaceSet.open(tmp_path / "faces")
    every = np.arange(before.table.num_rows)
    slip = Slip(("before", "after"))
    with open_video(clip) as video:
        after = smoothed(before, 0, video.info.time_base)
        ways = {"before": before.alignments(every), "after": after.alignments(every)}
        for frame, place in zip(video, every, strict=True):
            slip.add(rgb(frame), {way: alignment[place] for way, alignment in ways.items()})
    scores = slip.scores()
    assert scores["after"] < slips * scores["before"]
    assert tremble(ways["after"]) < trembles * tremble(ways["before"])


def rgb(frame: Frame) -> np.ndarray:
    planes = frame.planes
    square = warp(planes, torch.eye(2, 3)[None], max(planes.width, planes.height))
    picture = square[0, :, : planes.height, : planes.width].permute(1, 2, 0)
    return (picture * 255).round().to(torch.uint8).numpy()
