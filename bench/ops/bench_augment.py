"""CPU time of `augment` beside the same work in OpenCV, one thread, 16 examples: `pytest bench/ops/bench_augment.py`.

OpenCV's version goes Faceswap's way, at 8 bits: shrink the crop, shift the colours in CIELAB, warp (affine), mirror,
remap (grid), and make planar floats of it. .875 of a stored face is shown; 146 px is what training keeps for 64.
"""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from fastswap.ops import augment

COVERAGE, BATCH = 0.875, 16
SIZES = [(146, 64), (256, 64), (256, 128), (256, 256)]  # stored, shown
_process_time = pytest.mark.benchmark(timer=time.process_time, min_rounds=20, warmup=True, warmup_iterations=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def stored_faces(stored: int) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 256, (BATCH, stored, stored, 4), dtype=np.uint8)


def shift_colour(face: NDArray[Any], generator: np.random.Generator) -> None:
    level = np.arange(256, dtype=np.float32)
    pulls = generator.uniform(-1, 1, 3) * (0.30, 0.08, 0.08)
    table = np.stack([(255 - level) * r + level if r >= 0 else level * (1 + r) for r in pulls], -1).astype(np.uint8)
    lab = cv2.LUT(cv2.cvtColor(face[..., :3], cv2.COLOR_RGB2LAB), table[None])
    face[..., :3] = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def grid(size: int, generator: np.random.Generator) -> list[NDArray[Any]]:
    whole, tenth = int(1.25 * size), int(1.25 * size) // 10
    nodes = np.meshgrid(np.linspace(0, size, 5), np.linspace(0, size, 5))
    moved = [(axis + generator.normal(0, 5 * size / 256, (5, 5))).astype(np.float32) for axis in nodes]
    return [cv2.resize(axis, (whole, whole))[tenth : tenth + size, tenth : tenth + size].copy() for axis in moved]


def planar(picture: NDArray[Any]) -> NDArray[Any]:
    out: NDArray[Any] = np.multiply(picture.transpose(2, 0, 1), 1 / 255, dtype=np.float32)
    return out


def opencv(face: NDArray[Any], size: int, generator: np.random.Generator) -> tuple[NDArray[Any], ...]:
    side = int(len(face) * COVERAGE)
    edge = (len(face) - side) // 2
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    crop = cv2.resize(face[edge : edge + side, edge : edge + side], (size, size), interpolation=method)
    shift_colour(crop, generator)
    angle, zoom = generator.uniform(-10, 10), generator.uniform(0.95, 1.05)
    matrix: NDArray[Any] = np.asarray(cv2.getRotationMatrix2D((size // 2, size // 2), angle, zoom), np.float64)
    matrix[:, 2] += generator.uniform(-0.05, 0.05, 2) * size
    crop = cv2.warpAffine(crop, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    if generator.random() < 0.5:
        crop = crop[:, ::-1]
    columns, rows = grid(size, generator)
    warped = cv2.remap(crop[..., :3], columns, rows, cv2.INTER_LINEAR)
    target = planar(crop)
    return planar(warped), target[:3], target[3:]


@pytest.mark.parametrize(("stored", "size"), SIZES)
@_process_time
def test_augment_fastswap(benchmark: BenchmarkFixture, stored: int, size: int) -> None:
    benchmark.group = f"{BATCH} examples of {size} px from {stored} px"
    faces, index = torch.from_numpy(stored_faces(stored)), torch.arange(BATCH)
    benchmark(augment, faces, index, index, seed=0, size_in=size, size_out=size, coverage=COVERAGE)


@pytest.mark.parametrize(("stored", "size"), SIZES)
@_process_time
def test_augment_opencv(benchmark: BenchmarkFixture, stored: int, size: int) -> None:
    benchmark.group = f"{BATCH} examples of {size} px from {stored} px"
    faces, generator = stored_faces(stored), np.random.default_rng(1)

    def batch() -> Any:
        return [opencv(face, size, generator) for face in faces]

    benchmark(batch)
