"""`blend_poisson` against `cv2.seamlessClone`, which everybody knows, and scipy's sine transform, which is exact.

`seamlessClone` solves inside the mask's bounding rectangle. Here its mask gets a pixel in two corners, so that the
rectangle is the square, as with ours, and 3 px more all around: it erodes both away before it uses the mask,
and writes to it. It counts an edge that leaves the mask to the right or downwards as inside, and compares |dx - dy| in
the mixed mode, where ours compares each difference: on pictures of waves that is levels, not rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import torch

from fastswap.bench.cases import Case
from fastswap.bench.contender import Peer, Timed, Trial, shape
from fastswap.bench.pictures import Array, arrays, tensor

HALF = torch.float16
SHAPES = {
    "cpu": (shape(512, 1), shape(512, 1, mode="mixed"), shape(256, 1), shape(256, 16)),
    "cuda": (shape(512, 16), shape(512, 16, dtype=HALF), shape(512, 16, mode="mixed"), shape(256, 64), shape(512, 1)),
}


def seamless_clone(case: Case) -> Timed:
    faces, targets = (arrays(picture, np.uint8) for picture in case.arguments[:2])
    masks = [cv2.dilate(mask, np.ones((7, 7), np.uint8)) for mask in arrays(case.arguments[2], np.uint8)]
    flags = {"normal": cv2.NORMAL_CLONE, "mixed": cv2.MIXED_CLONE}[case.arguments[3]]
    last = case.size - 1
    for mask in masks:
        mask[0, 0] = mask[last, last] = 255
    middle = case.size // 2, case.size // 2
    jobs = list(zip(faces, targets, masks, strict=True))
    return lambda: [cv2.seamlessClone(face, target, mask.copy(), middle, flags) for face, target, mask in jobs]


def sine_transform(case: Case) -> Timed:
    """The equation of the correction, solved by DST-I both ways: the inner pixels' sums of differences wanted."""
    from scipy.fft import dstn

    inner = case.size - 2
    line = 2 - 2 * np.cos(np.pi * np.arange(1, inner + 1, dtype=np.float32) / (inner + 1))
    scale = -1 / ((line[:, None] + line) * (2 * (inner + 1)) ** 2)[..., None]
    faces, targets, masks = (arrays(picture) for picture in case.arguments[:3])

    def one(face: Array, target: Array, mask: Array) -> Array:
        apart = face - target
        down = np.minimum(mask[1:], mask[:-1])[..., None] * np.diff(apart, axis=0)
        right = np.minimum(mask[:, 1:], mask[:, :-1])[..., None] * np.diff(apart, axis=1)
        sums = np.diff(down, axis=0)[:, 1:-1] + np.diff(right, axis=1)[1:-1]
        found = dstn(dstn(sums, 1, axes=(0, 1)) * scale, 1, axes=(0, 1))
        result = target.copy()
        result[1:-1, 1:-1] = np.clip(result[1:-1, 1:-1] + found, 0, 1)
        return result

    jobs = list(zip(faces, targets, masks, strict=True))
    return lambda: [one(*job) for job in jobs]


def of(mode: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda options: bool(options.get("mode", "normal") == mode)


_CLONE = "8 bits; edges at the mask's rim counted otherwise"
PEERS = (
    Peer("opencv seamlessClone", seamless_clone, tensor, 3.0, _CLONE, fits=of("normal")),
    Peer("opencv seamlessClone", seamless_clone, tensor, 8.0, f"{_CLONE}; another test of mixed", fits=of("mixed")),
    Peer("scipy DST", sine_transform, tensor, 0.1, "float32", package="scipy", fits=of("normal")),
)


def test_blend_poisson(measure: Callable[[Trial], None], trial: Trial) -> None:
    measure(trial)
