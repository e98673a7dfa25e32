"""Faces that do the same are shown beside each other, and each is still shown as often as before."""

from __future__ import annotations

import numpy as np
import torch

from fastswap.faceset import FaceSet
from fastswap.models import find_preset
from fastswap.ops import Jitter
from fastswap.training.data import Feed
from fastswap.training.pairing import BLOCK, pair, performance
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


def test_a_paired_feed_shows_the_same_faces_in_another_order() -> None:
    faces = [torch.zeros(count, 48, 48, 4, dtype=torch.uint8) for count in (40, 30)]
    random = np.random.default_rng(2)
    doing = [random.normal(size=(len(side), 4)).astype(np.float32) for side in faces]

    def feed(performances: list[np.ndarray]) -> Feed:
        return Feed(
            faces, find_preset("tiny"), batch=8, seed=0, coverage=0.75, jitter=Jitter(), device=torch.device("cpu"),
            performances=performances,
        )  # fmt: skip

    plain, paired = (torch.stack([f.indices(i) for i in range(BLOCK // 8)]) for f in (feed([]), feed(doing)))
    assert torch.equal(plain[:, :8], paired[:, :8]), "the first side keeps its order"
    assert torch.equal(plain[:, 8:].flatten().sort().values, paired[:, 8:].flatten().sort().values)
    distance = [
        np.square(doing[0][shown[:, :8].numpy()] - doing[1][shown[:, 8:].numpy() - 40]).sum(-1).mean()
        for shown in (plain, paired)
    ]
    assert distance[1] < 0.5 * distance[0]


def test_a_performance_counts_from_the_persons_own_rest(settings: object) -> None:
    made: TrainSettings = settings()  # type: ignore[operator]
    faces = FaceSet.open(made.faces_a)
    numbers = performance(faces, faces.rows())
    assert numbers.shape == (len(faces.rows()), 4)
    assert np.isfinite(numbers).all()
    assert np.abs(np.median(numbers[:, 1:], axis=0)).max() < 1e-5
