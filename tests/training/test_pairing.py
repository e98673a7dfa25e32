"""Faces that do the same are shown beside each other, and each is still shown as often as before."""

from __future__ import annotations

import numpy as np

from fastswap.faceset import FaceSet
from fastswap.training.pairing import BLOCK, pair, performance
from fastswap.training.sampler import Sampler
from fastswap.training.settings import TrainSettings


def test_each_is_used_once_and_near_ones_meet() -> None:
    random = np.random.default_rng(0)
    one = random.normal(size=(BLOCK, 4)).astype(np.float32)
    other = one[random.permutation(BLOCK)] + np.float32(1e-3)
    order = pair(one, other)
    assert sorted(order) == list(range(BLOCK))
    assert np.abs(other[order] - one).max() < 0.1


def test_pairs_are_nearer_than_chance() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=(2, BLOCK, 4)).astype(np.float32)
    apart = np.square(one - other).sum(1).mean()
    assert np.square(one - other[pair(one, other)]).sum(1).mean() < 0.4 * apart


def greedy(one: np.ndarray, other: np.ndarray) -> list[int]:
    """What `pair` is: one after the other takes the nearest that is left."""
    left, order = list(range(len(other))), []
    for mine in one:
        nearest = min(left, key=lambda theirs: np.square(mine - other[theirs]).sum())
        left.remove(nearest)
        order.append(nearest)
    return order


def test_first_come_first_served_also_among_equals() -> None:
    random = np.random.default_rng(3)
    for digits in (0, 3):  # rounded to whole numbers many are the same, and the first of them is taken
        one, other = random.normal(size=(2, 100, 4)).astype(np.float32).round(digits)
        np.testing.assert_array_equal(pair(one, other), greedy(one, other))


def test_paired_sides_show_the_same_faces_in_another_order() -> None:
    random = np.random.default_rng(2)
    doing = [random.normal(size=(count, 4)).astype(np.float32) for count in (40, 30)]
    samplers = Sampler((40, 30), 8, 0), Sampler((40, 30), 8, 0, performances=doing)
    plain, paired = (np.stack([sampler.indices(i) for i in range(BLOCK // 8)]) for sampler in samplers)
    np.testing.assert_array_equal(plain[:, :8], paired[:, :8], "the first side keeps its order")
    np.testing.assert_array_equal(np.sort(plain[:, 8:], axis=None), np.sort(paired[:, 8:], axis=None))
    distance = [
        np.square(doing[0][shown[:, :8]] - doing[1][shown[:, 8:] - 40]).sum(-1).mean() for shown in (plain, paired)
    ]
    assert distance[1] < 0.5 * distance[0]


def test_a_performance_counts_from_the_persons_own_rest(settings: object) -> None:
    made: TrainSettings = settings()  # type: ignore[operator]
    faces = FaceSet.open(made.faces_a)
    numbers = performance(faces, faces.rows())
    assert numbers.shape == (len(faces.rows()), 4)
    assert np.isfinite(numbers).all()
    assert np.abs(np.median(numbers[:, 1:], axis=0)).max() < 1e-5
