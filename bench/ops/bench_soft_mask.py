"""`soft_mask` against a distance transform with the same ramp, and against erosion and blur.

"opencv, distance" gives nearly the same picture by OpenCV's own exact transform, to whole pixels. "opencv, erode and
blur" and kornia's are what tools do; a blur has no such thing as a width inwards, and so they lie further away.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch

from fastswap.bench.cases import Case
from fastswap.bench.contender import BOTH, Peer, Timed, Trial, shape
from fastswap.bench.pictures import Array, alone, arrays, compiled, tensor
from fastswap.kernels.soft_mask import reference

SHAPES = {
    "cpu": (shape(256, 1), shape(512, 1, erode=12.0, feather=32.0), shape(256, 16)),
    "cuda": (shape(256, 16), shape(512, 64, erode=12.0, feather=32.0, dtype=torch.float16), shape(256, 1)),
}


def distance(case: Case) -> Timed:
    masks, (_, erode, feather) = arrays(case.arguments[0]), case.arguments
    line = np.minimum(np.arange(case.size), np.arange(case.size)[::-1]).astype(np.float32)
    border = np.minimum(line[:, None], line[None]) - erode

    def one(mask: Array) -> Array:
        _, inside = cv2.threshold(mask, 0.5, 255, cv2.THRESH_BINARY)
        away = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        t = np.clip(np.minimum(away - (0.5 + erode), border) * (1 / feather), 0, 1)
        ramp: Array = t * t * (3 - 2 * t)
        return ramp

    return lambda: [one(mask) for mask in masks]


def erode_and_blur(case: Case) -> Timed:
    masks, (_, erode, feather) = arrays(case.arguments[0], np.uint8), case.arguments
    radius = math.ceil(erode + feather / 2)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return lambda: [cv2.GaussianBlur(cv2.erode(mask, disc), (0, 0), feather / 4) for mask in masks]


def kornia(case: Case) -> Timed:
    from kornia.filters import gaussian_blur2d
    from kornia.morphology import erosion

    mask, erode, feather = case.arguments
    radius = math.ceil(erode + feather / 2)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    kernel, sigma = torch.from_numpy(disc).to(mask), feather / 4
    window = 2 * math.ceil(3 * sigma) + 1
    return lambda: gaussian_blur2d(erosion(mask, kernel), (window, window), (sigma, sigma), border_type="replicate")


_BLUR = "a blur and not a distance: the ramp is as wide, its foot is softer"
PEERS = (
    Peer("opencv, distance", distance, tensor, 1.0, "distances to whole pixels"),
    Peer("opencv, erode and blur", erode_and_blur, tensor, 4.0, _BLUR),
    Peer(
        "torch compiled",
        lambda case: (lambda chain: lambda: chain(*case.arguments))(compiled(reference.soft_mask)),
        alone,
        0.1,
        "",
        BOTH,
        once=True,
    ),
    Peer("kornia", kornia, alone, 4.0, _BLUR, BOTH, "kornia"),
)


def test_soft_mask(measure: Callable[[Trial], None], trial: Trial) -> None:
    measure(trial)
