"""Views of frames, and the detectors over them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastswap.faces import detect
from fastswap.faces.detect import FULL_RANGE, SHORT_RANGE, Detections
from fastswap.ops.planes import Planes
from fastswap.ops.warp import warp

EYES = torch.tensor([[203.0, 101.0], [246.0, 103.0]])  # of the portrait


def blank(width: int, height: int, frames: int = 1) -> Planes:
    return Planes("rgb", (torch.zeros(frames, height, width, 3, dtype=torch.uint8),))


def centres(views: detect.Views, size: int) -> Tensor:
    """Where the middle of each view lies: [V, 2]."""
    middle = torch.tensor([(size - 1) / 2, (size - 1) / 2, 1.0])
    return views.matrix @ middle


def detections(*boxes: tuple[int, float, float, float, float]) -> Detections:
    """From (frame, x, y, side, score)."""
    rows = torch.tensor(boxes)
    eyes = rows[:, None, 1:3].expand(-1, 2, 2)
    return Detections(rows[:, 0].long(), rows[:, 1:3], rows[:, 3], eyes, rows[:, 4])


class TestViews:
    @pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
    def test_whole_is_the_frame_letterboxed(self, aspect):
        views = detect.whole(blank(400, 300, 2), aspect, FULL_RANGE, (0, 1, 2, 3))
        assert views.frame.tolist() == [0] * 4 + [1] * 4
        torch.testing.assert_close(centres(views, 192), torch.tensor([[(400 * aspect - 1) / 2, 149.5]]).expand(8, 2))
        scale = views.matrix[:, :, :2].det().abs().sqrt()
        torch.testing.assert_close(scale, torch.full((8,), max(400 * aspect, 300) / 192))

    def test_turns_are_the_pictures_turns(self):
        picture = torch.arange(192 * 192.0).reshape(1, 1, 192, 192)
        for turn in range(4):
            view = detect.whole(blank(192, 192), 1.0, FULL_RANGE, (turn,))
            turned = warp(picture, view.matrix, 192)
            torch.testing.assert_close(turned, picture.rot90(turn, (2, 3)), rtol=0, atol=0.05)

    @given(width=st.integers(40, 3000), height=st.integers(40, 3000), part=st.floats(0.05, 0.3))
    @settings(max_examples=60, deadline=None)
    def test_a_face_lies_whole_in_a_tile(self, width, height, part):
        views = detect.tiles(blank(width, height), 1.0, FULL_RANGE, 1)
        if not len(views.frame):
            assert max(width, height) < 320
            return
        side = max(width, height) / 2
        low = centres(views, 192) - (side - 1) / 2
        face = side * part
        for x in np.linspace(0, width - face, 9):
            for y in np.linspace(0, height - face, 9):
                start = torch.tensor([x, y])
                inside = (low <= start + 1e-2) & (start + face <= low + side + 1e-2)
                assert inside.all(dim=1).any()

    def test_tiles_are_bounded(self):
        assert len(detect.tiles(blank(7000, 7000), 1.0, FULL_RANGE, 9).frame) <= 256
        assert len(detect.tiles(blank(100, 100), 1.0, FULL_RANGE, 9).frame) == 0

    def test_select(self):
        views = detect.tiles(blank(800, 600, 3), 1.0, FULL_RANGE, 1)
        assert detect.select(views, torch.tensor([False, True, False])).frame.unique().tolist() == [1]


class TestJoin:
    def test_means_overlapping_boxes_by_score(self):
        joined = detect.join([detections((0, 100, 100, 50, 0.9)), detections((0, 110, 100, 50, 0.3))])
        assert joined.centre[0].tolist() == pytest.approx([102.5, 100.0])
        assert joined.score.tolist() == [pytest.approx(0.9)]

    def test_keeps_frames_and_places_apart(self):
        joined = detect.join([detections((0, 100, 100, 50, 0.9), (1, 100, 100, 50, 0.8), (0, 200, 100, 50, 0.7))])
        assert sorted(joined.frame.tolist()) == [0, 0, 1]

    def test_of_nothing(self):
        assert len(detect.join([]).frame) == 0

    def test_overlap_and_nesting(self):
        box, inner, apart = np.array([[0, 0, 4, 4.0]]), np.array([[1, 1, 3, 3.0]]), np.array([[5, 5, 6, 6.0]])
        assert detect.overlap(box, inner) == pytest.approx(0.25)
        assert detect.nesting(box, inner) == pytest.approx(1.0)
        assert detect.overlap(box, apart) == detect.nesting(box, apart) == 0


class TestDetect:
    @pytest.mark.parametrize("detector", [SHORT_RANGE, FULL_RANGE])
    def test_eyes_where_they_are(self, portrait_planes, detector):
        views = detect.whole(portrait_planes, 1.0, detector)
        found = detect.detect(portrait_planes, 1.0, detector, views, 0.6)
        assert found.frame.tolist() == [0]
        assert (found.eyes[0] - EYES).norm(dim=1).max() < 6

    @pytest.mark.parametrize("turn", [1, 2, 3])
    def test_turned_faces_through_turned_views(self, portrait, turn):
        turned = Planes("rgb", (portrait.rot90(turn)[None].contiguous(),))
        views = detect.whole(turned, 1.0, FULL_RANGE, (4 - turn,))
        eyes = detect.detect(turned, 1.0, FULL_RANGE, views, 0.6).eyes[0]
        for _ in range(turn):
            eyes = torch.stack([511 - eyes[:, 1], eyes[:, 0]], dim=1)
        assert (eyes - EYES).norm(dim=1).max() < 6

    def test_square_pixels_whatever_the_aspect(self, portrait):
        squeezed = Planes("rgb", (portrait[None, :, ::2].contiguous(),))
        views = detect.whole(squeezed, 2.0, FULL_RANGE)
        found = detect.detect(squeezed, 2.0, FULL_RANGE, views, 0.6)
        assert (found.eyes[0] - EYES).norm(dim=1).max() < 6

    def test_a_small_face_in_a_tile(self, portrait):
        small = torch.nn.functional.interpolate(portrait.permute(2, 0, 1)[None].float(), (128, 128), mode="area")
        canvas = torch.full((1, 1000, 1600, 3), 90, dtype=torch.uint8)
        canvas[0, 700:828, 1100:1228] = small[0].permute(1, 2, 0).round().to(torch.uint8)
        planes = Planes("rgb", (canvas,))
        whole = detect.detect(planes, 1.0, FULL_RANGE, detect.whole(planes, 1.0, FULL_RANGE), 0.6)
        assert len(whole.frame) == 0  # 2.7 px across in the network's input
        found = detect.detect(planes, 1.0, FULL_RANGE, detect.tiles(planes, 1.0, FULL_RANGE, 3), 0.6)
        assert (found.eyes[0] - (EYES / 4 + torch.tensor([1100.0, 700.0]))).norm(dim=1).max() < 4

    def test_best_score(self, portrait_planes):
        views = detect.whole(portrait_planes, 1.0, SHORT_RANGE, (0, 2))
        upright, upside_down = detect.best_score(portrait_planes, 1.0, SHORT_RANGE, views.matrix, views.frame).tolist()
        assert upright > 0.8
        assert upside_down < upright
