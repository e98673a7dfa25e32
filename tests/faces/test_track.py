"""Faces that keep their number, the assignment behind it, and cuts."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastswap.faces import Tracker, is_cut, mean_face, thumbnail
from fastswap.faces.assignment import assign
from fastswap.ops.planes import Planes


def faces(*places: tuple[float, float], size: float = 100.0) -> tuple[Tensor, Tensor]:
    """Faces of one size with their centres at these places: boxes [K, 4], landmarks [K, 478, 3]."""
    if not places:
        return torch.zeros(0, 4), torch.zeros(0, 478, 3)
    centres = torch.tensor([[x, y, 0.0] for x, y in places])
    landmarks = (mean_face() - torch.tensor([0.5, 0.5, 0.0])) * (size / 0.6) + centres[:, None]
    return torch.cat([landmarks[..., :2].amin(1), landmarks[..., :2].amax(1)], 1), landmarks


class TestTracker:
    def test_faces_keep_their_numbers_in_any_order(self):
        tracker = Tracker()
        assert tracker.update(0, *faces((100, 100), (400, 100))) == [0, 1]
        assert tracker.update(1, *faces((390, 110), (110, 100))) == [1, 0]
        assert tracker.update(2, *faces((120, 100), (700, 100), (380, 120))) == [0, 2, 1]

    def test_two_that_pass_each_other(self):
        tracker = Tracker()
        for frame in range(41):
            one, other = (100 + 10 * frame, 100), (500 - 10 * frame, 200)
            assert tracker.update(2 * frame, *faces(one, other)) == [0, 1]
            assert tracker.update(2 * frame + 1, *faces(other, one)) == [1, 0]

    def test_the_pairs_are_the_best_in_sum(self):
        tracker = Tracker()
        tracker.update(0, *faces((100, 100), (150, 100)))
        # Greedy would give the face at 140 to the track at 150, and leave the other a face 95 px away.
        assert tracker.update(1, *faces((140, 100), (195, 100))) == [0, 1]

    def test_a_gap_of_a_second_is_survived_a_longer_one_is_not(self):
        tracker = Tracker(max_gap=25)
        assert tracker.update(0, *faces((100, 100))) == [0]
        assert tracker.update(5, *faces()) == []
        assert tracker.update(25, *faces((110, 100))) == [0]
        assert tracker.update(51, *faces((110, 100))) == [1]

    def test_a_cut_ends_all(self):
        tracker = Tracker()
        tracker.update(0, *faces((100, 100), (400, 100)))
        assert tracker.update(1, *faces((100, 100)), cut=True) == [2]
        assert tracker.update(2, *faces((400, 100), (100, 100))) == [3, 2]

    def test_another_place_is_another_face(self):
        tracker = Tracker()
        tracker.update(0, *faces((100, 100)))
        assert tracker.update(1, *faces((300, 100))) == [1]

    def test_a_quick_face_is_followed_without_overlap_of_boxes_to_speak_of(self):
        tracker = Tracker()
        tracker.update(0, *faces((100, 100)))
        assert tracker.update(1, *faces((155, 100))) == [0]

    def test_state_is_bounded(self):
        tracker = Tracker(max_gap=10)
        for frame in range(200):
            tracker.update(frame, *faces((1000.0 * (frame % 50), 100)))
        assert len(tracker._live) <= 11

    def test_boxes_and_faces_are_as_many(self):
        with pytest.raises(ValueError, match="1 boxes for 2 faces"):
            Tracker().update(0, faces((1, 1))[0], faces((1, 1), (9, 9))[1])
        with pytest.raises(ValueError, match="max_gap"):
            Tracker(max_gap=0)


class TestAssignment:
    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_is_the_best_of_all(self, data):
        rows, columns = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
        number = st.one_of(st.floats(0, 2), st.just(1000.0), st.integers(0, 2).map(float))
        cost = [[data.draw(number) for _ in range(columns)] for _ in range(rows)]
        pairs = assign(cost)
        least = min(rows, columns)
        assert len(pairs) == len({row for row, _ in pairs}) == len({column for _, column in pairs}) == least
        ways = itertools.product(
            itertools.permutations(range(rows), least), itertools.combinations(range(columns), least)
        )
        best = min(sum(cost[r][c] for r, c in zip(*way, strict=True)) for way in ways)
        assert sum(cost[row][column] for row, column in pairs) == pytest.approx(best, abs=1e-9)

    @pytest.mark.parametrize("cost", [[], [[], []]])
    def test_of_nothing_is_nothing(self, cost):
        assert assign(cost) == []


def thumbnails(path: Path, frames: int) -> list[Tensor]:
    with av.open(str(path)) as container:
        pictures = itertools.islice(container.decode(video=0), frames)
        arrays = [torch.from_numpy(picture.to_ndarray(format="rgb24")) for picture in pictures]
    return [thumbnail(Planes("rgb", (array[None],)))[0] for array in arrays]


class TestCut:
    def test_joined_clips_are_cut_where_they_were_joined(self, data):
        names = ["A_man_kitchen.mp4", "grid_woman.mpg", "B_woman_garden.mp4", "grid_man_dark_skin.mpg",
                 "author_smile.mp4", "hard_profile_turns.gif", "grid_older_woman.mpg"]  # fmt: skip
        clips = [thumbnails(data / "videos" / name, 20) for name in names]
        joined = [frame for clip in clips for frame in clip]
        cuts = [index for index in range(1, len(joined)) if is_cut(joined[index - 1], joined[index])]
        assert cuts == [20 * number for number in range(1, len(names))]

    def test_the_title_after_the_face_is_a_cut(self, data):
        frames = thumbnails(data / "videos" / "hard_face_leaves.mov", 100)
        cuts = [index for index in range(1, len(frames)) if is_cut(frames[index - 1], frames[index])]
        assert cuts == [72, 73]  # to black, to the title

    def test_light_and_contrast_are_no_cut(self):
        picture = torch.rand(18, 32, generator=torch.Generator().manual_seed(0))
        assert not is_cut(picture, picture * 0.4)
        assert not is_cut(picture, picture + 0.3)
        assert not is_cut(torch.zeros(18, 32), torch.ones(18, 32))
        assert is_cut(picture, picture.flip(1))

    def test_layouts_give_one_thumbnail(self):
        grey = torch.randint(0, 256, (1, 90, 160), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        chroma = torch.full((1, 45, 80, 2), 128, dtype=torch.uint8)
        nv12 = thumbnail(Planes("nv12", (grey, chroma)))
        assert nv12.shape == (1, 18, 32)
        assert torch.allclose(thumbnail(Planes("rgb", (grey[..., None].expand(-1, -1, -1, 3),))), nv12, atol=1e-5)
        p010 = Planes("p010", tuple((plane.to(torch.int32) << 8).to(torch.uint16) for plane in (grey, chroma)))
        assert torch.allclose(thumbnail(p010), nv12, atol=0.005)

    def test_sizes_agree(self):
        with pytest.raises(ValueError, match="one size"):
            is_cut(torch.zeros(18, 32), torch.zeros(32, 18))
