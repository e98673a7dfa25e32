"""Face sets drawn, not photographed, and a network small enough to train in a test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fastswap.faces import EXTENT, TEMPLATE, mean_face
from fastswap.faceset import FaceSetMeta, Source
from fastswap.faceset.format import META_NAME, TABLE_NAME, table_schema
from fastswap.models import LITE

SIZE = 64
TINY = replace(
    LITE, name="tiny", batch=4, iterations=30,
    generator=replace(
        LITE.generator, size_in=32, size_out=32, encoder=(16,), dense=32, seed_size=4, seed_channels=16, shared_up=16,
        decoder=(16,), residual=(1,),
    ),
    optimisation=replace(LITE.optimisation, learning_rate=2e-3, warm_up=5, ema=0.9),
)  # fmt: skip


def make_faces(
    folder: Path,
    skin: tuple[int, int, int],
    *,
    count: int = 12,
    persons: tuple[int, ...] = (0,),
    size: int = SIZE,
) -> Path:
    """A face set of `count` ellipses with eyes and a mouth that opens, of the colour `skin`; persons take turns."""
    folder.mkdir(parents=True)
    names = [f"{frame:06d}_0.png" for frame in range(count)]
    for frame, name in enumerate(names):
        cv2.imwrite(str(folder / name), draw(skin, frame / count, size)[..., ::-1])
    corner = [1000.0, 0.0, 0.0, 0.0, 1000.0, 0.0]
    landmarks = (mean_face().numpy() * 1000).reshape(-1).tolist()
    columns: dict[str, list[object]] = {field.name: [0.0] * count for field in table_schema()}
    columns |= {
        "file": list(names),
        "frame": list(range(count)),
        "pts": list(range(count)),
        "track": [0] * count,
        "person": [persons[frame % len(persons)] for frame in range(count)],
        "box": [[200.0, 200.0, 800.0, 800.0]] * count,
        "landmarks": [landmarks] * count,
        "alignment": [corner] * count,
    }
    pq.write_table(pa.table(columns, schema=table_schema()), folder / TABLE_NAME)
    source = Source(f"{folder.name}.mp4", f"{folder.name}.mp4", f"{sum(skin):064x}", 1000, 1000, count, "25", 1.0)
    meta = FaceSetMeta(source, size, 1, TEMPLATE, EXTENT)
    (folder / META_NAME).write_text(json.dumps(meta.to_json()))
    return folder


def draw(skin: tuple[int, int, int], phase: float, size: int) -> np.ndarray:
    """One face, uint8 [size, size, 3] RGB."""
    canvas = np.full((256, 256, 3), 90, np.uint8)
    cv2.ellipse(canvas, (128, 128), (60, 77), 0, 0, 360, skin, -1, cv2.LINE_AA)
    for x in (100, 156):
        cv2.circle(canvas, (x, 108), 9, (240, 240, 240), -1, cv2.LINE_AA)
        cv2.circle(canvas, (x, 108), 4, (30, 30, 30), -1, cv2.LINE_AA)
    opening = 3 + int(12 * abs(np.sin(np.pi * phase)))
    cv2.ellipse(canvas, (128, 168), (22, opening), 0, 0, 360, (120, 30, 40), -1, cv2.LINE_AA)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
