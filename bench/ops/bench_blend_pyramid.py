"""`blend_pyramid` against `cv2.pyrDown` and `cv2.pyrUp` in floats: one pyramid of the difference, as ours."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch

from fastswap.bench.cases import Case
from fastswap.bench.contender import BOTH, Peer, Timed, Trial, shape
from fastswap.bench.pictures import Array, alone, arrays, compiled, tensor
from fastswap.kernels.blend_pyramid import reference

HALF = torch.float16
SHAPES = {
    "cpu": (shape(256, 1), shape(512, 1), shape(256, 16), shape(256, 1, levels=2)),
    "cuda": (shape(512, 16, dtype=HALF), shape(256, 64, dtype=HALF), shape(512, 16), shape(256, 1, dtype=HALF)),
}


def opencv(case: Case) -> Timed:
    faces, targets, alphas = (arrays(picture) for picture in case.arguments[:3])
    levels = case.arguments[3]
    jobs = list(zip(faces, targets, (cv2.merge([a, a, a]) for a in alphas), strict=True))
    return lambda: [blend(*job, levels) for job in jobs]


def blend(face: Array, target: Array, alpha: Array, levels: int) -> Array:
    difference, weight = [cv2.subtract(face, target)], [alpha]
    for _ in range(levels):
        difference.append(cv2.pyrDown(difference[-1]))
        weight.append(cv2.pyrDown(weight[-1]))
    mixed = cv2.multiply(weight[-1], difference[-1])
    for k in reversed(range(levels)):
        size = difference[k].shape[1::-1]
        detail = cv2.subtract(difference[k], cv2.pyrUp(difference[k + 1], dstsize=size))
        mixed = cv2.add(cv2.multiply(weight[k], detail), cv2.pyrUp(mixed, dstsize=size))
    result: Array = np.clip(cv2.add(target, mixed), 0, 1)
    return result


def chain(case: Case) -> Timed:
    blended = compiled(reference.blend_pyramid)
    return lambda: blended(*case.arguments)


PEERS = (
    Peer("opencv", opencv, tensor, 0.2, "its pyrUp treats the border in its own way"),
    Peer("torch compiled", chain, alone, 0.2, "", BOTH, once=True),
)


def test_blend_pyramid(measure: Callable[[Trial], None], trial: Trial) -> None:
    measure(trial)
