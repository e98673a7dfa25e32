"""`augment` against two chains that do the same with the same draws: OpenCV at 8 bits, and torch in floats.

Both go Faceswap's way, sampling twice: crop and shrink, shift the colours in CIELAB, rotate, zoom and shift, mirror,
then remap by the 5 x 5 grid for the warped input. The second sampling blurs, and so their warped pictures lie a little
further from the reference than the target. Neither side does CLAHE. The draws are made before the clock starts: ours
make them inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple

import cv2
import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from fastswap.bench.cases import COVERAGE, Case
from fastswap.bench.contender import BOTH, Peer, Timed, Trial, shape
from fastswap.bench.pictures import Array, as_they_are, compiled
from fastswap.kernels.augment.reference import Draw, draw, shift_colour
from fastswap.ops import Jitter

HALF = torch.float16
SHAPES = {
    "cpu": (shape(256, 16), shape(128, 16), shape(64, 16), shape(64, 16, stored=146)),
    "cuda": (shape(256, 256, held=1024, dtype=HALF), shape(128, 256, held=1024, dtype=HALF), shape(64, 32, dtype=HALF)),
}


def drawn(case: Case) -> Draw:
    """What the operation itself draws."""
    jitter = [float(value) for value in astuple(Jitter())]
    return draw(case.arguments[2], case.named["seed"], jitter)


def opencv(case: Case) -> Timed:
    faces, index, _ = case.arguments
    size, numbers = case.size, drawn(case)
    stored, which = faces.numpy(), index.tolist()
    jobs = [Draw(*(values[i] for values in numbers)) for i in range(case.batch)]
    return lambda: [example(stored[face], size, job) for face, job in zip(which, jobs, strict=True)]


def example(face: Array, size: int, job: Draw) -> Sequence[Array]:
    side = round(len(face) * COVERAGE)
    edge = (len(face) - side) // 2
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    crop = cv2.resize(face[edge : edge + side, edge : edge + side], (size, size), interpolation=method)
    pull_colours(crop, job.colour.numpy())
    centre = (size - 1) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D((centre, centre), -math.degrees(job.angle), float(job.zoom)))
    matrix[:, 2] += job.shift.numpy() * size
    crop = cv2.warpAffine(crop, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    if job.mirror < 0:
        crop = cv2.flip(crop, 1)
    columns, rows = grid(size, job.nodes.numpy())
    warped = cv2.remap(crop[..., :3], columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    target = cv2.dnn.blobFromImage(crop, 1 / 255)[0]
    return cv2.dnn.blobFromImage(warped, 1 / 255)[0], target[:3], target[3:]


def pull_colours(face: Array, pulls: Array) -> None:
    level = np.arange(256, dtype=np.float32)
    table = np.stack([(255 - level) * r + level if r >= 0 else level * (1 + r) for r in pulls], -1)
    lab = cv2.LUT(cv2.cvtColor(face[..., :3], cv2.COLOR_RGB2LAB), np.rint(table).astype(np.uint8)[None])
    face[..., :3] = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def grid(size: int, nodes: Array) -> tuple[Array, Array]:
    """Faceswap's map: 5 x 5 nodes stretched to 1.25 of the picture, of which a tenth is cut off at each end."""
    whole, tenth = int(1.25 * size), int(1.25 * size) // 10
    straight = np.meshgrid(np.linspace(0, size, 5), np.linspace(0, size, 5))
    moved = [(axis + nodes[..., i] * size).astype(np.float32) for i, axis in enumerate(straight)]
    large = [cv2.resize(axis, (whole, whole)) for axis in moved]
    columns, rows = (axis[tenth : tenth + size, tenth : tenth + size] for axis in large)
    return np.ascontiguousarray(columns), np.ascontiguousarray(rows)


def chain(case: Case) -> Callable[[], Sequence[Tensor]]:
    """Gather, affine_grid, grid_sample, CIELAB, and grid_sample again by the grid, on whole batches."""
    faces, index, _ = case.arguments
    size, numbers, dtype = case.size, drawn(case), case.named.get("dtype", torch.float32)
    cos, sin = (part / numbers.zoom * COVERAGE for part in (numbers.angle.cos(), numbers.angle.sin()))
    x, y = (2 * numbers.shift).unbind(1)
    rows = [[cos * numbers.mirror, sin, -cos * x - sin * y], [-sin * numbers.mirror, cos, sin * x - cos * y]]
    theta = torch.stack([torch.stack(row, 1) for row in rows], 1).float()
    nodes, colour = numbers.nodes.float().permute(0, 3, 1, 2), numbers.colour.float()
    straight = torch.eye(2, 3, device=faces.device).expand(case.batch, 2, 3)

    def run() -> Sequence[Tensor]:
        pictures = faces[index].permute(0, 3, 1, 2).float() / 255
        n = max(1, -(-round(faces.shape[1] * COVERAGE) // (size * 5 // 4)))
        fine = nn.affine_grid(theta, [case.batch, 4, n * size, n * size], align_corners=False)
        plain = nn.avg_pool2d(nn.grid_sample(pictures, fine, "bilinear", "border", align_corners=False), n)
        target = shift_colour(plain[:, :3], colour)
        moved = nn.interpolate(nodes, (size, size), mode="bilinear", align_corners=True).permute(0, 2, 3, 1)
        places = nn.affine_grid(straight, [case.batch, 3, size, size], align_corners=False) + 2 * moved
        warped = nn.grid_sample(target, places, "bilinear", "border", align_corners=False)
        return warped.to(dtype), target.to(dtype), plain[:, 3:].to(dtype)

    return run


def stacked(examples: Sequence[Sequence[Array]]) -> Sequence[Tensor]:
    return [torch.from_numpy(np.stack(pictures)) for pictures in zip(*examples, strict=True)]


_TWICE = "samples twice; the warped edges are cut off the picture and not the stored face"
PEERS = (
    Peer("opencv", opencv, stacked, 8.0, f"{_TWICE}; 8 bits between the steps, its map half a pixel aside"),
    Peer("torch eager", chain, as_they_are, 5.0, _TWICE, BOTH),
    Peer("torch compiled", lambda case: compiled(chain(case)), as_they_are, 5.0, _TWICE, BOTH, once=True),
)


def test_augment(measure: Callable[[Trial], None], trial: Trial) -> None:
    measure(trial)
