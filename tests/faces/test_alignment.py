"""Similarities from landmarks, their pixel forms, the mean face, the 68 points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from fastswap.faces import FaceFinder, align, invert, landmarks_68, mean_face, mesh, pixel_matrix, transform
from fastswap.faces.alignment import RIGID
from fastswap.faces.template import build, mirror
from fastswap.ops.planes import Planes


def similarity(scale: float, degrees: float, x: float, y: float) -> Tensor:
    """float32 [1, 2, 3]."""
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return torch.tensor([[[c, -s, x], [s, c, y]]])


def placed(matrix: Tensor) -> Tensor:
    """The mean face where `matrix` takes the unit square: landmarks [1, 478, 3]."""
    depth = mean_face()[None, :, 2:] * matrix[0, :, :2].det().sqrt()
    return torch.cat([transform(matrix, mean_face()[None]), depth], 2)


class TestAlign:
    @settings(max_examples=50, deadline=None)
    @given(st.floats(5, 3000), st.floats(-180, 180), st.floats(-500, 4000), st.floats(-500, 4000))
    def test_finds_the_similarity_that_placed_the_mean_face(self, scale, degrees, x, y):
        matrix = similarity(scale, degrees, x, y)
        assert torch.allclose(align(placed(matrix)), matrix, rtol=1e-4, atol=2e-3 + 1e-5 * scale)

    def test_is_the_least_squares_one(self):
        generator = torch.Generator().manual_seed(1)
        landmarks = placed(similarity(200, 10, 300, 200)) + 8 * torch.randn(1, 478, 3, generator=generator)
        best = align(landmarks)
        rigid = list(RIGID)

        def loss(matrix: Tensor) -> float:
            return float((transform(matrix, mean_face()[None, rigid]) - landmarks[:, rigid, :2]).square().sum())

        nudges = [(1.01, 0, 0, 0), (0.99, 0, 0, 0), (1, 1, 0, 0), (1, -1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1)]
        for nudge in (similarity(*numbers) for numbers in nudges):
            turned = torch.cat([best[..., :2] @ nudge[..., :2], best[..., 2:] + nudge[..., 2:]], 2)
            assert loss(turned) > loss(best)

    def test_lips_jaw_and_lids_do_not_move_it(self):
        moving = {*mesh.OUTER_LIPS, *mesh.INNER_LIPS, mesh.CHIN, *mesh.FACE_OVAL[9:28]}
        moving |= {*mesh.RIGHT_EYE, *mesh.LEFT_EYE} - {*mesh.RIGHT_EYE_CORNERS, *mesh.LEFT_EYE_CORNERS}
        assert moving.isdisjoint(RIGID)
        assert len(set(RIGID)) == len(RIGID)
        assert {int(mirror()[point]) for point in RIGID} == set(RIGID)

    def test_yaw_slides_the_face_less_than_two_percent(self):
        angle = math.radians(30)
        turn = torch.tensor([[math.cos(angle), 0, -math.sin(angle)], [0, 1, 0], [math.sin(angle), 0, math.cos(angle)]])
        matrix = align(((mean_face() - torch.tensor([0.5, 0.5, 0.0])) @ turn.T * 300 + 400)[None])
        centre = transform(matrix, torch.tensor([[[0.5, 0.5]]]))[0, 0]
        assert (centre - 400).abs().max() < 0.02 * 0.6 * 300
        assert 0.85 < float(matrix[0, :, 0].norm()) / 300 < 1

    def test_with_wide_pixels_it_is_the_same_face_squeezed(self):
        square = placed(similarity(300, 25, 100, 50))
        squeezed = square / torch.tensor([2.0, 1.0, 1.0])
        expected = align(square) / torch.tensor([[2.0], [1.0]])
        assert torch.allclose(align(squeezed, aspect=2.0), expected, atol=1e-3)

    def test_none_gives_none(self):
        assert align(torch.zeros(0, 478, 3)).shape == (0, 2, 3)

    @pytest.mark.parametrize("bad", [torch.full((1, 478, 3), 5.0), torch.full((1, 478, 3), math.nan)])
    def test_degenerate_landmarks_are_refused(self, bad):
        good = placed(similarity(100, 0, 0, 0))
        with pytest.raises(ValueError, match="face 1 are degenerate"):
            align(torch.cat([good, bad]))

    @pytest.mark.parametrize("shape", [(478, 3), (1, 468, 3), (1, 478, 4)])
    def test_other_shapes_are_refused(self, shape):
        with pytest.raises(ValueError, match="landmarks must be"):
            align(torch.zeros(shape))


class TestOnPhotos:
    @pytest.mark.parametrize("name", ["london_025", "london_107", "selfie_3"])
    def test_pupils_marked_by_hand_come_to_lie_on_the_mean_ones(self, data, name):
        photo = data / "photos" / f"{name}.jpg"
        planes = Planes("rgb", (torch.from_numpy(np.array(Image.open(photo).convert("RGB")))[None],))
        landmarks = FaceFinder().find(planes).landmarks
        eyes = landmarks_68(landmarks)[0, 36:48].reshape(2, 6, 2).mean(1)
        lines = photo.with_suffix(".tem").read_text().splitlines()[1:3]
        pupils = torch.tensor([[float(number) for number in line.split()] for line in lines])
        assert float((eyes - pupils).norm(dim=1).max()) < 0.08 * float((pupils[0] - pupils[1]).norm())
        there = transform(invert(align(landmarks)), pupils[None])[0]
        mean = mean_face()[[mesh.RIGHT_PUPIL, mesh.LEFT_PUPIL], :2]
        assert float((there - mean).abs().max()) < 0.025


class TestPixelMatrix:
    def test_the_square_s_corners_are_half_a_pixel_outside_of_the_corner_pixels(self):
        matrix = pixel_matrix(similarity(100, 0, 7, 9), size=50)
        corners = transform(matrix, torch.tensor([[[-0.5, -0.5], [49.5, 49.5]]]))
        assert torch.allclose(corners, torch.tensor([[[7.0, 9.0], [107.0, 109.0]]]))

    def test_half_the_size_is_a_scale_and_half_a_pixel(self):
        alignment = similarity(100, 30, 7, 9)
        large, small = pixel_matrix(alignment, 512), pixel_matrix(alignment, 256)
        centre_of_four = transform(large, torch.tensor([[[20.5, 40.5]]]))
        assert torch.allclose(transform(small, torch.tensor([[[10.0, 20.0]]])), centre_of_four, atol=1e-4)

    def test_coverage_is_about_the_centre(self):
        alignment = similarity(100, 30, 7, 9)
        part = pixel_matrix(alignment, 64, coverage=0.5)
        whole = pixel_matrix(alignment, 128)
        assert torch.allclose(part[..., :2], whole[..., :2])
        assert torch.allclose(transform(part, torch.zeros(1, 1, 2)), transform(whole, torch.full((1, 1, 2), 32.0)))

    @pytest.mark.parametrize(("size", "coverage"), [(0, 1.0), (64, 0.0), (64, -1.0)])
    def test_nothing_is_no_size(self, size, coverage):
        with pytest.raises(ValueError, match="must be positive"):
            pixel_matrix(similarity(1, 0, 0, 0), size, coverage)

    def test_inverse_takes_back(self):
        matrix = similarity(3, 70, 500, -20)
        points = torch.rand(1, 9, 2) * 100
        assert torch.allclose(transform(invert(matrix), transform(matrix, points)), points, atol=1e-3)
        with pytest.raises(ValueError, match="singular"):
            invert(torch.zeros(1, 2, 3))


class TestMeanFace:
    def test_lies_as_its_extent_says(self):
        oval = mean_face()[list(mesh.FACE_OVAL), :2]
        low, high = oval.min(0).values, oval.max(0).values
        assert torch.allclose((low + high) / 2, torch.tensor([0.5, 0.5]), atol=1e-5)
        assert float(high[1] - low[1]) == pytest.approx(0.6, abs=1e-5)
        eyes = mean_face()[[mesh.RIGHT_PUPIL, mesh.LEFT_PUPIL]]
        assert torch.allclose(eyes[0, 1:], eyes[1, 1:], atol=1e-5)
        assert eyes[0, 0] < eyes[1, 0]
        assert mean_face()[mesh.NOSE_TIP, 2] < mean_face()[mesh.FOREHEAD, 2]

    def test_is_symmetric(self):
        other = mean_face()[mirror()] * torch.tensor([-1.0, 1.0, 1.0]) + torch.tensor([1.0, 0.0, 0.0])
        assert torch.allclose(mean_face(), other, atol=1e-5)
        assert torch.equal(mirror()[mirror()], torch.arange(478))
        assert int(mirror()[33]) == 263
        assert int(mirror()[mesh.NOSE_TIP]) == mesh.NOSE_TIP

    def test_is_made_again_from_faces_around_it(self):
        generator = torch.Generator().manual_seed(0)
        noise = 0.002 * torch.randn(6, 478, 3, generator=generator)
        noisy = mean_face() + noise + noise[:, mirror()] * torch.tensor([-1.0, 1.0, 1.0])
        scales = torch.linspace(100, 600, 6)[:, None, None]
        angle = torch.tensor(0.05)
        turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]])
        points, pairs = build(noisy * scales @ turn + 50)
        assert torch.equal(pairs, mirror())
        assert float((points[:, :2] - mean_face()[:, :2]).abs().max()) < 0.01


class TestLandmarks68:
    def test_in_the_known_order(self):
        points = landmarks_68(mean_face()[None])[0]
        left_to_right = [(0, 16), (17, 26), (36, 45), (31, 35), (48, 54), (60, 64)]
        assert all(points[a, 0] < points[b, 0] for a, b in left_to_right)
        top_to_bottom = [(27, 30), (30, 33), (33, 51), (51, 57), (57, 8), (37, 41), (61, 67), (19, 37)]
        assert all(points[a, 1] < points[b, 1] for a, b in top_to_bottom)
        flipped = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
                   45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
                   64, 63, 62, 61, 60, 67, 66, 65]  # fmt: skip
        assert torch.allclose(points[flipped] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0]), points, atol=1e-5)
