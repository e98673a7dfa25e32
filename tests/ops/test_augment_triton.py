"""augment's random numbers inside a Triton kernel: the integers of Philox, and the angles made of them."""

from __future__ import annotations

import math

import pytest
import torch

triton = pytest.importorskip("triton")
tl = triton.language

from fastswap.kernels.augment import reference  # noqa: E402
from fastswap.kernels.augment._triton_draw import turned, uniforms  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@triton.jit(do_not_specialize=["seed"])
def show_uniforms(samples, out, seed):
    row, number = tl.arange(0, 8)[:, None], tl.arange(0, 16)[None, :]
    a, b, c, d = uniforms(tl.load(samples + row), seed, number)
    to = out + (row * 16 + number) * 4
    tl.store(to, a)
    tl.store(to + 1, b)
    tl.store(to + 2, c)
    tl.store(to + 3, d)


@triton.jit
def show_turned(turns, cos, sin, COUNT: tl.constexpr):
    at = tl.arange(0, COUNT)
    c, s = turned(tl.load(turns + at))
    tl.store(cos + at, c)
    tl.store(sin + at, s)


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**31, 2**61 + 3, 2**63 - 1])
def test_the_uniforms_are_those_of_the_reference_bit_for_bit(seed):
    samples = torch.tensor([0, 1, 2, 2**31, 2**32 - 1, 2**32, 2**40 + 7, 2**62 + 5])
    out = torch.empty(8, 16, 4, device=DEVICE)
    show_uniforms[(1,)](samples.to(DEVICE), out, seed)
    expected = torch.stack([reference.uniforms(samples, seed, number) for number in range(16)], 1)
    assert torch.equal(out.cpu().double(), expected)


def test_the_angles():
    turns = torch.cat((torch.arange(1000) / 1000, torch.arange(24) / 8 - 1.5)).float()
    cos, sin = torch.empty(2, 1024, device=DEVICE)
    show_turned[(1,)](turns.to(DEVICE), cos, sin, COUNT=1024)
    angle = 2 * math.pi * turns.double()
    torch.testing.assert_close(cos.cpu().double(), angle.cos(), atol=3e-7, rtol=0)
    torch.testing.assert_close(sin.cpu().double(), angle.sin(), atol=3e-7, rtol=0)
