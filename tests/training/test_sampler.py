"""Which faces are shown when: the same for every number of processes and wherever a run is taken up again."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from fastswap.errors import UsageError
from fastswap.training.sampler import BIN, Sampler


def _doing(counts: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(9)
    return [random.normal(size=(count, 4)).astype(np.float32).round(1) for count in counts]


@pytest.mark.parametrize(
    ("counts", "batch", "seed", "paired", "known"),
    [
        ((7, 4), 3, 0, False, "efa0f6f25e2095fa"),
        ((40, 300), 24, 5, True, "cea88a34d8ddbcec"),
        ((1000, 777), 64, 3, True, "1b0d35982079a901"),
        ((500, 300, 20), 10, 1, True, "2fe1e56c236007bf"),
    ],
)
def test_the_sequence_is_the_one_that_models_were_trained_with(
    counts: tuple[int, ...], batch: int, seed: int, paired: bool, known: str
) -> None:
    sampler = Sampler(counts, batch, seed, performances=_doing(counts) if paired else ())
    digest = hashlib.sha256()
    for iteration in [*range(40), 1000]:
        digest.update(sampler.indices(iteration).astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == known


def test_an_epoch_shows_each_face_of_the_larger_set_once() -> None:
    sampler = Sampler((7, 4), 3, 0)
    shown = np.stack([sampler.indices(iteration) for iteration in range(14)])
    larger, smaller = shown[:, :3].ravel(), shown[:, 3:].ravel()
    for epoch in np.split(larger, 6):
        assert sorted(epoch) == list(range(7))
    for cycle in np.split(smaller[:40], 10):
        assert sorted(cycle) == list(range(7, 11))
    assert sampler.epoch(7) == 3.0


def test_the_order_is_a_function_of_seed_side_and_cycle() -> None:
    one, again, other = Sampler((40, 40), 3, 0), Sampler((40, 40), 3, 0), Sampler((40, 40), 3, 1)
    np.testing.assert_array_equal(one.indices(5), again.indices(5))
    assert not np.array_equal(one.indices(5), other.indices(5))
    cycles = np.stack([one.indices(i)[:3] for i in range(80)]).ravel()[:80].reshape(2, 40)
    assert not np.array_equal(*cycles), "each cycle has its own"
    assert not np.array_equal(one.indices(0)[:3], one.indices(0)[3:] - 40), "each side has its own"


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("yaw", [False, True])
def test_processes_share_one_sequence(world: int, yaw: bool) -> None:
    counts = (300, 120)
    made = {"performances": _doing(counts), "mixup": 0.2, "yaw": [d[:, 0] * 20 for d in _doing(counts)] if yaw else ()}
    alone = Sampler(counts, 12, 7, **made)  # type: ignore[arg-type]
    ranks = [Sampler(counts, 12, 7, rank=rank, world=world, **made) for rank in range(world)]  # type: ignore[arg-type]
    for iteration in (0, 21, 22, 500):
        for name in ("indices", "samples", "mix"):
            parts = [getattr(sampler, name)(iteration).reshape(2, -1) for sampler in ranks]
            np.testing.assert_array_equal(np.concatenate(parts, axis=1).ravel(), getattr(alone, name)(iteration))
    assert ranks[-1].epoch(50) == alone.epoch(50) == 2.0


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(UsageError, match="a batch of 6 cannot be shared by 4 processes: give a multiple of 4"):
        Sampler((20, 20), 6, 0, world=4)


@pytest.mark.parametrize("yaw", [False, True])
def test_any_iteration_can_be_the_first(yaw: bool) -> None:
    counts, degrees = (90, 70), [np.linspace(-60, 30, count, dtype=np.float32) for count in (90, 70)]
    make = lambda: Sampler(counts, 10, 2, performances=_doing(counts), yaw=degrees if yaw else (), mixup=0.2)  # noqa: E731
    went, resumed = make(), make()
    for iteration in range(200):
        last = went.indices(iteration), went.samples(iteration), went.mix(iteration)
    for mine, theirs in zip(last, (resumed.indices(199), resumed.samples(199), resumed.mix(199)), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_by_yaw_each_direction_is_shown_equally_often_and_each_of_its_faces_too() -> None:
    random = np.random.default_rng(4)
    frontal = np.concatenate([random.normal(0, 3, 900), random.uniform(-70, 70, 100)]).astype(np.float32)
    sampler = Sampler((1000, 1000), 50, 0, yaw=[frontal, frontal[::-1].copy()])
    shown = np.stack([sampler.indices(iteration) for iteration in range(400)])
    for side, degrees in ((shown[:, :50], frontal), (shown[:, 50:] - 1000, frontal[::-1])):
        bins = np.floor(degrees / BIN)
        _, often = np.unique(bins[side.ravel()], return_counts=True)
        assert len(often) == len(np.unique(bins))
        assert often.max() - often.min() <= 1, "all directions once before any twice"
        faces = np.bincount(side.ravel(), minlength=1000)
        for direction in np.unique(bins):
            assert np.ptp(faces[bins == direction]) <= 1, "in a direction, each in turn"
    uniform = np.bincount(np.digitize(frontal, np.arange(-70, 75, 5)))
    assert uniform.max() > 50 * uniform[uniform > 0].min(), "the set is as skewed as the test means"


def test_by_yaw_the_order_of_directions_changes() -> None:
    degrees = np.arange(0, 100, 5, dtype=np.float32)
    sampler = Sampler((20,), 20, 0, yaw=[degrees])
    rounds = [tuple(sampler.indices(iteration)) for iteration in range(100)]
    assert len(set(rounds)) == 100


def test_shares_of_mixup_are_beta_and_belong_to_the_example() -> None:
    sampler = Sampler((500, 400), 100, 3, mixup=0.2)
    drawn = np.stack([sampler.mix(iteration) for iteration in range(200)])
    np.testing.assert_array_equal(drawn[:, :100], drawn[:, 100:], "faces beside each other share it")
    values = drawn[:, :100].ravel()
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert values.var() == pytest.approx(0.25 / 1.4, abs=0.01)  # a b / ((a + b)^2 (a + b + 1))
    np.testing.assert_array_equal(Sampler((500, 400), 50, 3, mixup=0.2).mix(3)[:50], drawn[1, 50:100])
    assert (Sampler((500, 400), 100, 3).mix(0) == 1).all()


def test_shards_show_faces_of_their_own_in_orders_of_their_own() -> None:
    ranks = [Sampler((40, 30), 8, 0, rank=rank, world=2, sharded=True) for rank in range(2)]
    shown = [np.stack([sampler.indices(i)[:4] for i in range(10)]).ravel() for sampler in ranks]
    for own in shown:
        assert sorted(own) == list(range(40)), "an epoch of the shard"
    assert not np.array_equal(*shown)
    assert ranks[0].epoch(10) == 1.0
    np.testing.assert_array_equal([sampler.samples(3)[:4] for sampler in ranks], [[24, 25, 26, 27], [28, 29, 30, 31]])
