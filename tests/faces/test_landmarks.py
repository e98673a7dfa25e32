"""The mesh's landmarks: against hand-placed points, and against themselves on moved pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fastswap.faces import detect, landmarks, mesh
from fastswap.faces.detect import FULL_RANGE
from fastswap.ops.planes import Planes
from fastswap.ops.warp import warp

# Points of the annotation (Psychomorph templates of 189 and 106 points) and of the mesh that mean the same feature:
# pupils, eye corners, lids, mouth corners, lips, nose base; on the 189 also the chin.
PAIRS_189 = {
    0: 468, 1: 473, 18: 33, 22: 133, 23: 362, 27: 263, 20: 159, 25: 386, 87: 61, 93: 291, 90: 0, 89: 37, 91: 267,
    96: 13, 55: 2, 129: 152,
}  # fmt: skip
PAIRS_106 = {
    0: 468, 1: 473, 35: 33, 39: 133, 44: 362, 48: 263, 41: 145, 46: 386, 86: 61, 97: 291, 89: 0, 88: 37, 90: 267,
    99: 13, 103: 17, 80: 2,
}  # fmt: skip


def annotation(path: Path) -> np.ndarray:
    """A Psychomorph .tem file: the count, then x y a line."""
    words = path.read_text().split()
    return np.array(words[1 : 1 + 2 * int(words[0])], float).reshape(-1, 2)


def mesh_of(planes: Planes) -> Tensor:
    """The best face's landmarks after the second look: [478, 3]."""
    found = detect.detect(planes, 1.0, FULL_RANGE, detect.whole(planes, 1.0, FULL_RANGE), 0.5)
    first, _ = landmarks.landmark(planes, 1.0, landmarks.regions(found)[:1], found.frame[:1])
    second, flag = landmarks.landmark(planes, 1.0, landmarks.regions_of(first), found.frame[:1])
    assert flag > 0.9
    return second[0]


def annotation_error(read, data: Path, pattern: str, pairs: dict[int, int]) -> float:
    """The mean distance of the paired points over the distance of the annotated pupils."""
    errors = []
    for path in sorted((data / "photos").glob(pattern)):
        [planes] = read(path.with_suffix(".jpg"))
        points, placed = mesh_of(planes)[:, :2].numpy(), annotation(path)
        apart = np.linalg.norm(points[list(pairs.values())] - placed[list(pairs)], axis=1)
        errors.append(apart.mean() / np.linalg.norm(placed[0] - placed[1]))
    assert errors
    print(f"{pattern}: mean {np.mean(errors):.4f}, worst picture {np.max(errors):.4f} of the inter-ocular distance")
    return float(np.mean(errors))


class TestAgainstAnnotations:
    def test_portraits(self, read, data):
        assert annotation_error(read, data, "london_*.tem", PAIRS_189) < 0.027

    def test_selfies(self, read, data):
        assert annotation_error(read, data, "selfie_*.tem", PAIRS_106) < 0.025


@pytest.fixture(scope="module")
def upright(portrait_planes):
    return mesh_of(portrait_planes)


class TestAgainstItself:
    @pytest.mark.parametrize(("degrees", "scale"), [(0, 1.5), (25, 1.0), (-40, 1.3)])
    def test_landmarks_move_with_the_picture(self, portrait_planes, upright, degrees, scale):
        angle = np.deg2rad(degrees)
        linear = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).float() * scale
        middle = torch.tensor([224.0, 115.0])
        matrix = torch.cat([linear, (middle - linear @ torch.tensor([150.0, 150.0]))[:, None]], 1)
        moved = warp(portrait_planes, matrix[None], 300)
        picture = (moved * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        points = mesh_of(Planes("rgb", (picture,)))[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        width = float(upright[:, 0].max() - upright[:, 0].min())
        assert (points - upright[:, :2]).norm(dim=1).mean() < 0.02 * width

    def test_mirrored_picture_mirrored_face(self, portrait, upright):
        mirrored = mesh_of(Planes("rgb", (portrait.flip(1)[None].contiguous(),)))
        midline = [10, 168, 197, 1, 2, 13, 14, 152]
        assert float((upright[midline, 0] + mirrored[midline, 0] - 511).abs().mean()) < 1.0

    def test_depth_comes_towards_the_viewer_at_the_nose(self, upright):
        assert upright[mesh.NOSE_TIP, 2] < upright[list(mesh.FACE_OVAL), 2].min()

    def test_left_and_right_are_the_persons_own(self, upright):
        assert upright[mesh.RIGHT_PUPIL, 0] < upright[mesh.LEFT_PUPIL, 0]


class TestRegions:
    def test_of_landmarks_turn_with_them(self):
        generator = torch.Generator().manual_seed(3)
        points = torch.rand(1, mesh.POINTS, 2, generator=generator) * 100
        points[:, mesh.LEFT_EYE_CORNERS[0]] = torch.tensor([80.0, 40.0])
        points[:, mesh.RIGHT_EYE_CORNERS[0]] = torch.tensor([20.0, 40.0])
        turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
        level, turned = landmarks.regions_of(points)[0], landmarks.regions_of(points @ turn.T)[0]
        assert level[3] == 0
        assert turned[3] == pytest.approx(float(np.arcsin(0.6)), abs=1e-5)
        assert turned[2] == pytest.approx(float(level[2]), rel=1e-5)
        torch.testing.assert_close(turned[:2], turn @ level[:2])

    def test_matrix_puts_the_region_in_the_crop(self):
        matrix = landmarks.matrices(torch.tensor([[50.0, 60.0, 96.0, np.pi / 2]]), 192)[0]
        torch.testing.assert_close(matrix @ torch.tensor([95.5, 95.5, 1.0]), torch.tensor([50.0, 60.0]))
        torch.testing.assert_close(matrix @ torch.tensor([191.5, 95.5, 1.0]), torch.tensor([50.0, 108.0]))

    def test_no_regions(self, portrait_planes):
        none = torch.zeros(0, dtype=torch.int64)
        points, flag = landmarks.landmark(portrait_planes, 1.0, torch.zeros(0, 4), none)
        assert points.shape == (0, mesh.POINTS, 3)
        assert flag.shape == (0,)
