"""The mean face that every aligned face is laid on: 478 points in the unit square, template "mean478-v1".

It is the symmetric generalised Procrustes mean (Gower 1975) of the mesh landmarks of neutral, frontal portraits, and
lies in `mean_face.safetensors` beside this module, where it came from in its header. To make it again:
`python -m fastswap.faces.template "WHERE THE PHOTOS ARE FROM" PHOTO...`

Axes: x right, y down, z away from the camera, one unit the side of the square. The mean face has no yaw and no roll, by
symmetry; its pitch of zero is the mean pitch of people who look into the camera.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from fastswap.faces.mesh import FACE_OVAL, LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from fastswap.ops.planes import Planes
from fastswap.storage import atomic

TEMPLATE = "mean478-v1"
EXTENT = "oval60-v1"  # the unit square is centred on the mean face's oval, whose height is OVAL_HEIGHT of the square
OVAL_HEIGHT = 0.6

_FILE = Path(__file__).with_name("mean_face.safetensors")
_ROUNDS = 12  # of the Procrustes mean: it moves by less than 1e-7 after six


@cache
def mean_face() -> Tensor:
    """The mean face, float32 [478, 3], on the CPU. Shared: do not write into it."""
    return _read()["points"]


@cache
def mirror() -> Tensor:
    """int64 [478]: for each point the one on the face's other side (a point of the middle line: itself)."""
    return _read()["mirror"]


def _read() -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(_FILE)


def build(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """landmarks: [P, 478, 3] of P neutral frontal faces, square pixels. Returns (points [478, 3], mirror [478])."""
    faces = landmarks.double() - landmarks.double().mean(1, keepdim=True)
    faces = faces / faces.square().sum((1, 2), keepdim=True).sqrt()
    mean = faces.mean(0)
    for _ in range(_ROUNDS):
        mean = (faces @ procrustes(faces, mean.expand_as(faces))).mean(0)
        mean = mean / mean.square().sum().sqrt()
    pairs = _pairs(mean)
    mean = _levelled(_symmetric(mean, pairs))
    return _placed(_symmetric(mean, pairs)).float(), pairs


def procrustes(source: Tensor, target: Tensor) -> Tensor:
    """[..., 3, 3]: R of the least squares `source @ R = target`, no reflection (Schoenemann 1966, Umeyama 1991)."""
    u, _, vh = torch.linalg.svd(source.mT @ target)
    sign = torch.ones_like(u[..., 0])
    sign[..., 2] = torch.det(u @ vh).sign()
    rotation: Tensor = (u * sign.unsqueeze(-2)) @ vh
    return rotation


_FLIP = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)


def _pairs(mean: Tensor) -> Tensor:
    """Which point lies where the mirrored other one does: nearest in turn, each used once, an involution."""
    mirrored = mean * _FLIP
    for _ in range(_ROUNDS):
        nearest = torch.cdist(mean, mirrored).argmin(1)
        mirrored = mirrored @ procrustes(mirrored[nearest], mean)
    distance = torch.cdist(mean, mirrored)
    distance = distance + distance.T
    pairs = torch.full((len(mean),), -1)
    for flat in distance.flatten().argsort().tolist():
        row, column = divmod(flat, len(mean))
        if pairs[row] < 0 and pairs[column] < 0:
            pairs[row], pairs[column] = column, row
    return pairs


def _symmetric(mean: Tensor, pairs: Tensor) -> Tensor:
    other = (mean * _FLIP)[pairs]
    return (mean + other @ procrustes(other, mean)) / 2


def _levelled(mean: Tensor) -> Tensor:
    """Turned about z, then y, so that the eyes' corners differ in x alone."""
    for axis in (1, 2):
        line = mean[LEFT_EYE_CORNERS[0]] - mean[RIGHT_EYE_CORNERS[0]]
        angle = torch.atan2(line[axis], line[0])
        turn = torch.eye(3, dtype=mean.dtype)
        turn[0, 0] = turn[axis, axis] = angle.cos()
        turn[0, axis], turn[axis, 0] = -angle.sin(), angle.sin()
        mean = mean @ turn
    return mean


def _placed(mean: Tensor) -> Tensor:
    oval = mean[list(FACE_OVAL)]
    low, high = oval.min(0).values, oval.max(0).values
    centre = torch.stack([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, mean[:, 2].mean()])
    square = torch.tensor([0.5, 0.5, 0.0], dtype=mean.dtype)
    return (mean - centre) * (OVAL_HEIGHT / (high[1] - low[1])) + square


def main(source: str, photos: list[Path]) -> None:
    """Makes the file again from photos of one neutral, frontal face each, and says what it made."""
    from safetensors.torch import save_file

    points, pairs = build(torch.cat([_landmarks(photo) for photo in photos]))
    header = {"template": TEMPLATE, "extent": EXTENT, "faces": str(len(photos)), "source": source}
    with atomic(_FILE) as temporary:
        save_file({"points": points.contiguous(), "mirror": pairs}, temporary, metadata=header)
        temporary.chmod(0o644)  # safetensors writes for the owner alone; everybody who installs the package reads it
    print(f"{_FILE.name}: the mean of {len(photos)} faces")


def _landmarks(photo: Path) -> Tensor:
    import numpy as np
    from PIL import Image

    from fastswap.faces.find import FaceFinder

    picture = torch.from_numpy(np.array(Image.open(photo).convert("RGB")))
    landmarks = FaceFinder().find(Planes("rgb", (picture[None],))).landmarks
    if len(landmarks) != 1:
        raise SystemExit(f"{photo}: one face expected, {len(landmarks)} found")
    return landmarks


if __name__ == "__main__":
    main(sys.argv[1], [Path(name) for name in sys.argv[2:]])
