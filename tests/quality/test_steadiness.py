"""Tremble and slip tell a steady alignment from one that trembles, lags or stands still."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from fastswap.quality.steadiness import Slip, tremble

SIDE, FRAMES = 160, 12


def places(shift: np.ndarray) -> Tensor:
    """Alignments of a square of SIDE px that is `shift` [n, 2] px from (60, 40)."""
    matrix = torch.zeros(len(shift), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = SIDE
    matrix[:, :, 2] = torch.from_numpy(shift + np.array([60.0, 40.0])).float()
    return matrix


def clip(shift: np.ndarray) -> list[np.ndarray]:
    """A picture with much to hold on to, moved by `shift`."""
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.uniform(0, 255, (260, 300)).astype(np.float32), (0, 0), 2.5)
    picture = cv2.cvtColor(cv2.normalize(grain, None, 0, 255, cv2.NORM_MINMAX), cv2.COLOR_GRAY2RGB)
    matrices = (np.float32([[1, 0, x], [0, 1, y]]) for x, y in shift)
    moved = (
        cv2.warpAffine(picture, m, (300, 260), borderMode=cv2.BORDER_REFLECT, flags=cv2.INTER_CUBIC) for m in matrices
    )
    return [np.clip(each, 0, 255).astype(np.uint8) for each in moved]


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    time = np.arange(FRAMES)[:, None]
    return np.concatenate([3.0 * time, 8 * np.sin(time / 2)], axis=1)


class TestTremble:
    def test_an_even_walk_has_none(self):
        assert tremble(places(np.arange(20)[:, None] * np.array([[5.0, -2.0]]))) < 1e-6

    def test_it_is_the_noise_of_the_second_difference_in_shares_of_the_square(self):
        shift = np.random.default_rng(0).normal(0, 0.5, (3000, 2))
        assert tremble(places(shift)) == pytest.approx(0.5 * np.sqrt(2 * 6) / SIDE, rel=0.05)

    def test_frames_that_are_missing_count_for_nothing(self):
        shift = np.where(np.arange(20) < 10, 0.0, 50.0)[:, None] * np.ones((1, 2))
        frame = [*range(10), *range(30, 40)]
        assert tremble(places(shift)) > 0.1
        assert tremble(places(shift), frame) < 1e-6

    def test_two_frames_say_nothing(self):
        assert np.isnan(tremble(places(np.zeros((2, 2)))))


class TestSlip:
    def test_the_alignment_that_follows_slips_least(self, walk: np.ndarray):
        rng = np.random.default_rng(1)
        ways = {
            "exact": places(walk),
            "trembling": places(walk + rng.normal(0, 1, walk.shape)),
            "late": places(np.concatenate([walk[:1], walk[:-1]])),
            "still": places(np.zeros_like(walk)),
        }
        slip = Slip(tuple(ways))
        for index, picture in enumerate(clip(walk)):
            slip.add(picture, {name: way[index] for name, way in ways.items()})
        scores = slip.scores()
        assert scores["exact"] < 0.1 / SIDE
        assert scores["trembling"] == pytest.approx(2 / SIDE, rel=0.4)  # px: two places, two axes
        steps = np.square(np.diff(walk, axis=0)).sum(axis=1)
        assert scores["still"] == pytest.approx(np.sqrt(steps.mean()) / SIDE, rel=0.05)
        assert scores["late"] > 5 * scores["exact"]

    def test_a_new_shot_is_no_slip(self):
        slip = Slip(("a",))
        pictures = clip(np.array([[0.0, 0.0], [30.0, 0.0]]))
        slip.add(pictures[0], {"a": places(np.zeros((1, 2)))[0]})
        slip.add(pictures[0], None)
        slip.add(pictures[1], {"a": places(np.zeros((1, 2)))[0]})
        assert np.isnan(slip.scores()["a"])

    def test_what_cannot_be_followed_counts_for_nothing(self):
        slip = Slip(("a",))
        for seed in range(2):
            noise = np.random.default_rng(seed).integers(0, 255, (260, 300, 3), dtype=np.uint8)
            slip.add(noise, {"a": places(np.zeros((1, 2)))[0]})
        assert np.isnan(slip.scores()["a"])

    def test_the_names_are_those_said_before(self):
        with pytest.raises(ValueError, match="alignments of"):
            Slip(("a",)).add(clip(np.zeros((1, 2)))[0], {"b": places(np.zeros((1, 2)))[0]})
