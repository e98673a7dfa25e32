"""CPU time of `warp` beside OpenCV on the same work, one thread: `pytest bench/ops/bench_warp.py`.

OpenCV turns the whole frame into RGB before it can warp or shrink it, and its crop is left as uint8 [H, W, 3]; ours is
planar float32 and, where it shrinks, free of aliasing.
"""

from __future__ import annotations

import math
import time
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.ops import Colour, Planes, warp

FRAMES = {"848x480": (480, 848), "1080x1920": (1920, 1080), "1920x1080": (1080, 1920)}  # name -> height, width
DETECTOR = 192  # px, the side of the full-range face detector's input
_process_time = pytest.mark.benchmark(timer=time.process_time, min_rounds=20, warmup=True, warmup_iterations=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def nv12(height: int, width: int) -> tuple[Planes, NDArray[Any]]:
    """A frame of noise, as `Planes` and as the one array that OpenCV reads."""
    joined = np.random.default_rng(0).integers(0, 256, (height * 3 // 2, width), dtype=np.uint8)
    luma, chroma = joined[:height], joined[height:].reshape(height // 2, width // 2, 2)
    return Planes("nv12", (torch.from_numpy(luma)[None], torch.from_numpy(chroma)[None]), Colour()), joined


def face_matrix(size: int, pixels: float) -> torch.Tensor:
    """A face of `pixels` frame px, tilted by 11 degrees, cut out at `size` px."""
    c, s = pixels / size * math.cos(0.2), pixels / size * math.sin(0.2)
    return torch.tensor([[[c, -s, 700.0], [s, c, 200.0]]])


def letterbox(height: int, width: int) -> torch.Tensor:
    scale = max(height, width) / DETECTOR
    half = scale / 2 - 0.5
    return torch.tensor([[[scale, 0, half + (width - DETECTOR * scale) / 2],
                          [0, scale, half + (height - DETECTOR * scale) / 2]]])  # fmt: skip


@pytest.mark.parametrize("pixels", [410, 920])
@_process_time
def test_crop_512_fastswap(benchmark: BenchmarkFixture, pixels: int) -> None:
    benchmark.group = f"512 px crop of a {pixels} px face, 1080p NV12"
    planes, _ = nv12(1080, 1920)
    benchmark(warp, planes, face_matrix(512, pixels), 512)


@pytest.mark.parametrize("pixels", [410, 920])
@_process_time
def test_crop_512_opencv(benchmark: BenchmarkFixture, pixels: int) -> None:
    benchmark.group = f"512 px crop of a {pixels} px face, 1080p NV12"
    _, joined = nv12(1080, 1920)
    matrix = face_matrix(512, pixels)[0].numpy()

    def crop() -> Any:
        frame = cv2.cvtColor(joined, cv2.COLOR_YUV2RGB_NV12)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(frame, matrix, (512, 512), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    benchmark(crop)


@pytest.mark.parametrize("name", FRAMES)
@_process_time
def test_detector_input_fastswap(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.group = f"192 px detector input, {name} NV12"
    planes, _ = nv12(*FRAMES[name])
    benchmark(warp, planes, letterbox(*FRAMES[name]), DETECTOR, mean=0.5, std=0.5)


@pytest.mark.parametrize("name", FRAMES)
@_process_time
def test_detector_input_opencv(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.group = f"192 px detector input, {name} NV12"
    height, width = FRAMES[name]
    _, joined = nv12(height, width)
    scale = max(height, width) / DETECTOR
    size = round(width / scale), round(height / scale)

    def shrink() -> Any:
        frame = cv2.cvtColor(joined, cv2.COLOR_YUV2RGB_NV12)
        return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)

    benchmark(shrink)
