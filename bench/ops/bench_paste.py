"""`paste` against composites of RGB frames: of the face's rectangle, and of the whole frame in floats.

"opencv, rectangle" is the best that can be done with OpenCV on a frame held as RGB. "opencv, full frame" is what tools
do: face and alpha warped to the frame's size, the mix in float32. For NV12 its frame goes to RGB and back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from fastswap.bench.cases import Case
from fastswap.bench.contender import BOTH, Peer, Timed, Trial, shape
from fastswap.bench.pictures import Array, alone, arrays, compiled

HALF = torch.float16
SHAPES = {
    "cpu": (
        shape(256, 1, layout="rgb", pixels=320),
        shape(256, 1, layout="nv12", pixels=320),
        shape(256, 1, layout="nv12", pixels=180),
        shape(256, 1, layout="nv12", pixels=512),
        shape(256, 1, layout="p010", pixels=320),
    ),
    "cuda": (
        shape(256, 16, layout="rgb", pixels=320, dtype=HALF),
        shape(256, 16, layout="nv12", pixels=320, dtype=HALF),
        shape(512, 16, layout="nv12", pixels=512, dtype=HALF),
        shape(256, 16, layout="p010", pixels=320, dtype=HALF),
        shape(256, 1, layout="nv12", pixels=320, dtype=HALF),
    ),
}
_INVERSE = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def sprites(case: Case) -> tuple[list[Array], list[Array]]:
    """Face and alpha in four channels, and float64 matrices: frame px -> face px."""
    _, face, alpha, matrix = case.arguments
    return arrays(torch.cat([face, alpha], 1)), list(matrix.double().numpy())


def rectangle(case: Case) -> Timed:
    frames: Array = case.arguments[0].clone().data[0].numpy()
    pictures, matrices = sprites(case)
    height, width = frames.shape[1:3]

    def one(frame: Array, picture: Array, matrix: Array) -> None:
        side = len(picture)
        corners = np.linalg.inv(matrix[:, :2]) @ (np.array([[0, side, 0, side], [0, 0, side, side]]) - matrix[:, 2:])
        x0, y0 = (int(v) for v in corners.min(1).clip(0))
        x1, y1 = (int(v) for v in np.minimum(corners.max(1) + 2, (width, height)))
        moved = matrix.copy()
        moved[:, 2] += matrix[:, :2] @ [x0, y0]
        sprite = cv2.warpAffine(picture, moved, (x1 - x0, y1 - y0), flags=_INVERSE)
        mix(frame[y0:y1, x0:x1], sprite)

    def run() -> Array:
        for job in zip(frames, pictures, matrices, strict=True):
            one(*job)
        return frames

    return run


def mix(part: Array, sprite: Array) -> None:
    """Rounds as uint8 wants it, in place."""
    weight = sprite[..., 3:]
    part[:] = (part * (1 - weight) + sprite[..., :3] * (255 * weight) + 0.5).astype(np.uint8)


def full_frame(case: Case) -> Timed:
    planes = [plane.numpy() for plane in case.arguments[0].clone().data]
    pictures, matrices = sprites(case)
    count, height, width = planes[0].shape[:3]

    def run() -> Sequence[Array]:
        for i in range(count):
            frame = planes[0][i] if len(planes) == 1 else cv2.cvtColorTwoPlane(
                planes[0][i], planes[1][i], cv2.COLOR_YUV2RGB_NV12)  # fmt: skip
            sprite = cv2.warpAffine(pictures[i], matrices[i], (width, height), flags=_INVERSE)
            mix(frame, sprite)
            if len(planes) == 2:
                back(frame, planes[0][i], planes[1][i])
        return planes

    return run


def back(frame: Array, luma: Array, chroma: Array) -> None:
    """RGB to NV12: OpenCV gives the chroma planar."""
    height, width = luma.shape
    joined = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
    luma[:] = joined[:height]
    parts = joined[height:].reshape(2, height // 2, width // 2)
    cv2.merge([parts[0], parts[1]], chroma)


def chain(case: Case) -> Callable[[], Tensor]:
    """The full-frame composite in torch: affine_grid, grid_sample, lerp, back to uint8."""
    dst, face, alpha, matrix = case.arguments
    frames: Tensor = dst.data[0].clone()
    at = matrix.to(case.device)
    count, height, width = frames.shape[:3]
    side = face.shape[-1]
    extent = at.new_tensor([width, height])
    middle = at.new_tensor([(width - 1) / 2, (height - 1) / 2])
    turn = at[:, :, :2] * extent.view(1, 1, 2) / side
    shift = (2 * (at[:, :, 2] + at[:, :, :2] @ middle) + 1) / side - 1
    theta = torch.cat([turn, shift.unsqueeze(2)], 2)

    def run() -> Tensor:
        sprite = torch.cat([face * alpha, alpha], 1).float()
        places = nn.affine_grid(theta, [count, 4, height, width], align_corners=False)
        moved = nn.grid_sample(sprite, places, "bilinear", "zeros", align_corners=False).permute(0, 2, 3, 1)
        mixed = frames * (1 - moved[..., 3:]) + 255 * moved[..., :3]
        frames.copy_((mixed + 0.5).clamp(0, 255).to(torch.uint8))
        return frames

    return run


def kornia(case: Case) -> Timed:
    from kornia.geometry.transform import warp_affine

    dst, face, alpha, matrix = case.arguments
    frames: Tensor = dst.data[0].clone()
    square = torch.eye(3, device=case.device).repeat(len(matrix), 1, 1)
    square[:, :2] = matrix.to(case.device)
    forth = torch.linalg.inv(square)[:, :2]

    def run() -> Tensor:
        sprite = torch.cat([face * alpha, alpha], 1).float()
        moved = warp_affine(sprite, forth, (int(frames.shape[1]), int(frames.shape[2]))).permute(0, 2, 3, 1)
        mixed = frames * (1 - moved[..., 3:]) + 255 * moved[..., :3]
        frames.copy_((mixed + 0.5).clamp(0, 255).to(torch.uint8))
        return frames

    return run


def planes(written: Sequence[Array]) -> Sequence[Tensor]:
    return [torch.from_numpy(plane.copy()) for plane in written]


def on_rgb(options: Mapping[str, Any]) -> bool:
    return bool(options["layout"] == "rgb")


def on_8_bits(options: Mapping[str, Any]) -> bool:
    return bool(options["layout"] != "p010")


_BLEEDS = "colour not premultiplied: it bleeds at the rim"
PEERS = (
    Peer("opencv, rectangle", rectangle, lambda frames: planes([frames]), 0.2, _BLEEDS, fits=on_rgb),
    Peer("opencv, full frame", full_frame, planes, 2.5, f"{_BLEEDS}; NV12 goes to RGB and back", fits=on_8_bits),
    Peer("torch eager", chain, alone, 0.1, "", BOTH, fits=on_rgb),
    Peer("torch compiled", lambda case: compiled(chain(case)), alone, 0.1, "", BOTH, fits=on_rgb, once=True),
    Peer("kornia", kornia, alone, 0.1, "", BOTH, "kornia", on_rgb),
)


def test_paste(measure: Callable[[Trial], None], trial: Trial) -> None:
    measure(trial)
