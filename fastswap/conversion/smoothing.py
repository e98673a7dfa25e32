"""Landmarks smoothed over time before a conversion, so that the swap on a still head does not tremble."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from torch import Tensor

from fastswap.faces import OneEuro, align
from fastswap.faceset import FaceSet
from fastswap.faceset.format import table_schema


def smoothed(faces: FaceSet, person: int, time_base: Fraction) -> FaceSet:
    """The same face set with the landmarks of `person` smoothed, track by track, by the one-euro filter, and the
    alignments that follow from them. time_base: seconds that one unit of the table's pts stands for."""
    import pyarrow as pa

    count = faces.table.num_rows
    every = np.arange(count)
    landmarks, alignments = faces.landmarks(every), faces.alignments(every)
    rows = np.concatenate([rows for _, rows in faces.by_frame(person)])
    tracks, pts = (np.asarray(faces.table[name].to_numpy()) for name in ("track", "pts"))
    filters: dict[int, OneEuro] = {}
    for row in rows:
        follow = filters.setdefault(int(tracks[row]), OneEuro())
        landmarks[row] = follow(landmarks[row], float(int(pts[row]) * time_base))
    alignments[rows] = align(landmarks[rows], faces.meta.source.aspect)

    def column(name: str, values: Tensor) -> pa.Array:
        width = values[0].numel()
        flat = pa.array(values.reshape(-1).numpy(), pa.float32())
        return pa.FixedSizeListArray.from_arrays(flat, width).cast(schema.field(name).type)

    schema = table_schema()
    table = faces.table
    for name, values in (("landmarks", landmarks), ("alignment", alignments)):
        table = table.set_column(schema.get_field_index(name), name, column(name, values))
    return replace(faces, table=table)
