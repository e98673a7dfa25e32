"""`sharpen` against OpenCV's blur and a weighted sum, in floats, and against kornia."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import torch

from fastswap.bench.cases import Case
from fastswap.bench.contender import BOTH, Peer, Timed, Trial, shape
from fastswap.bench.pictures import Array, alone, arrays, compiled, tensor
from fastswap.kernels.sharpen import reference

HALF = torch.float16
THRESHOLD = 5 / 255  # the operation's default
SHAPES = {
    "cpu": (
        shape(256, 1, method="unsharp"),
        shape(256, 1, method="box"),
        shape(256, 1, method="gaussian", amount=2.0),
        shape(512, 1, method="unsharp", radius=8),
        shape(256, 16, method="unsharp"),
    ),
    "cuda": (
        shape(512, 64, method="unsharp", dtype=HALF),
        shape(512, 64, method="box", dtype=HALF),
        shape(512, 64, method="gaussian", amount=2.0, dtype=HALF),
        shape(512, 16, method="unsharp", radius=8, dtype=HALF),
        shape(256, 1, method="unsharp", dtype=HALF),
    ),
}


def opencv(case: Case) -> Timed:
    pictures, method = arrays(case.arguments[0]), case.arguments[1]
    amount, side = case.named["amount"], 2 * case.named["radius"] + 1

    def one(picture: Array) -> Array:
        if method == "box":
            blurred = cv2.blur(picture, (side, side), borderType=cv2.BORDER_REPLICATE)
        else:
            blurred = cv2.GaussianBlur(picture, (side, side), 0, borderType=cv2.BORDER_REPLICATE)
        if method == "unsharp":
            detail = cv2.subtract(picture, blurred)
            sharp = cv2.scaleAdd(detail - np.clip(detail, -THRESHOLD, THRESHOLD), amount, picture)
        else:
            gain = amount if method == "box" else amount / 2
            sharp = cv2.addWeighted(picture, 1 + gain, blurred, -gain, 0)
        result: Array = np.clip(sharp, 0, 1, out=sharp)
        return result

    return lambda: [one(picture) for picture in pictures]


def chain(case: Case) -> Timed:
    picture, method = case.arguments
    sharp = compiled(reference.sharpen)
    return lambda: sharp(picture, method, case.named["amount"], case.named["radius"], THRESHOLD)


def kornia(case: Case) -> Timed:
    """Its unsharp mask has no threshold and adds the whole difference: `gaussian` at an amount of 2."""
    from kornia.filters import unsharp_mask

    picture, radius = case.arguments[0], case.named["radius"]
    side, sigma = 2 * radius + 1, 0.3 * (radius - 1) + 0.8
    return lambda: unsharp_mask(picture, (side, side), (sigma, sigma), "replicate").clamp(0, 1)


def gaussian(options: Mapping[str, Any]) -> bool:
    return bool(options["method"] == "gaussian")


PEERS = (
    Peer("opencv", opencv, tensor, 0.1, "its own rounding"),
    Peer("torch compiled", chain, alone, 0.1, "", BOTH, once=True),
    Peer("kornia", kornia, alone, 0.1, "", BOTH, "kornia", gaussian),
)


def test_sharpen(measure: Callable[[Trial], None], trial: Trial) -> None:
    measure(trial)
