"""CPU time of `soft_mask` and `match_colour` on one 256 px face, one thread: `pytest bench/ops/bench_composite.py`.

OpenCV beside it: an ellipse as structuring element and a Gaussian for the mask, CIELAB in floats for the colours.
"""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.ops import match_colour, soft_mask

SIZE, ERODE, FEATHER = 256, 6, 16
_process_time = pytest.mark.benchmark(timer=time.process_time, min_rounds=20, warmup=True, warmup_iterations=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def oval() -> torch.Tensor:
    picture = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(picture, (128, 130), (70, 95), 8, 0, 360, 255, -1, cv2.LINE_AA)
    return torch.from_numpy(picture)[None, None] / 255


@_process_time
def test_soft_mask_fastswap(benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"soft mask, {SIZE} px, erode {ERODE}, feather {FEATHER}"
    benchmark(soft_mask, oval(), ERODE, FEATHER)


@_process_time
def test_soft_mask_opencv(benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"soft mask, {SIZE} px, erode {ERODE}, feather {FEATHER}"
    mask, radius = oval()[0, 0].numpy(), ERODE + FEATHER // 2
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    benchmark(lambda: cv2.GaussianBlur(cv2.erode(mask, disc), (0, 0), FEATHER / 4))


@_process_time
def test_match_colour_fastswap(benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"Reinhard, {SIZE} px"
    face, target = torch.rand(2, 1, 3, SIZE, SIZE)
    benchmark(match_colour, face, target, oval())


@_process_time
def test_match_colour_opencv(benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"Reinhard, {SIZE} px"
    face, target = torch.rand(2, SIZE, SIZE, 3).numpy()
    inside = (oval()[0, 0].numpy() * 255).astype(np.uint8)

    def match() -> Any:
        lab, wanted = cv2.cvtColor(face, cv2.COLOR_RGB2LAB), cv2.cvtColor(target, cv2.COLOR_RGB2LAB)
        (mean, deviation), (wanted_mean, wanted_deviation) = (cv2.meanStdDev(x, mask=inside) for x in (lab, wanted))
        gain = np.clip(wanted_deviation / deviation, 0.5, 2).T.astype(np.float32)
        lab = (lab - mean.T.astype(np.float32)) * gain + wanted_mean.T.astype(np.float32)
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)

    benchmark(match)
