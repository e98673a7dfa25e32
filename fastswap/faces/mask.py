"""Masks of the mesh's regions on the aligned square."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.faces.alignment import check_landmarks, invert, transform
from fastswap.faces.mesh import FACE_OVAL, OUTER_LIPS, REGIONS, Ring

# From the chin up to the top of the forehead. On a head turned away the nose and lips stand out beyond the far side of
# the oval: so the face is drawn as its two halves and its lips, which are the oval when it looks into the camera.
_MIDLINE: Ring = (152, 175, 199, 200, 18, 17, 0, 164, 2, 94, 19, 1, 4, 5, 195, 197, 6, 168, 8, 9, 151, 10)
_CHIN = FACE_OVAL.index(_MIDLINE[0])
_POLYGONS = REGIONS | {
    "oval": ((*FACE_OVAL[: _CHIN + 1], *_MIDLINE[1:-1]), (*FACE_OVAL[_CHIN:], *_MIDLINE[:0:-1]), OUTER_LIPS),
}

_OVERSAMPLE = 4  # samples a pixel, each way
_SHIFT = 4  # fractional bits of the polygon's corners, in samples
_FAR = 1 << 14  # px: corners beyond are moved here, within OpenCV's integers


def mesh_mask(
    landmarks: Tensor,  # [N, 478, 2 or 3], frame px
    matrix: Tensor,  # [N, 2, 3], aligned px -> frame px (`pixel_matrix`)
    size: int,  # side of the square, px
    region: str = "oval",  # oval (the whole face, forehead to chin), eyes, brows, mouth, inner_mouth, irises
) -> Tensor:
    """float32 [N, 1, size, size]: 1 inside the region's polygons, 0 outside, on an edge the share of the pixel inside
    (16 samples; OpenCV counts samples that the edge touches: 0.1 px too wide).

    Filled on the CPU, returned on the device of the landmarks. A face may lie partly outside of the square or of the
    frame. Raises ValueError for an unknown region or shapes that do not fit.
    """
    check_landmarks(landmarks)
    if region not in _POLYGONS:
        raise ValueError(f"unknown region {region!r}: one of {', '.join(_POLYGONS)}")
    if matrix.shape != (len(landmarks), 2, 3):
        raise ValueError(f"matrix must be [{len(landmarks)}, 2, 3], got {list(matrix.shape)}")
    points = transform(invert(matrix.float()), landmarks.float()).cpu().numpy()
    masks = np.zeros((len(points), 1, size, size), np.uint8)
    for mask, face in zip(masks, points, strict=True):
        mask[0] = _fill([face[list(ring)] for ring in _POLYGONS[region]], size)
    return torch.from_numpy(masks).to(landmarks.device).float() / 255.0


def _fill(polygons: list[NDArray[np.float32]], size: int) -> NDArray[np.uint8]:
    """[size, size], 0..255; polygons [K, 2] in pixels."""
    import cv2

    large = np.zeros((size * _OVERSAMPLE, size * _OVERSAMPLE), np.uint8)
    for polygon in polygons:
        corners = (np.clip(polygon, -_FAR, _FAR) + 0.5) * _OVERSAMPLE - 0.5
        cv2.fillPoly(large, [np.rint(corners * (1 << _SHIFT)).astype(np.int32)], 255, cv2.LINE_8, _SHIFT)
    return cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
