"""The zero-phase smoother: calm where nothing moves, exact where much does, at any times."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastswap.faces import smooth_evenly, smooth_path

RATE = 25.0
TREMBLE = np.array([0.1])
Path = NDArray[np.float64]


def moments(count: int = 100, rate: float = RATE) -> Path:
    return np.arange(count) / rate


def noise(count: int = 100, seed: int = 3) -> Path:
    """What a measurement is off by: neighbouring frames alike, as the mesh is."""
    white = np.random.default_rng(seed).normal(0, 0.15, count + 1)
    return (0.5 * white[1:] + 0.5 * white[:-1])[:, None]


def jitter(path: Path) -> float:
    return float(np.sqrt(np.square(np.diff(path, 2, axis=0)).mean()))


class TestASmoothPath:
    def test_a_still_head_is_calmed(self):
        still = np.full((100, 1), 300.0) + noise()
        assert jitter(smooth_path(still, moments(), TREMBLE)) < 0.15 * jitter(still)

    @pytest.mark.parametrize(("rate", "share"), [(12.5, 0.6), (60.0, 0.03)])
    def test_a_still_head_is_calmed_at_every_frame_rate(self, rate, share):
        still = noise(200)
        assert jitter(smooth_path(still, moments(200, rate), TREMBLE)) < share * jitter(still)

    def test_a_turning_head_is_calmed_too(self):
        truth = 10 * np.sin(2 * np.pi * 0.4 * moments())[:, None]
        measured = truth + noise()
        assert jitter(smooth_path(measured, moments(), TREMBLE) - truth) < 0.4 * jitter(measured - truth)

    def test_a_shaken_head_is_followed_no_worse_than_it_was_measured(self):
        truth = 40 * np.sin(2 * np.pi * 1.8 * moments())[:, None]  # px: peaks of 5,000 px/s^2
        measured = truth + noise()
        path = smooth_path(measured, moments(), TREMBLE)
        assert np.abs(path - truth).mean() < np.abs(measured - truth).mean()
        assert jitter(path - truth) < jitter(measured - truth)
        assert np.ptp(path) > 0.998 * np.ptp(truth), "peaks are not clipped"

    def test_nothing_lags(self):
        truth = 40 * np.sin(2 * np.pi * 0.7 * moments())[:, None]
        path = smooth_path(truth + noise(), moments(), TREMBLE)
        shifts = [np.abs(np.interp(moments() + lag, moments(), truth[:, 0]) - path[:, 0]).mean() for lag in LAGS]
        assert abs(LAGS[int(np.argmin(shifts))]) <= 0.002

    def test_a_jump_stays_a_jump(self):
        jump = np.where(np.arange(100) < 50, 0.0, 100.0)[:, None]
        path = smooth_path(jump + noise(), moments(), TREMBLE)
        assert np.abs(path - jump)[45:55].max() < 0.5

    def test_a_parabola_passes_unchanged_to_its_ends_at_uneven_times(self):
        seconds = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.08, 60))
        parabola = np.column_stack([3 * seconds**2 - seconds, np.full(60, 7.0)])
        assert np.allclose(smooth_path(parabola, seconds, np.array([0.1, 0.1])), parabola, atol=1e-6)

    def test_a_missing_moment_is_where_its_neighbours_say(self):
        truth = 5 * np.sin(2 * np.pi * 0.5 * moments())[:, None]
        seen = np.ones(100, dtype=bool)
        seen[40:43] = False
        measured = np.where(seen[:, None], truth + noise() / 4, 999.0)
        assert np.abs(smooth_path(measured, moments(), TREMBLE, seen) - truth).max() < 0.3

    def test_each_number_is_smoothed_by_itself(self):
        both = np.column_stack([noise(), 40 * np.sin(2 * np.pi * 1.8 * moments())])
        together = smooth_path(both, moments(), np.array([0.1, 0.1]))
        alone = [smooth_path(both[:, i : i + 1], moments(), TREMBLE) for i in range(2)]
        assert np.allclose(together, np.concatenate(alone, axis=1))

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_a_few_moments_stay_as_they_are(self, count):
        assert np.array_equal(smooth_path(noise(count), moments(count), TREMBLE), noise(count))

    def test_too_few_that_were_seen_stay_as_they_are(self):
        seen = np.array([True, False, False, False, True])
        assert np.array_equal(smooth_path(noise(5), moments(5), TREMBLE, seen), noise(5))

    def test_time_goes_forward(self):
        with pytest.raises(ValueError, match="time must go forward"):
            smooth_path(noise(5), np.array([0.0, 0.1, 0.1, 0.2, 0.3]), TREMBLE)


LAGS = np.linspace(-0.02, 0.02, 41)


class TestAnEvenCutoff:
    def test_it_solves_what_it_says(self):
        """Against the dense solution of the same least squares at even times."""
        values, cutoff = np.random.default_rng(0).normal(size=(30, 5)), 4.0
        third = np.diff(np.eye(30), 3, axis=0) * RATE**3
        dense = np.linalg.solve(np.eye(30) + third.T @ third / (2 * np.pi * cutoff) ** 6, values)
        assert np.allclose(smooth_evenly(values, moments(30), cutoff), dense)

    def test_the_cutoff_is_halved_and_what_is_slower_passes(self):
        seconds = moments(500)
        for hertz, gain in ((1.0, 1.0), (5.0, 0.5), (10.0, 0.0)):
            wave = np.sin(2 * np.pi * hertz * seconds)[:, None]
            passed = smooth_evenly(wave, seconds, 5.0)[100:400]
            assert abs(float((passed * wave[100:400]).sum() / np.square(wave[100:400]).sum()) - gain) < 0.1

    def test_the_cutoff_is_the_same_where_the_frame_rate_changes(self):
        seconds = np.concatenate([moments(250), 10 + moments(500, 50.0)])
        wave = np.sin(2 * np.pi * 2.0 * seconds)[:, None]
        passed = smooth_evenly(wave, seconds, 2.0)
        for part in (slice(50, 200), slice(300, 700)):
            assert abs(float((passed[part] * wave[part]).sum() / np.square(wave[part]).sum()) - 0.5) < 0.03
