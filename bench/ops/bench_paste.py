"""CPU time of `paste` beside an OpenCV composite of the same rectangle, one thread: `pytest bench/ops/bench_paste.py`.

OpenCV's way is the one of tools that hold RGB frames: warp face and alpha to the rectangle, mix there in floats. What
it spends on turning the frame into RGB and back is not counted here.
"""

from __future__ import annotations

import math
import time
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.ops import Planes, paste

FACE = 256  # px, the side of the face that the network gives
SHOWN = [180, 320, 512]  # px of the face's square in the frame
_process_time = pytest.mark.benchmark(timer=time.process_time, min_rounds=20, warmup=True, warmup_iterations=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def sprite() -> tuple[torch.Tensor, torch.Tensor]:
    steps = torch.linspace(-1, 1, FACE)
    distance = (steps.view(-1, 1) ** 2 + steps.view(1, -1) ** 2).sqrt()
    alpha = ((0.9 - distance) / 0.2).clamp(0, 1).view(1, 1, FACE, FACE)
    return torch.rand(1, 3, FACE, FACE, generator=torch.Generator().manual_seed(0)), alpha


def frame_to_face(shown: int) -> torch.Tensor:
    scale = FACE / shown
    c, s = scale * math.cos(0.2), scale * math.sin(0.2)
    return torch.tensor([[[c, -s, 60 - 700 * scale], [s, c, -30 - 300 * scale]]])


def frame(layout: str) -> Planes:
    rng = np.random.default_rng(0)
    if layout == "rgb":
        return Planes("rgb", (torch.from_numpy(rng.integers(0, 256, (1, 1080, 1920, 3), dtype=np.uint8)),))
    shapes = (1, 1080, 1920), (1, 540, 960, 2)
    codes = [rng.integers(0, 256, shape).astype(np.uint16) for shape in shapes]
    kept = [plane << 8 for plane in codes] if layout == "p010" else [plane.astype(np.uint8) for plane in codes]
    return Planes("p010" if layout == "p010" else "nv12", tuple(torch.from_numpy(plane) for plane in kept))


@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("layout", ["nv12", "p010", "rgb"])
@_process_time
def test_paste_fastswap(benchmark: BenchmarkFixture, layout: str, shown: int) -> None:
    benchmark.group = f"a 256 px face shown at {shown} px in 1080p"
    benchmark(paste, frame(layout), *sprite(), frame_to_face(shown))


@pytest.mark.parametrize("shown", SHOWN)
@_process_time
def test_paste_opencv_rgb(benchmark: BenchmarkFixture, shown: int) -> None:
    benchmark.group = f"a 256 px face shown at {shown} px in 1080p"
    target = frame("rgb").data[0][0].numpy()
    face, alpha = sprite()
    picture = np.ascontiguousarray(torch.cat([face, alpha], 1)[0].permute(1, 2, 0).numpy())
    matrix = frame_to_face(shown)[0].numpy().astype(np.float64)
    corners = np.linalg.inv(matrix[:, :2]) @ (np.array([[0, FACE, 0, FACE], [0, 0, FACE, FACE]]) - matrix[:, 2:])
    (x0, y0), (x1, y1) = corners.min(1).astype(int).clip(0), corners.max(1).astype(int)
    matrix[:, 2] += matrix[:, :2] @ [x0, y0]

    def composite() -> Any:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(picture, matrix, (int(x1 - x0), int(y1 - y0)), flags=flags)
        part = target[y0:y1, x0:x1]
        weight = moved[..., 3:]
        part[:] = (part * (1 - weight) + moved[..., :3] * (255 * weight) + 0.5).astype(np.uint8)

    benchmark(composite)
