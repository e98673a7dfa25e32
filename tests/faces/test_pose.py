"""Head pose and the openings of mouth and eyes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastswap.faces import eye_opening, head_pose, mean_face, mesh, mouth_opening
from fastswap.faces.template import mirror


def turned(yaw: float = 0, pitch: float = 0, roll: float = 0, size: float = 300) -> Tensor:
    """The mean face turned as `pose` says, in degrees: [1, 478, 3]. Written out here on its own: nose first."""
    y, p, r = (math.radians(angle) for angle in (yaw, pitch, roll))
    tilt = torch.tensor([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    nod = torch.tensor([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    shake = torch.tensor([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    face = mean_face() - torch.tensor([0.5, 0.5, 0.0])
    return (face @ (shake @ nod @ tilt).T * size + torch.tensor([900.0, 400.0, 7.0]))[None]


class TestHeadPose:
    @settings(max_examples=60, deadline=None)
    @given(st.floats(-85, 85), st.floats(-80, 80), st.floats(-175, 175), st.floats(20, 2000))
    def test_finds_the_angles(self, yaw, pitch, roll, size):
        assert torch.allclose(head_pose(turned(yaw, pitch, roll, size)), torch.tensor([[yaw, pitch, roll]]), atol=0.05)

    def test_signs_are_those_of_the_picture(self):
        right, up, clockwise = turned(yaw=30)[0], turned(pitch=20)[0], turned(roll=20)[0]
        nose, eyes = mesh.NOSE_TIP, [mesh.RIGHT_PUPIL, mesh.LEFT_PUPIL]
        assert right[nose, 0] > right[eyes, 0].mean()
        straight = turned()[0]
        assert up[nose, 1] - up[eyes, 1].mean() < straight[nose, 1] - straight[eyes, 1].mean()
        assert clockwise[mesh.LEFT_PUPIL, 1] > clockwise[mesh.RIGHT_PUPIL, 1]  # the picture's right goes down

    def test_the_mirrored_picture_turns_the_other_way(self):
        face = turned(25, 10, 15)
        mirrored = face[:, mirror()] * torch.tensor([-1.0, 1.0, 1.0])
        assert torch.allclose(head_pose(mirrored), head_pose(face) * torch.tensor([-1.0, 1.0, -1.0]), atol=0.05)

    def test_wide_pixels(self):
        face = turned(20, -10, 30) / torch.tensor([1.5, 1.0, 1.0])
        assert torch.allclose(head_pose(face, aspect=1.5), torch.tensor([[20.0, -10.0, 30.0]]), atol=0.05)

    def test_speech_does_not_turn_the_head(self):
        face = turned(10, 5, 0)
        face[:, [*mesh.OUTER_LIPS, *mesh.INNER_LIPS, mesh.CHIN], 1] += 30
        assert torch.allclose(head_pose(face), torch.tensor([[10.0, 5.0, 0.0]]), atol=0.05)

    def test_needs_depth(self):
        with pytest.raises(ValueError, match="depth"):
            head_pose(turned()[..., :2])


class TestExpression:
    def test_neutral_portraits_have_shut_lips_and_open_eyes(self):
        assert float(mouth_opening(turned())) < 0.04
        assert 0.22 < float(eye_opening(turned())) < 0.4

    def test_opening_and_blinking(self):
        face = turned()
        face[:, [87, 14, 317], 1] += 0.1 * 300
        assert float(mouth_opening(face)) > 0.3
        face[:, [160, 158, 385, 387]] = face[:, [144, 153, 380, 373]]
        assert float(eye_opening(face)) == pytest.approx(0, abs=1e-5)

    @pytest.mark.parametrize("measure", [mouth_opening, eye_opening])
    def test_neither_size_nor_pose_nor_pixel_shape_counts(self, measure):
        straight = measure(turned())
        assert torch.allclose(measure(turned(yaw=30, pitch=15, roll=40, size=77)), straight, atol=1e-4)
        assert torch.allclose(measure(turned() / torch.tensor([2.0, 1.0, 1.0]), 2.0), straight, atol=1e-4)
