"""Motions: made by a seed, held out, of full range, kept in a file."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from fastswap.errors import UsageError
from fastswap.quality import clips
from fastswap.quality import motion as motions
from fastswap.quality.metrics import correlation
from fastswap.quality.motion import Motion

TRACKS = [field.name for field in fields(Motion)]


@pytest.mark.parametrize("name", TRACKS)
def test_one_seed_is_one_motion(name: str) -> None:
    first, again = Motion.performance(3, 90, 25), Motion.performance(3, 90, 25)
    np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(getattr(first, name), getattr(Motion.performance(4, 90, 25), name))


@pytest.mark.parametrize("seed", range(4))
def test_b_performs_something_else_than_a_over_the_same_ranges(seed: int) -> None:
    a, b = clips.motions(seed)
    alike = []
    for name in TRACKS:
        one, other = getattr(a, name), getattr(b, name)
        alike.append(abs(correlation(one, other[: len(one)])))
        assert 0.5 < np.ptp(one) / np.ptp(other) < 2, name
    assert np.median(alike) < 0.4


@pytest.mark.parametrize("seed", range(6))
def test_a_performance_uses_its_range_and_stays_in_it(seed: int) -> None:
    motion = Motion.performance(seed, 225, 25)
    for track, most in ((motion.yaw, motions.YAW), (motion.pitch, motions.PITCH), (motion.roll, motions.ROLL)):
        assert np.abs(track).max() <= most
        assert track.max() > 0.9 * most
        assert track.min() < -0.9 * most
    assert motion.mouth.min() == 0
    assert 0.6 * motions.MOUTH < motion.mouth.max() <= motions.MOUTH
    assert np.mean(motion.mouth > 0.5 * motions.MOUTH) > 0.05
    assert motion.blink.max() > 0.95
    assert motion.blink.min() == 0
    assert 3 <= np.count_nonzero(np.diff((motion.blink > 0.5).astype(int)) == 1) <= 7


def test_nothing_jumps_but_the_lids() -> None:
    motion = Motion.performance(1, 250, 25)
    for name in set(TRACKS) - {"blink", "mouth"}:
        track = getattr(motion, name)
        assert np.abs(np.diff(track)).max() < 0.15 * np.ptp(track), name


def test_a_motion_survives_its_file() -> None:
    motion = Motion.performance(0, 40, 25)
    again = Motion.from_json(json.loads(json.dumps(motion.to_json())))
    for name in TRACKS:
        np.testing.assert_allclose(getattr(again, name), getattr(motion, name), atol=1e-5)


def test_what_is_no_motion_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one frame"):
        Motion.performance(0, 0, 25)
    with pytest.raises(UsageError, match="rate"):
        Motion.performance(0, 5, 0)
    tracks = {name: np.zeros(3) for name in TRACKS} | {"yaw": np.zeros(4)}
    with pytest.raises(ValueError, match="every track"):
        Motion(**tracks)
