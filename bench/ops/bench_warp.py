"""`warp` against OpenCV, torch's sampler and kornia: crops from frame to planar, normalised floats.

All contenders do the whole of it: YUV to RGB, the sampling (n x n taps where it shrinks: OpenCV and torch by a crop n
times as large and its mean), planar layout, normalisation, the type of the result. OpenCV's chain converts and warps
the face's rectangle only; "opencv, whole frame" converts the frame, as tools do that decode to RGB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from fastswap.bench.cases import Case
from fastswap.bench.contender import BOTH, Peer, Timed, Trial, shape
from fastswap.bench.pictures import Array, alone, compiled
from fastswap.ops import Planes, yuv

HALF = torch.float16
SHAPES = {
    "cpu": (
        shape(512, 1, layout="nv12", pixels=410),
        shape(512, 1, layout="rgb", pixels=410),
        shape(256, 1, layout="nv12", pixels=900),
        shape(256, 1, layout="rgb", pixels=900),
        shape(256, 8, layout="nv12", pixels=320),
        shape(512, 1, layout="float", pixels=410, frame=(512, 512)),
    ),
    "cuda": (
        shape(512, 64, layout="rgb", pixels=512, frame=(512, 512), dtype=HALF),
        shape(512, 64, layout="float", pixels=512, frame=(512, 512), dtype=HALF),
        shape(512, 64, layout="nv12", pixels=410, dtype=HALF),
        shape(512, 64, layout="nv12", pixels=410, dtype=HALF, channels_last=True),
        shape(256, 64, layout="nv12", pixels=900, dtype=HALF),
        shape(256, 64, layout="p010", pixels=320, dtype=HALF),
        shape(512, 1, layout="nv12", pixels=410, dtype=HALF),
    ),
}


def taps(case: Case) -> int:
    return math.ceil(float(torch.linalg.matrix_norm(case.arguments[1][0, :, :2], 2)) - 1e-3)


def opencv(case: Case, *, whole: bool = False) -> Timed:
    src, matrices, size = case.arguments
    n, limit = taps(case), (src.width, src.height) if isinstance(src, Planes) else src.shape[:1:-1]
    # pixel x of the crop holds pixels n x .. n x + n - 1 of the one n times as large
    fine = np.array([[1 / n, 0, 0.5 / n - 0.5], [0, 1 / n, 0.5 / n - 0.5], [0, 0, 1]])
    jobs = [rectangle(m.double().numpy() @ fine, n * size, limit, whole) for m in matrices.cpu()]
    stored = src.data if isinstance(src, Planes) else [src.permute(0, 2, 3, 1).contiguous()]
    planes = [plane.numpy() for plane in stored]
    mean, std = case.named["mean"], case.named["std"]

    def crop(frame: int, moved: Array, box: tuple[int, int, int, int]) -> Array:
        picture = rgb([plane[frame] for plane in planes], box)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        large = cv2.warpAffine(picture, moved, (n * size, n * size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return large if n == 1 else cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)

    def run() -> Array:
        crops = [crop(frame, *job) for frame, job in enumerate(jobs)]
        levels = 1.0 if crops[0].dtype == np.float32 else 255.0
        blob: Array = cv2.dnn.blobFromImages(crops, 1 / (levels * std), mean=(levels * mean,) * 3)  # planar, normalised
        return blob

    return run


def rgb(planes: list[Array], box: tuple[int, int, int, int]) -> Array:
    x0, y0, x1, y1 = box
    if len(planes) == 1:
        return planes[0][y0:y1, x0:x1]
    luma, chroma = planes[0][y0:y1, x0:x1], planes[1][y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
    converted: Array = cv2.cvtColorTwoPlane(luma, chroma, cv2.COLOR_YUV2RGB_NV12)
    return converted


def rectangle(matrix: Array, side: int, limit: tuple[int, int], whole: bool) -> tuple[Array, tuple[int, int, int, int]]:
    """What of the frame the crop reads, on even pixels, and the matrix from there."""
    width, height = limit
    if whole:
        return matrix, (0, 0, width, height)
    corners = matrix[:, :2] @ np.array([[0, side, 0, side], [0, 0, side, side]]) + matrix[:, 2:]
    low, high = np.floor(corners.min(1)).astype(int) - 2, np.ceil(corners.max(1)).astype(int) + 3
    x0, y0 = (int(v) & ~1 for v in low.clip(0))
    x1, y1 = min(int(high[0]) + 1 & ~1, width), min(int(high[1]) + 1 & ~1, height)
    moved = matrix.copy()
    moved[:, 2] -= x0, y0
    return moved, (x0, y0, x1, y1)


def chain(case: Case) -> Callable[[], Tensor]:
    """affine_grid, grid_sample and avg_pool2d on each plane, then the matrix of YUV, the normalisation, the type."""
    src, matrix, size = case.arguments
    planes, at, n = list(src.data) if isinstance(src, Planes) else [src], matrix.to(case.device), taps(case)
    mean, std, dtype = case.named["mean"], case.named["std"], case.named["dtype"]
    memory = torch.channels_last if case.named.get("channels_last") else torch.contiguous_format
    if len(planes) == 2:
        numbers = torch.tensor(yuv.to_rgb(planes[0].dtype, *yuv.packed(src.colour)[:2]), device=case.device).view(3, 4)
        siting = torch.tensor(src.colour.siting, device=case.device)

    def picture() -> Tensor:
        if len(planes) == 1:
            plane = planes[0]
            return sample(plane if plane.is_floating_point() else plane.permute(0, 3, 1, 2).float() / 255, at, size, n)
        luma = sample(floats(planes[0]).unsqueeze(1), at, size, n)
        in_chroma = torch.cat([at[:, :, :2], (at[:, :, 2] - siting).unsqueeze(2)], 2) / 2
        chroma = sample(floats(planes[1]).permute(0, 3, 1, 2), in_chroma, size, max(1, -(-n // 2)))
        colours = torch.einsum("kc,ncyx->nkyx", numbers[:, :3], torch.cat([luma, chroma], 1))
        return (colours + numbers[:, 3].view(3, 1, 1)).clamp(0, 1)

    return lambda: ((picture() - mean) / std).to(dtype, memory_format=memory)


def sample(plane: Tensor, matrix: Tensor, size: int, n: int) -> Tensor:
    """[N, C, h, w] at [N, 2, 3] -> [N, C, size, size]: n x n taps a pixel. Torch's sampler and its grid count from -1
    to 1 over the edges of the pixels; `turn` and `shift` are the matrix in those terms."""
    extent = matrix.new_tensor([plane.shape[3], plane.shape[2]])
    turn = matrix[:, :, :2] * size / extent.view(1, 2, 1)
    shift = (2 * (matrix[:, :, 2] + matrix[:, :, :2].sum(2) * (size - 1) / 2) + 1) / extent - 1
    theta = torch.cat([turn, shift.unsqueeze(2)], 2)
    grid = nn.affine_grid(theta, [len(matrix), 3, n * size, n * size], align_corners=False)
    fine = nn.grid_sample(plane, grid, "bilinear", "border", align_corners=False)
    return fine if n == 1 else nn.avg_pool2d(fine, n)


def floats(plane: Tensor) -> Tensor:
    """uint16 is a type that torch converts on the way to no other but int32."""
    return (plane.view(torch.int16).int() & 0xFFFF).float() if plane.dtype == torch.uint16 else plane.float()


def kornia(case: Case) -> Timed:
    """Its matrices go from the frame to the crop, and it inverts them."""
    from kornia.geometry.transform import warp_affine

    src, matrix, size = case.arguments
    square = torch.eye(3, device=case.device).repeat(len(matrix), 1, 1)
    square[:, :2] = matrix.to(case.device)
    forth = torch.linalg.inv(square)[:, :2]
    mean, std, dtype = case.named["mean"], case.named["std"], case.named["dtype"]

    def run() -> Tensor:
        picture = src if isinstance(src, Tensor) else src.data[0].permute(0, 3, 1, 2).float() / 255
        crop: Tensor = warp_affine(picture, forth, (size, size), padding_mode="border")
        normal: Tensor = ((crop - mean) / std).to(dtype)
        return normal

    return run


def on_8_bits(options: Mapping[str, Any]) -> bool:
    return bool(options["layout"] != "p010")


def not_shrinking(options: Mapping[str, Any]) -> bool:
    """Kornia takes no YUV, and does not average where it shrinks."""
    return options["layout"] in ("rgb", "float") and options["pixels"] <= 512


def whole_frame(case: Case) -> Timed:
    return opencv(case, whole=True)


def planar(crops: Array) -> Sequence[Tensor]:
    return (torch.from_numpy(crops),)


_COARSE = "positions in 1/32 px, 8 bits between the steps, chroma of the nearest sample"
PEERS = (
    Peer("opencv", opencv, planar, 1.5, _COARSE, fits=on_8_bits),
    Peer("opencv, whole frame", whole_frame, planar, 1.5, _COARSE, fits=lambda options: options["layout"] == "nv12"),
    Peer("torch eager", chain, alone, 0.2, "positions in float32", BOTH),
    Peer("torch compiled", lambda case: compiled(chain(case)), alone, 0.2, "positions in float32", BOTH, once=True),
    Peer("kornia", kornia, alone, 0.5, "positions in float32", BOTH, "kornia", not_shrinking),
)


def test_warp(measure: Callable[[Trial], None], trial: Trial) -> None:
    measure(trial)
