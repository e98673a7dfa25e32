"""A small face set made by hand: three frames of two persons and one of a third."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastswap.faces import EXTENT, TEMPLATE, mean_face
from fastswap.faceset import FaceSet, FaceSetMeta, Source
from fastswap.faceset.format import table_schema
from fastswap.storage import write_json

SIZE = 64
PERSONS = {0: (0, 1, 2), 1: (0, 1, 2), 2: (1,)}
"""Person -> the frames they are in."""


@pytest.fixture
def faceset(tmp_path: Path) -> FaceSet:
    folder = tmp_path / "faces"
    folder.mkdir()
    places = sorted((frame, person) for person, frames in PERSONS.items() for frame in frames)
    landmarks = mean_face().numpy() * 100
    rows: dict[str, list[object]] = {field.name: [] for field in table_schema()}
    for frame, person in places:
        name = f"{frame:06d}_{person}.png"
        colour = np.full((SIZE, SIZE, 3), (40 * person, 10 * frame, 200), np.uint8)
        cv2.imwrite(str(folder / name), colour[..., ::-1])
        values = {
            "file": name, "frame": frame, "pts": 40 * frame, "track": person, "person": person, "box": [0, 0, 50, 60],
            "score": 0.9, "flag": 1.0, "landmarks": landmarks.ravel().tolist(), "alignment": [100, 0, 0, 0, 100, 0],
            "yaw": 0, "pitch": 0, "roll": 0, "sharpness": 1,
        }  # fmt: skip
        for key, value in values.items():
            rows[key].append(value)
    pq.write_table(pa.table(rows, schema=table_schema()), folder / "faces.parquet")
    source = Source("a.mp4", "/nowhere/a.mp4", "0" * 64, 640, 480, 3, "25", 1.0)
    write_json(folder / "faceset.json", FaceSetMeta(source, SIZE, 1, TEMPLATE, EXTENT).to_json())
    return FaceSet.open(folder)
