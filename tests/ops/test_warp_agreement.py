"""warp: every implementation agrees with the reference, at odd sizes, strides and places."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fastswap.ops import Colour, Planes, _impl, warp, yuv

LAYOUTS = ["rgb", "nv12", "p010"]
IDENTITY = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
HOME = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # of the kernels of a GPU


def similarity(scale: float, angle: float, x: float, y: float) -> list[list[float]]:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return [[c, -s, x], [s, c, y]]


def noise(layout: str, frames: int, height: int, width: int, colour: Colour | None = None) -> Planes:
    rng = np.random.default_rng(0)
    shapes = [(frames, height, width), (frames, -(-height // 2), -(-width // 2), 2)]
    if layout == "rgb":
        shapes = [(frames, height, width, 3)]
    data = [rng.integers(0, 1024 if layout == "p010" else 256, shape) for shape in shapes]
    words = [(p << 6).astype(np.uint16) if layout == "p010" else p.astype(np.uint8) for p in data]
    return Planes(layout, tuple(torch.from_numpy(plane) for plane in words), colour or Colour())


def tolerance(impl: str, matrix: torch.Tensor, size: int) -> float:
    """A few units in the last place of 1.0; and where places are float32, one in the last place of where a pixel lies
    in its tile, along each axis, in a picture that changes by 1 a pixel, which its YUV conversion makes up to 3."""
    if impl == "numba":
        return 2e-6
    reach = matrix[:, :, :2].abs().sum(2).max().item() * min(size, 64)
    return 4e-6 + 2 * 3 * 2**-24 * reach


@pytest.mark.parametrize("layout", [*LAYOUTS, "float"])
@pytest.mark.parametrize("colour", [Colour("bt601", True, (0.5, 0.5)), Colour("bt2020", False, (1.0, 0.5))])
@pytest.mark.parametrize(("height", "width"), [(61, 83), (2, 2), (1, 1), (3, 200)])
def test_agrees_with_the_reference(call, fast_impl, layout, colour, height, width):
    src = torch.rand(3, 5, height, width) if layout == "float" else noise(layout, 3, height, width, colour)
    matrices = [(1, 0, 0, 0), (0.4, 0.3, 10.3, -4), (2.5, 0.5, 0, 20), (3.3, 0, 1, 1), (-1.7, 0, 30, 30)]
    matrix = torch.tensor([similarity(*numbers) for numbers in matrices])
    frame = torch.tensor([0, 1, 2, 0, 1])
    out, expected = (call(warp, src, matrix, 33, frame=frame, impl=name) for name in (fast_impl, "reference"))
    torch.testing.assert_close(out, expected, atol=tolerance(fast_impl, matrix, 33), rtol=0)


@pytest.mark.parametrize(("scale", "angle"), [(10, 0.5), (90, 0.0), (1e5, 1.0)])
def test_agrees_at_many_taps(call, fast_impl, scale, angle):
    """Also where the taps of one pixel lie further apart than the frame is wide."""
    if fast_impl == "triton" and HOME.type == "cpu" and scale > 64:
        pytest.skip("64 x 64 taps take Triton's interpreter most of a minute")
    src, matrix = torch.rand(1, 1, 300, 300), torch.tensor([similarity(scale, angle, 9, 0)])
    out, expected = (call(warp, src, matrix, 4, impl=name) for name in (fast_impl, "reference"))
    torch.testing.assert_close(out, expected, atol=64 * 64 * 6e-8, rtol=0)  # one float32 sum of 4096 terms


@pytest.mark.parametrize("shift", [3e7, -1e9, 1e30])
def test_agrees_far_outside(call, fast_impl, shift):
    src, matrix = torch.rand(1, 4, 9, 7), torch.tensor([similarity(1, 0.3, shift, -shift), similarity(1, 3, shift, 4)])
    frame = torch.tensor([0, 0])
    out, expected = (call(warp, src, matrix, 12, frame=frame, impl=name) for name in (fast_impl, "reference"))
    torch.testing.assert_close(out, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize(("corner", "size"), [(0.3, 130), (3900.3, 130), (2900.3, 1100)])
def test_places_in_a_large_frame_are_as_good_as_in_a_small_one(call, fast_impl, corner, size, monkeypatch):
    """m x + t in float32 is up to 2e-4 px off at 4096 px, m x alone 6e-5 in a large crop: white noise shows both."""
    if fast_impl == "triton" and HOME.type == "cpu":
        monkeypatch.setattr(_impl.kernel("warp", "triton"), "BLOCK", 1 << 16)
    src = torch.rand(1, 1, 64, 4096, generator=torch.Generator().manual_seed(1))
    matrix = torch.tensor([[[0.97, 0.013, corner], [0.017, 0.031, 0.7]]])
    out, expected = (call(warp, src, matrix, size, impl=name) for name in (fast_impl, "reference"))
    torch.testing.assert_close(out, expected, atol=1.5e-5, rtol=0)


@pytest.mark.parametrize("layout", [*LAYOUTS, "float"])
def test_many_tiles_and_steps(call, fast_impl, layout, monkeypatch):
    """A crop of several tiles both ways, each made in several steps: Triton's with the block that a GPU gets."""
    if fast_impl == "triton":
        monkeypatch.setattr(_impl.kernel("warp", "triton"), "BLOCK", 256)
    src = torch.rand(1, 2, 90, 80) if layout == "float" else noise(layout, 1, 90, 80)
    matrix = torch.tensor([similarity(0.9, 0.2, 15, -3)])
    out, expected = (call(warp, src, matrix, 71, impl=name) for name in (fast_impl, "reference"))
    torch.testing.assert_close(out, expected, atol=tolerance(fast_impl, matrix, 71), rtol=0)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([*LAYOUTS, "float"]),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, 24),
    st.floats(0.05, 4),
    st.floats(0.05, 4),
    st.sampled_from([0.0, 0.7, math.pi / 2, math.pi]),
    st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
    st.booleans(),
)
def test_agrees_for_any_matrix(call, fast_impl, layout, shape, size, scale_x, scale_y, angle, shift, last):
    larger = max(scale_x, scale_y)  # a GPU counts taps from float32: close to a step it may take one more or less
    assume(all(abs(s - 1e-3 - round(s - 1e-3)) > 1e-5 for s in (larger, larger / 2)))
    src = torch.rand(1, 1, *shape) if layout == "float" else noise(layout, 1, *shape)
    turn = np.array(similarity(1, angle, *shift))
    matrix = torch.tensor(turn @ np.diag([scale_x, scale_y, 1.0])).float()[None]
    out, expected = (call(warp, src, matrix, size, channels_last=last, impl=n) for n in (fast_impl, "reference"))
    torch.testing.assert_close(out, expected, atol=tolerance(fast_impl, matrix, size), rtol=0)
    assert out.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


@pytest.mark.parametrize("layout", [*LAYOUTS, "float"])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_frames_with_a_pitch(call, impl, layout, start):
    """As decoders hand them out: rows and frames with gaps, at any byte of a larger picture."""
    wide = torch.rand(2, 3, 40, 60) if layout == "float" else noise(layout, 2, 40, 60)
    if layout == "float":
        cut = wide[:, :, 1:31, start : start + 40].transpose(2, 3)
        dense = cut.contiguous()
    else:
        sides = zip(wide.data, (40, 20), strict=False)
        cut = Planes(layout, tuple(plane[:, :n, start : start + n] for plane, n in sides))
        dense = Planes(layout, tuple(plane.contiguous() for plane in cut.data))
    matrix = torch.tensor([similarity(0.9, 0.2, 25, 25)] * 2)
    assert torch.equal(call(warp, cut, matrix, 16, impl=impl), call(warp, dense, matrix, 16, impl=impl))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_source_of_another_precision(call, impl, dtype):
    src = torch.rand(1, 3, 9, 9).to(dtype)
    out = call(warp, src, IDENTITY, 9, impl=impl)
    torch.testing.assert_close(out, src.float())


@pytest.mark.parametrize("layout", ["nv12", "float"])
def test_channels_last_is_the_same_crop(call, impl, layout):
    src, matrix = torch.rand(1, 4, 9, 9) if layout == "float" else noise(layout, 1, 9, 9), IDENTITY
    planar, last = (call(warp, src, matrix, 11, channels_last=layout, impl=impl) for layout in (False, True))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(planar, last)


# What a CUDA graph may replay: nothing is checked there


@pytest.mark.parametrize("name", ["triton", "cupy"])
@pytest.mark.parametrize("layout", [*LAYOUTS, "float"])
@pytest.mark.parametrize(
    ("matrix", "frame"),
    [([[0, 0, 5], [0, 0, 5]], 0), ([[1, 2, 0], [2, 4, 0]], 0), ([[1, 0, math.nan], [0, 1, 0]], 0),
     ([[1, 0, 0], [0, math.inf, 0]], 0), ([[math.nan, 0, 0], [0, 1, 0]], 0), ([[1, 0, 0], [0, 1, 0]], 2),
     ([[1, 0, 0], [0, 1, 0]], -1)],
)  # fmt: skip
def test_a_face_that_cannot_be_is_zeros(layout, name, matrix, frame):
    """The kernels themselves, without the operation's checks; the face beside it is what it was."""
    if HOME.type == "cpu" and not _impl.emulated(name):
        pytest.skip("no GPU, and no emulation of one")
    src = torch.rand(2, 3, 8, 8) if layout == "float" else noise(layout, 2, 8, 8)
    planes = [plane.to(HOME) for plane in (src.data if isinstance(src, Planes) else [src])]
    matrices = torch.cat([IDENTITY, torch.tensor([matrix], dtype=torch.float32)]).to(HOME)
    to_rgb = yuv.to_rgb(planes[0].dtype, "bt709", False) if len(planes) == 2 else []
    where = matrices, torch.tensor([0, frame]).to(HOME)
    out = _impl.kernel("warp", name).warp(planes, *where, 8, to_rgb, (0.0, 0.5), 0.5, 0.5, torch.float32, False).cpu()
    assert torch.equal(out[1], torch.zeros_like(out[1]))
    assert torch.equal(out[0], call_alone(src, name))


def call_alone(src: Planes | torch.Tensor, name: str) -> torch.Tensor:
    """The identity crop of frame 0, by the operation."""
    there, which = src.to(HOME), torch.tensor([0])
    return warp(there, IDENTITY, 8, frame=which, mean=0.5, std=0.5, impl=name)[0].cpu()
