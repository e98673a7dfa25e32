"""What augment draws: known answers of its random numbers, their distribution, and the same on every implementation."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
import torch

from fastswap.kernels.augment import _numba as fast
from fastswap.kernels.augment import reference
from fastswap.ops import GAN_2018, Jitter

# Random123's known answers for philox4x32 with 10 rounds: counter, key, result
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def numbers(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def draws(count: int, jitter: Jitter | None = None, seed: int = 7) -> reference.Draw:
    return reference.draw(torch.arange(count), seed, astuple(jitter or Jitter()))


class TestRandomNumbers:
    @pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
    def test_philox_gives_the_published_words(self, counter, key, expected):
        words = reference.philox([torch.tensor([c]) for c in counter], key)
        assert tuple(int(word) for word in words) == expected
        assert tuple(int(w) for w in fast.philox(*map(np.uint32, counter), *map(np.uint32, key))) == expected

    def test_both_implementations_draw_the_same_uniforms(self):
        samples = numbers(0, 1, 2**32 - 1, 2**32, 2**62 + 5)
        for number in (0, 1, 14):
            expected = reference.uniforms(samples, 2**61 + 3, number)
            drawn = [fast._uniforms(int(sample), 2**61 + 3, number) for sample in samples]
            assert torch.equal(torch.tensor(drawn, dtype=torch.float64), expected)

    def test_the_high_words_of_seed_and_sample_count(self):
        first = reference.uniforms(numbers(5, 5 + 2**32), 9, 0)
        assert not torch.equal(first[0], first[1])
        assert not torch.equal(first[0], reference.uniforms(numbers(5), 9 + 2**32, 0)[0])

    def test_distribution(self):
        drawn = draws(40_000)
        tolerance = 4 / math.sqrt(40_000)  # of a uniform number's or a coin's range: four deviations and more
        for value, middle, half in (
            (drawn.angle.rad2deg(), 0, 10),
            (drawn.zoom, 1, 0.05),
            (drawn.shift[:, 0], 0, 0.05),
            (drawn.shift[:, 1], 0, 0.05),
            (drawn.colour[:, 0], 0, 0.30),
            (drawn.colour[:, 1], 0, 0.08),
            (drawn.colour[:, 2], 0, 0.08),
        ):
            assert (value - middle).abs().max() <= half
            assert (value - middle).abs().max() > 0.99 * half
            assert abs(value.mean() - middle) < tolerance * half
            assert value.std() == pytest.approx(half / math.sqrt(3), rel=0.02)
        assert abs(drawn.mirror.mean()) < tolerance
        assert set(drawn.mirror.tolist()) == {-1.0, 1.0}

    def test_the_grid_is_normal_and_its_nodes_independent(self):
        nodes = draws(20_000).nodes.flatten(1) / (5 / 256)  # [20000, 50]
        assert nodes.shape[1] == 50
        assert (nodes.mean(0).abs() < 5 / math.sqrt(20_000)).all()
        assert (nodes.std(0) - 1).abs().max() < 0.03
        assert (nodes**4).mean() == pytest.approx(3, rel=0.03)
        correlation = torch.corrcoef(nodes.T) - torch.eye(50, dtype=torch.float64)
        assert correlation.abs().max() < 5 / math.sqrt(20_000)

    def test_parameters_are_independent_of_each_other(self):
        drawn = draws(20_000)
        table = torch.stack(
            [drawn.angle, drawn.zoom, *drawn.shift.T, drawn.mirror, *drawn.colour.T, drawn.nodes[:, 0, 0, 0]]
        )
        correlation = torch.corrcoef(table) - torch.eye(len(table), dtype=torch.float64)
        assert correlation.abs().max() < 5 / math.sqrt(20_000)


class TestSpreads:
    def test_the_crop_and_the_grid_spread_as_said(self):
        drawn = draws(20_000, GAN_2018)
        plain = draws(20_000, GAN_2018.without(warp=True))
        assert (drawn.crop - 1).abs().max() <= GAN_2018.crop
        assert drawn.crop.std() == pytest.approx(GAN_2018.crop / math.sqrt(3), rel=0.02)
        assert torch.equal(drawn.crop, plain.crop)
        on_face = (drawn.nodes * drawn.crop[:, None, None, None]).flatten(1)
        deviations = on_face.std(1) / GAN_2018.grid
        assert (on_face.std() / GAN_2018.grid) == pytest.approx(math.sqrt(1 + GAN_2018.grid_spread**2 / 3), rel=0.01)
        assert torch.corrcoef(torch.stack([deviations, drawn.crop]))[0, 1].abs() < 0.04

    def test_a_jitter_without_them_draws_what_it_always_drew(self):
        drawn = draws(3, seed=7)
        assert (drawn.crop == 1).all()
        assert float(drawn.angle[2].rad2deg()) == pytest.approx(-9.878498315811157, abs=1e-9)
        assert float(drawn.nodes[2, 4, 4, 1]) == pytest.approx(-0.020191568205496342, abs=1e-12)


class TestRealign:
    def test_a_similar_grid_stays_as_it_is(self):
        line = torch.linspace(-0.5, 0.5, 5, dtype=torch.float64)
        y, x = torch.meshgrid(line, line, indexing="ij")
        cos, sin = 1.1 * math.cos(0.2), 1.1 * math.sin(0.2)
        nodes = torch.stack((cos * x - sin * y - x + 0.03, sin * x + cos * y - y - 0.02), -1)[None]
        torch.testing.assert_close(reference.realign(nodes), nodes)

    def test_it_is_umeyamas_by_singular_values(self):
        """The general algorithm of the paper, on the nodes of drawn grids."""
        line = np.linspace(-0.5, 0.5, 5)
        place = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        for nodes in draws(20, GAN_2018).nodes:
            moved = place + nodes.numpy().reshape(-1, 2)
            middle = moved.mean(0)
            left, values, right = np.linalg.svd(place.T @ (moved - middle) / 25)
            sign = np.diag([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
            rotation = left @ sign @ right
            scale = np.trace(np.diag(values) @ sign) / (moved - middle).var(0).sum()
            back = place @ rotation / scale + middle  # the inverse of w = scale * rotation (z - middle)
            ours = place + reference.realign(nodes[None])[0].numpy().reshape(-1, 2)
            np.testing.assert_allclose(ours, back, atol=1e-12)

    def test_a_torn_grid_gives_numbers(self):
        nodes = draws(8, Jitter(grid=1e6)).nodes
        assert torch.isfinite(reference.realign(nodes)).all()
        assert torch.isfinite(reference.realign(-nodes / nodes.abs().max())).all()
