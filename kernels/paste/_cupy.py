"""`paste` on a GPU, in CUDA C: how paste.cu is launched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fastswap.kernels.cuda._cupy import TYPES, launch

_WIDE, _HIGH, _BLOCK = 64, 16, (32, 8)  # as paste.cu has them


def paste(
    planes: Sequence[Tensor],  # (rgb [M, H, W, 3],) or (luma [M, H, W], chroma [M, h, w, 2]), written
    face: Tensor,  # [N, 3, s, s]
    alpha: Tensor,  # [N, 1, s, s]
    matrix: Tensor,  # float32 [N, 2, 3], on the device: frame px -> face px
    frame: Tensor,  # int64 [N], on the device
    siting: Sequence[float],
    area: tuple[int, int, int, int],  # x0, y0, x1, y1, of which x0 and y0 are even: outside of it no face shows
    from_rgb: Sequence[float],  # 12 numbers: 3 x 4, from 0..1 to codes
) -> None:
    """As `reference.paste`, but that the kernel finds taps and rectangles."""
    written = [plane.contiguous() for plane in planes]
    face, alpha = (picture if picture.dtype in TYPES else picture.float() for picture in (face, alpha))
    types: dict[str, str | int] = {"FACE": TYPES[face.dtype], "ALPHA": TYPES[alpha.dtype]}
    if planes[0].dtype == torch.uint16:
        types |= {"SAMPLE": "unsigned short", "STEP": 64, "LIMIT": 1023}
    else:
        types |= {"SAMPLE": "unsigned char", "STEP": 1, "LIMIT": 255}
    x0, y0, x1, y1 = area
    frames, height, width = planes[0].shape[:3]
    (face_step, *face_steps), (alpha_step, _, *alpha_steps) = face.stride(), alpha.stride()
    launch(
        "paste/paste.cu", "paste", (-(-(x1 - x0) // _WIDE), -(-(y1 - y0) // _HIGH), frames), _BLOCK,
        written[0], written[-1], int(len(planes) == 2), frames, height, width, x0, y0,
        face, alpha, matrix, frame, len(matrix), face.shape[3],
        np.int64(face_step), *face_steps, np.int64(alpha_step), *alpha_steps, *siting, *from_rgb, defines=types,
    )  # fmt: skip
    for plane, copy in zip(planes, written, strict=True):
        if copy is not plane:
            plane.copy_(copy)
