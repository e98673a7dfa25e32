"""Smoothing calms a trembling alignment and follows a moving one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from fastswap.conversion.smoothing import smoothed
from fastswap.faces import EXTENT, TEMPLATE, align, mean_face
from fastswap.faceset import FaceSet, FaceSetMeta, Source
from fastswap.faceset.format import table_schema

FRAMES = 100


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


def test_a_still_head_trembles_less() -> None:
    before = trembling(0.0)
    after = smoothed(before, 0, Fraction(1, 1000))
    jitter = [np.abs(np.diff(centres(faces), 2, axis=0))[20:].mean() for faces in (before, after)]
    assert jitter[1] < 0.7 * jitter[0]


def test_a_moving_head_is_followed() -> None:
    before = trembling(6.0)
    after = smoothed(before, 0, Fraction(1, 1000))
    lag = (centres(before) - centres(after))[20:, 0].mean()
    assert abs(lag) < 6.0, "less than a frame behind"
    assert centres(after)[-1, 0] - centres(after)[0, 0] > 570
