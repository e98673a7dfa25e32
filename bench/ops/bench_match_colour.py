"""`match_colour` against the same transfers by OpenCV and numpy, in floats and at 8 bits, and by kornia.

The peers count a pixel in or out of the mask, as `cv2.meanStdDev` and `cv2.calcHist` do; ours weigh it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from fastswap.bench.cases import Case
from fastswap.bench.contender import BOTH, Peer, Timed, Trial, shape
from fastswap.bench.pictures import Array, alone, arrays, compiled, tensor
from fastswap.kernels.match_colour import reference

HALF = torch.float16
METHODS = ("reinhard", "covariance", "histogram")
SHAPES = {
    "cpu": (*(shape(256, 1, method=m) for m in METHODS), shape(512, 1, method="reinhard"), shape(256, 16)),
    "cuda": (*(shape(256, 64, method=m, dtype=HALF) for m in METHODS), shape(256, 1), shape(512, 64, dtype=HALF)),
}


def each(case: Case, one: Callable[[Array, Array, Array], Array], dtype: type[np.generic] = np.float32) -> Timed:
    """One face after the other; the mask as uint8, 255 inside."""
    faces, targets = (arrays(picture, dtype) for picture in case.arguments[:2])
    masks = arrays((case.arguments[2] >= 0.5).float(), np.uint8)
    return lambda: [one(*job) for job in zip(faces, targets, masks, strict=True)]


def gain_and_shift(lab: Array, wanted: Array, mask: Array) -> tuple[Array, Array]:
    (mean, deviation), (wanted_mean, wanted_deviation) = (cv2.meanStdDev(x, mask=mask) for x in (lab, wanted))
    gain = np.clip(wanted_deviation / deviation, 0.5, 2)
    return gain.ravel(), (wanted_mean - gain * mean).ravel()


def reinhard(face: Array, target: Array, mask: Array) -> Array:
    lab, wanted = cv2.cvtColor(face, cv2.COLOR_RGB2LAB), cv2.cvtColor(target, cv2.COLOR_RGB2LAB)
    gain, shift = gain_and_shift(lab, wanted, mask)
    moved = lab * gain.astype(np.float32) + shift.astype(np.float32)
    matched: Array = cv2.cvtColor(moved, cv2.COLOR_LAB2RGB)
    return matched


def reinhard_8_bits(face: Array, target: Array, mask: Array) -> Array:
    """A table of 256 entries a channel in place of arithmetic a pixel."""
    lab, wanted = cv2.cvtColor(face, cv2.COLOR_RGB2LAB), cv2.cvtColor(target, cv2.COLOR_RGB2LAB)
    gain, shift = gain_and_shift(lab, wanted, mask)
    table = np.clip(np.rint(np.arange(256)[:, None] * gain + shift), 0, 255).astype(np.uint8)
    matched: Array = cv2.cvtColor(cv2.LUT(lab, table[None]), cv2.COLOR_LAB2RGB)
    return matched


def covariance(face: Array, target: Array, mask: Array) -> Array:
    inside = mask > 0
    here, wanted = face[inside], target[inside]
    root = power(np.cov(here.T), 0.5)
    back = np.linalg.inv(root)
    turn = back @ power(root @ np.cov(wanted.T) @ root, 0.5) @ back
    matrix = np.column_stack([turn, wanted.mean(0) - turn @ here.mean(0)]).astype(np.float32)
    matched: Array = np.clip(cv2.transform(face, matrix), 0, 1)
    return matched


def power(matrix: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    result: Array = (vectors * values.clip(1e-12) ** exponent) @ vectors.T
    return result


def histogram(face: Array, target: Array, mask: Array) -> Array:
    tables = np.empty((256, 3), np.uint8)
    for channel in range(3):
        counts = [cv2.calcHist([picture], [channel], mask, [256], [0, 256]).ravel() for picture in (face, target)]
        here, wanted = (np.cumsum(count) / count.sum() for count in counts)
        tables[:, channel] = np.rint(np.interp(here, wanted, np.arange(256)))
    matched: Array = cv2.LUT(face, tables[None])
    return matched


def kornia(case: Case) -> Timed:
    from kornia.color import lab_to_rgb, rgb_to_lab

    face, target, mask, _ = case.arguments

    def statistics(lab: Tensor) -> tuple[Tensor, Tensor]:
        share = mask / mask.sum((2, 3), keepdim=True)
        mean = (lab * share).sum((2, 3), keepdim=True)
        return mean, ((lab - mean) ** 2 * share).sum((2, 3), keepdim=True).sqrt()

    def run() -> Tensor:
        lab = rgb_to_lab(face)
        (mean, deviation), (wanted_mean, wanted) = statistics(lab), statistics(rgb_to_lab(target))
        matched: Tensor = lab_to_rgb((lab - mean) * (wanted / deviation).clamp(0.5, 2) + wanted_mean)
        return matched

    return run


def of(*methods: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda options: options.get("method", "reinhard") in methods


def chain(case: Case) -> Timed:
    *pictures, method = case.arguments
    matched = compiled(getattr(reference, method))
    return lambda: matched(*pictures)


_INSIDE = "the mask counts as 0 or 1"
PEERS = (
    Peer("opencv, floats", lambda case: each(case, reinhard), tensor, 1.0, _INSIDE, fits=of("reinhard")),
    Peer(
        "opencv, 8 bits",
        lambda case: each(case, reinhard_8_bits, np.uint8),
        tensor,
        2.0,
        f"{_INSIDE}; 8 bits between the steps",
        fits=of("reinhard"),
    ),
    Peer("numpy and opencv", lambda case: each(case, covariance), tensor, 1.0, _INSIDE, fits=of("covariance")),
    Peer(
        "opencv, 8 bits",
        lambda case: each(case, histogram, np.uint8),
        tensor,
        2.0,
        f"{_INSIDE}; 8 bits in and out",
        fits=of("histogram"),
    ),
    Peer("torch compiled", chain, alone, 0.2, "", BOTH, fits=of("reinhard"), once=True),
    Peer("kornia", kornia, alone, 0.5, "", BOTH, "kornia", of("reinhard")),
)


def test_match_colour(measure: Callable[[Trial], None], trial: Trial) -> None:
    measure(trial)
