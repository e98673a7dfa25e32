"""The aligned faces as picture files: what they are called, and how they are written.

PNG keeps every bit. Of zlib's strategies and PNG's filters, Huffman codes alone over the average filter are the
cheapest that still halve a face: 5.0 ms to write 512 px and 3.7 ms to read them, in 269 KiB. The fastest level with the
defaults takes 11.3 and 5.4 ms for 261 KiB, the Paeth filter 7.0 and 5.4 ms for 225.

JPEG, at quality 95 and with whole chroma, is 49 dB from the face: 0.9 ms to write, 1.0 ms to read, 59 KiB; a GPU can
decode it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FORMATS = ("png", "jpg")
_PNG_LEVEL = 1
_PNG_FILTER, _AVERAGE = 19, 64
"""IMWRITE_PNG_FILTER and IMWRITE_PNG_FILTER_AVG by their numbers: an OpenCV that lacks the names ignores them."""
_JPEG_QUALITY = 95


def names(frames: Sequence[int], suffix: str) -> list[str]:
    """The file of each face: NNNNNN_K, the frame and the face's place in it. frames: the faces' frames, sorted."""
    return [f"{frame:06d}_{k}.{suffix}" for frame, group in itertools.groupby(frames) for k, _ in enumerate(group)]


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes uint8 [3, s, s], RGB, in the format of the path's suffix. Raises OSError where the disk refuses it."""
    import cv2

    options = {
        ".png": (
            *(cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL),
            *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
            *(_PNG_FILTER, _AVERAGE),
        ),
        ".jpg": (
            *(cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        ),
    }[path.suffix]
    _, data = cv2.imencode(path.suffix, cv2.merge(list(picture[::-1])), options)
    path.write_bytes(data.tobytes())
