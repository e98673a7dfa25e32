"""A run of the video bench as a JSON record, which `bench/results/video.schema.json` describes.

Rows are what was measured; limits, shares and gains follow from them (`reading.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastswap.bench.provenance import head
from fastswap.bench.video.codec import ENCODER

SCHEMA = 1
_COLUMNS = (
    *("verb", "size", "faces", "generator", "contender", "device", "rounds", "cpu", "fps", "stages", "psnr", "idle"),
    "reason",
)


def made(rows: Sequence[Mapping[str, Any]], clips: Sequence[Mapping[str, Any]], *, quick: bool) -> dict[str, Any]:
    """The record. Columns that a row has not are null."""
    settings = ", ".join(f"{name} {value}" for name, value in ENCODER.options.items())
    return {
        **head(SCHEMA, quick=quick),
        "encoder": {"name": ENCODER.name, "settings": settings},
        "clips": [dict(each) for each in clips],
        "rows": [{column: row.get(column) for column in _COLUMNS} for row in rows],
    }
