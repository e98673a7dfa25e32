"""Masks of the mesh's regions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastswap.faces import align, invert, mean_face, mesh, mesh_mask, pixel_matrix, transform

SIZE = 128


def landmarks(side: float = 400.0, x: float = 100.0, y: float = 50.0) -> Tensor:
    """The mean face in a square of `side` px at (x, y): [1, 478, 3]."""
    return mean_face()[None] * side + torch.tensor([x, y, 0.0])


def mask(region: str = "oval", size: int = SIZE, coverage: float = 1.0) -> Tensor:
    face = landmarks()
    return mesh_mask(face, pixel_matrix(align(face), size, coverage), size, region)


def area(ring: tuple[int, ...], size: int) -> float:
    """Of the polygon, in pixels (shoelace formula)."""
    x, y = (mean_face()[list(ring), :2] * size).unbind(1)
    return abs(float((x * y.roll(-1) - y * x.roll(-1)).sum())) / 2


class TestMeshMask:
    @pytest.mark.parametrize("size", [64, 128, 512])
    @pytest.mark.parametrize("region", list(mesh.REGIONS))
    def test_has_the_area_of_its_polygons(self, region, size):
        rings = mesh.REGIONS[region]
        points = mean_face()[:, :2] * size
        length = sum(float((points[list(r)] - points[list(r)].roll(-1, 0)).norm(dim=1).sum()) for r in rings)
        excess = float(mask(region, size).sum()) - sum(area(ring, size) for ring in rings)
        assert -0.02 * length < excess < 0.2 * length  # pixels: OpenCV fills 0.1 px too wide

    def test_edges_are_soft_and_the_rest_is_not(self):
        oval = mask()
        assert oval.shape == (1, 1, SIZE, SIZE)
        assert oval.dtype == torch.float32
        assert oval.min() == 0
        assert oval.max() == 1
        soft = ((oval > 0) & (oval < 1)).sum()
        assert 100 < int(soft) < 500  # an outline of about 230 pixels, one or two wide
        assert len(oval.unique()) > 10

    def test_is_centred_as_the_mean_face_is(self):
        oval = mask()[0, 0]
        assert torch.allclose(oval, oval.flip(1), atol=0.3)
        rows = (oval.sum(1) > 0).nonzero()
        assert float(rows.float().mean()) == pytest.approx((SIZE - 1) / 2, abs=1)

    def test_regions_lie_in_one_another(self):
        oval, eyes, mouth, inner = (mask(region) for region in ("oval", "eyes", "mouth", "inner_mouth"))
        assert bool((eyes <= oval).all())
        assert bool((mouth <= oval).all())
        assert bool((inner <= mouth + 0.3).all())
        assert float((eyes * mouth).sum()) == 0
        assert float(eyes[..., SIZE // 2 :, :].sum()) == 0
        assert float(mouth[..., : SIZE // 2, :].sum()) == 0

    @pytest.mark.parametrize("yaw", [-50, 50])
    def test_nose_and_lips_of_a_head_turned_away_belong_to_it(self, yaw):
        angle = math.radians(yaw)
        turn = torch.tensor([[math.cos(angle), 0, -math.sin(angle)], [0, 1, 0], [math.sin(angle), 0, math.cos(angle)]])
        face = ((mean_face() - torch.tensor([0.5, 0.5, 0.0])) @ turn.T * 400 + 500)[None]
        matrix = pixel_matrix(align(face), SIZE)
        turned = mesh_mask(face, matrix, SIZE)[0, 0]
        inside = transform(invert(matrix), face[:, [4, 5, 0, 17, 50 if yaw > 0 else 280]])[0]
        inward = torch.tensor([-1.0 if yaw > 0 else 1.0, 0.0])
        assert all(float(turned[round(y), round(x)]) > 0.5 for x, y in (inside + inward).tolist())
        nose_from_oval = face[0, mesh.NOSE_TIP, 0] - face[0, list(mesh.FACE_OVAL), 0].max()
        assert yaw < 0 or float(nose_from_oval) > 0  # the ring alone would leave the nose out

    def test_a_face_larger_than_the_square_fills_it(self):
        assert float(mask(coverage=0.3).min()) == 1

    def test_a_face_beside_the_square_is_cut_at_its_border(self):
        face = landmarks()
        matrix = pixel_matrix(align(face), SIZE)
        matrix[..., 2] += matrix[..., 0] * SIZE / 2  # the square looks half its side to the right
        shifted, whole = mesh_mask(face, matrix, SIZE), mask()
        assert torch.equal(shifted[..., : SIZE // 2], whole[..., SIZE // 2 :])
        assert float(shifted[..., SIZE // 2 :].sum()) == 0

    def test_far_away_is_nothing(self):
        face = landmarks()
        matrix = pixel_matrix(align(face), SIZE)
        matrix[..., 2] += 1e7
        assert float(mesh_mask(face, matrix, SIZE).sum()) == 0

    def test_a_batch_is_its_faces(self):
        faces = torch.cat([landmarks(), landmarks(90, 7, 3)])
        matrix = pixel_matrix(align(landmarks()), SIZE).expand(2, 2, 3)
        both = mesh_mask(faces, matrix, SIZE)
        assert torch.equal(both[1:], mesh_mask(faces[1:], matrix[1:], SIZE))
        assert mesh_mask(faces[:0], matrix[:0], SIZE).shape == (0, 1, SIZE, SIZE)

    def test_refusals(self):
        face = landmarks()
        matrix = pixel_matrix(align(face), SIZE)
        with pytest.raises(ValueError, match="one of oval, eyes"):
            mesh_mask(face, matrix, SIZE, "nose")
        with pytest.raises(ValueError, match=r"matrix must be \[1, 2, 3\]"):
            mesh_mask(face, matrix.expand(2, 2, 3), SIZE)

    @pytest.mark.gpu
    def test_on_the_device_of_the_landmarks(self, cuda):
        face = landmarks().to(cuda)
        oval = mesh_mask(face, pixel_matrix(align(face), SIZE), SIZE)
        assert oval.is_cuda
        assert torch.allclose(oval.cpu(), mask(), atol=0.1)
