"""A pair's sheet of pictures: A, the swap of every preset at the longest mark, and the truth, a moment a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from fastswap.quality.metrics import Picture
from fastswap.storage import atomic

_HEADER = 22  # px
_JPEG = 78


def write_sheet(path: Path, columns: Mapping[str, Path]) -> None:
    """Writes a JPEG of strips (see `ground.write_strip`) of one height, each below its title."""
    strips = {title: _read(strip) for title, strip in columns.items()}
    sheet = np.concatenate([np.concatenate([_title(name, strip.shape[1]), strip]) for name, strip in strips.items()], 1)
    with atomic(path) as temporary:
        cv2.imwrite(str(temporary), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG])


def middle_seed(margins: Mapping[int, float]) -> int:
    """The seed whose margin is the median: what is shown is neither the best nor the worst. seed -> margin."""
    order: Sequence[int] = sorted(margins, key=lambda seed: (margins[seed], seed))
    return order[(len(order) - 1) // 2]


def _read(path: Path) -> Picture:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR))[..., ::-1]


def _title(text: str, width: int) -> Picture:
    header = np.full((_HEADER, width, 3), 24, np.uint8)
    return np.asarray(
        cv2.putText(header, text, (5, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    )
