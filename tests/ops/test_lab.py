"""The CIELAB that augment and match_colour share, against OpenCV's, and the fast curves against the exact ones."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numba import njit

from fastswap.kernels.lab import _numba as fast
from fastswap.kernels.lab import reference


def colours() -> np.ndarray:
    """A grid over the sRGB cube, float32 [3, 33 ** 3], and 4,096 near black, where the curves bend."""
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 33)] * 3), 0).reshape(3, -1)
    dark = np.random.default_rng(0).uniform(0, 0.06, (3, 4096))
    return np.concatenate([grid, dark], 1).astype(np.float32)


@njit(fastmath=True)
def fast_round_trip(rgb, lab, back):
    for i in range(rgb.shape[1]):
        lab[0, i], lab[1, i], lab[2, i] = fast.lab_from_rgb(rgb[0, i], rgb[1, i], rgb[2, i])
        back[0, i], back[1, i], back[2, i] = fast.rgb_from_lab(lab[0, i], lab[1, i], lab[2, i])


def test_the_reference_is_opencvs_lab():
    rgb = colours()
    lab = reference.lab_from_rgb(torch.from_numpy(rgb)[..., None])[..., 0].numpy()
    expected = cv2.cvtColor(rgb.T.reshape(-1, 1, 3), cv2.COLOR_RGB2LAB).reshape(-1, 3).T
    assert np.abs(lab - expected).max() < 0.5  # OpenCV's own steps near black; its 8-bit levels are .4 of L, 1 of a, b
    assert np.abs(lab - expected).mean() < 0.02


def test_white_is_white_and_grey_has_no_colour():
    grey = torch.tensor([0.0, 0.2, 0.5, 1.0], dtype=torch.float64).expand(3, 1, 4)
    lab = reference.lab_from_rgb(grey)
    assert abs(lab[0, 0, -1] - 100) < 1e-4
    assert lab[1:].abs().max() < 1e-3


def test_there_and_back():
    rgb = torch.from_numpy(colours()).double()[..., None]
    assert (reference.rgb_from_lab(reference.lab_from_rgb(rgb)) - rgb).abs().max() < 1e-6


def test_colours_out_of_gamut_are_clamped():
    wild = torch.tensor([[150.0, -20.0, 60.0], [200.0, -200.0, 0.0], [-200.0, 200.0, 90.0]])[..., None]
    rgb = reference.rgb_from_lab(wild)
    assert torch.isfinite(rgb).all()
    assert rgb.min() >= 0
    assert rgb.max() <= 1


def test_the_fast_curves_keep_their_error_budget():
    rgb = colours()
    lab, back = np.empty_like(rgb), np.empty_like(rgb)
    fast_round_trip(rgb, lab, back)
    exact = reference.lab_from_rgb(torch.from_numpy(rgb).double()[..., None])
    assert np.abs(lab - exact[..., 0].numpy()).max() < 5e-3
    assert np.abs(back - rgb).max() < 1e-4
    exact_back = reference.rgb_from_lab(torch.from_numpy(lab).double()[..., None])[..., 0].numpy()
    assert np.abs(back - exact_back).max() < 1e-5
