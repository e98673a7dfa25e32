"""The CIELAB of the Triton kernels keeps the error budget of the CPU's, which tests/ops/test_lab.py states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

triton = pytest.importorskip("triton")
tl = triton.language

from fastswap.kernels.lab import reference  # noqa: E402
from fastswap.kernels.lab._triton import lab_from_rgb, rgb_from_lab  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@triton.jit
def round_trip(rgb, lab, back, n, COUNT: tl.constexpr):
    at = tl.program_id(0) * COUNT + tl.arange(0, COUNT)
    there = at < n
    r, g, b = tl.load(rgb + at, there, 0.0), tl.load(rgb + n + at, there, 0.0), tl.load(rgb + 2 * n + at, there, 0.0)
    lightness, a, bb = lab_from_rgb(r, g, b)
    tl.store(lab + at, lightness, there)
    tl.store(lab + n + at, a, there)
    tl.store(lab + 2 * n + at, bb, there)
    r, g, b = rgb_from_lab(lightness, a, bb)
    tl.store(back + at, r, there)
    tl.store(back + n + at, g, there)
    tl.store(back + 2 * n + at, b, there)


def test_the_error_budget():
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 33)] * 3), 0).reshape(3, -1)
    dark = np.random.default_rng(0).uniform(0, 0.06, (3, 4096))  # where the curves bend
    rgb = torch.from_numpy(np.concatenate([grid, dark], 1).astype(np.float32))
    n = rgb.shape[1]
    lab, back = torch.empty(3, n, device=DEVICE), torch.empty(3, n, device=DEVICE)
    round_trip[(triton.cdiv(n, 16384),)](rgb.to(DEVICE), lab, back, n, COUNT=16384)
    lab, back = lab.cpu(), back.cpu()
    exact = reference.lab_from_rgb(rgb.double()[..., None])[..., 0]
    assert (lab - exact).abs().max() < 5e-3
    assert (back - rgb).abs().max() < 1e-4
    exact_back = reference.rgb_from_lab(lab.double()[..., None])[..., 0]
    assert (back - exact_back).abs().max() < 1e-5
