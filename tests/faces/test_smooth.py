"""The one-euro filter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastswap.faces import OneEuro, mean_face


def jitter(track: Tensor) -> float:
    """Of landmarks [T, 478, 3]: the root mean square of their second difference."""
    return float((track[2:] - 2 * track[1:-1] + track[:-2]).square().mean().sqrt())


def smoothed(track: Tensor, rate: float = 25.0) -> Tensor:
    smooth = OneEuro()
    return torch.stack([smooth(landmarks, index / rate) for index, landmarks in enumerate(track)])


class TestOneEuro:
    @pytest.mark.parametrize("size", [50.0, 500.0])
    def test_a_still_head_is_calmed_alike_at_every_size(self, size):
        generator = torch.Generator().manual_seed(3)
        noise = 0.002 * torch.randn(100, 478, 3, generator=generator)  # of the square: as found on real clips
        track = (mean_face() + noise) * size
        assert jitter(smoothed(track)) < 0.55 * jitter(track)

    def test_a_quick_head_does_not_lag(self):
        shift = torch.linspace(0, 2, 51)[:, None, None] * torch.tensor([1.0, 0.0, 0.0])  # a square a second
        track = (mean_face() + shift) * 300
        lag = (track - smoothed(track))[10:, :, 0] / (0.6 * 300)
        assert 0 < float(lag.max()) < 0.02

    def test_what_does_not_move_stays(self):
        track = (mean_face() * 300).expand(10, 478, 3)
        assert torch.allclose(smoothed(track), track)

    def test_true_time_counts(self):
        first, second = mean_face() * 300, mean_face() * 300 + 0.5
        results = []
        for step in (0.02, 0.5):
            smooth = OneEuro()
            smooth(first, 1.0)
            results.append(float((smooth(second, 1.0 + step) - first).mean()))
        assert 0 < results[0] < 0.5 * results[1]
        assert results[1] < 0.5

    def test_time_goes_forward(self):
        smooth = OneEuro()
        smooth(mean_face(), 2.0)
        with pytest.raises(ValueError, match="time must go forward"):
            smooth(mean_face(), 2.0)

    def test_nonsense_is_refused(self):
        with pytest.raises(ValueError, match="cutoffs"):
            OneEuro(min_cutoff=0)
