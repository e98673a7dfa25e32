"""paste: every implementation writes what the reference writes, wherever the faces lie, and the same on every run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fastswap.ops import Colour, Planes, _impl, paste, yuv

LAYOUTS = ["rgb", "nv12", "p010"]
GPU = ["triton", "cupy"]
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


def disc(side: int) -> torch.Tensor:
    steps = torch.linspace(-1, 1, side)
    distance = (steps.view(-1, 1) ** 2 + steps.view(1, -1) ** 2).sqrt()
    return ((0.8 - distance) / 0.2).clamp(0, 1).view(1, 1, side, side)


def same(a: Planes, b: Planes) -> bool:
    return all(torch.equal(p.int(), q.int()) for p, q in zip(a.data, b.data, strict=True))


def agree(a: Planes, b: Planes) -> None:
    """The same codes; where a value falls on a half, a neighbour. Positions are good to 3e-5 px, so that where colours
    differ by all codes from pixel to pixel, values are off by 0.01 codes of eight bits and 0.03 of ten, most by a tenth
    of that: one code in a thousand rounds the other way."""
    step = 64 if a.layout == "p010" else 1
    assert max(int((p.int() - q.int()).abs().max()) for p, q in zip(a.data, b.data, strict=True)) <= step
    unlike = sum(int((p.int() != q.int()).sum()) for p, q in zip(a.data, b.data, strict=True))
    assert unlike <= 2 + 1e-3 * sum(plane.numel() for plane in a.data)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(LAYOUTS),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.integers(1, 24),
    st.tuples(st.floats(0.1, 6), st.floats(0.1, 6)),
    st.sampled_from([0.0, 0.7, math.pi / 2, math.pi]),
    st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
    st.sampled_from([(0.0, 0.5), (0.5, 0.5), (1.0, 1.0)]),
)
def test_agrees_for_any_matrix(fast_impl, call, layout, shape, side, scale, angle, shift, siting):
    colour = Colour("bt601", layout == "nv12", siting)
    frame = noise(layout, 1, *shape, colour)
    turn = np.array(similarity(1, angle, *shift))
    matrix = torch.tensor(turn @ np.diag([*scale, 1.0])).float()[None]
    assume(min(abs(s - round(s) - 1e-3) for s in (max(scale), 2 * max(scale))) > 1e-5)  # else n of the taps is a tie
    face, alpha = torch.rand(1, 3, side, side), torch.rand(1, 1, side, side)
    written = [frame.clone(), frame.clone()]
    for planes, name in zip(written, (fast_impl, "reference"), strict=True):
        call(paste, planes, face, alpha, matrix, impl=name)
    agree(*written)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_agrees_with_the_reference(fast_impl, call, layout, dtype):
    frame = noise(layout, 2, 120, 160)
    face, alpha = torch.rand(4, 3, 64, 64).to(dtype), disc(64).repeat(4, 1, 1, 1).to(dtype)
    numbers = [(0.5, 0.3, -10, -20), (1, 0, -30, -30), (2.4, -0.5, -100, -50), (-1.2, 0.1, 100, 90)]
    matrix, which = torch.tensor([similarity(*n) for n in numbers]), torch.tensor([0, 1, 1, 0])
    written = [frame.clone(), frame.clone()]
    for planes, name in zip(written, (fast_impl, "reference"), strict=True):
        call(paste, planes, face, alpha, matrix, frame=which, impl=name)
    agree(*written)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_places_in_a_large_frame_are_as_good_as_in_a_small_one(fast_impl, call, layout):
    """Near the far end of a strip as wide as 8K, where float32 products of pixels and scales are off by 5e-4 px."""
    frame = noise(layout, 1, 20, 7680)
    scale, angle = 1.3, 0.3
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    matrix = torch.tensor([[[c, -s, 12 - c * 7650 + s * 10], [s, c, 12 - s * 7650 - c * 10]]])
    face, alpha = torch.rand(1, 3, 24, 24), torch.rand(1, 1, 24, 24)
    written = [frame.clone(), frame.clone()]
    for planes, name in zip(written, (fast_impl, "reference"), strict=True):
        call(paste, planes, face, alpha, matrix, impl=name)
    assert not same(written[0], frame)
    agree(*written)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_tiles(fast_impl, call, layout, monkeypatch):
    """Tiles of the size that a GPU gets, and a face across their borders."""
    if fast_impl == "triton":
        monkeypatch.setattr(_impl.kernel("paste", "triton"), "BLOCK", 1024)
    frame = noise(layout, 1, 37, 131)
    matrix = torch.tensor([similarity(0.6, 0.7, 0, -30)])
    written = [frame.clone(), frame.clone()]
    face = torch.rand(1, 3, 32, 32)
    for planes, name in zip(written, (fast_impl, "reference"), strict=True):
        call(paste, planes, face, disc(32), matrix, impl=name)
    agree(*written)


@pytest.mark.parametrize("siting", [(0.0, 0.5), (1.0, 1.0)])
def test_a_face_of_one_pixel_at_the_border_of_a_tile(fast_impl, call, siting, monkeypatch):
    """It is found by all tiles that it reaches, with luma or only with chroma."""
    if fast_impl == "triton":
        monkeypatch.setattr(_impl.kernel("paste", "triton"), "BLOCK", 1024)
    places = [(0.0, 0.0)]  # where tiles then begin
    places += [(x, y) for x in (62.3, 63.5, 64.7, 66.2) for y in (14.3, 15.5, 16.7, 18.2)]
    matrix = torch.tensor([similarity(0.7, 0, -0.7 * x, -0.7 * y) for x, y in places])
    frame = noise("nv12", len(places), 20, 70, Colour(siting=siting))
    written = [frame.clone(), frame.clone()]
    face, alpha = torch.rand(len(places), 3, 1, 1), torch.ones(len(places), 1, 1, 1)
    for planes, name in zip(written, (fast_impl, "reference"), strict=True):
        call(paste, planes, face, alpha, matrix, impl=name)
    agree(*written)


def test_many_faces_lie_in_their_order(fast_impl, call):
    """More than a kernel looks at together, most of them in another frame or beside it."""
    count, shown = 300, [0, 31, 32, 255, 256, 299]
    matrix = torch.tensor([similarity(1, 0, -500, 0)]).repeat(count, 1, 1)
    matrix[shown] = torch.tensor([similarity(1, 0, -k, 0) for k in range(len(shown))])
    matrix[5], which = matrix[31], torch.zeros(count, dtype=torch.int64)
    which[5] = 1
    face = torch.linspace(0, 1, count).view(count, 1, 1, 1).expand(count, 3, 8, 8)
    frame = noise("rgb", 2, 8, 16)
    written = [frame.clone(), frame.clone()]
    for planes, name in zip(written, (fast_impl, "reference"), strict=True):
        call(paste, planes, face, torch.full((count, 1, 8, 8), 0.5), matrix, frame=which, impl=name)
    assert not same(written[0], frame)
    agree(*written)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_faces_in_any_memory_order(fast_impl, call, layout):
    """Faces as networks give them, channels last, and as views; alpha of another type; frames as slices."""
    frame = noise(layout, 3, 24, 30)
    matrix = torch.tensor([similarity(0.8, 0.2, -2, -3), similarity(0.5, 1, 3, -9)])
    face = torch.rand(2, 3, 16, 16)
    alpha = torch.rand(2, 2, 16, 32)[:, 1:, :, ::2]
    parts = [Planes(layout, tuple(plane[1:] for plane in frame.clone().data), frame.colour) for _ in range(2)]
    call(paste, parts[0], face.to(memory_format=torch.channels_last), alpha.double(), matrix, impl=fast_impl)
    call(paste, parts[1], face, alpha.contiguous(), matrix, impl="reference")
    agree(*parts)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_colours_out_of_range_are_clamped(fast_impl, call, layout):
    frame = noise(layout, 1, 16, 16)
    face = torch.tensor([-1e6, 1e6, 3.0]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    written = [frame.clone(), frame.clone()]
    for planes, name in zip(written, (fast_impl, "reference"), strict=True):
        call(paste, planes, face, torch.ones(1, 1, 16, 16), torch.eye(3)[None, :2], impl=name)
    agree(*written)


@pytest.mark.parametrize("frames", [0, 2])
def test_no_frames_and_no_faces(fast_impl, call, frames):
    frame = noise("nv12", frames, 8, 8)
    empty = torch.zeros(0, dtype=torch.int64)
    before = frame.clone()
    call(paste, frame, torch.rand(0, 3, 4, 4), torch.rand(0, 1, 4, 4), torch.rand(0, 2, 3), frame=empty, impl=fast_impl)
    assert same(frame, before)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_run_is_the_same(fast_impl, call, layout, monkeypatch):
    """Bit for bit, also with the threads of the CUDA C taken in the opposite order."""
    frame = noise(layout, 1, 40, 70)
    matrix = torch.tensor([similarity(0.5, 0.3 * k, -4 * k, 2) for k in range(4)])
    face, alpha, which = torch.rand(4, 3, 24, 24), torch.rand(4, 1, 24, 24), torch.zeros(4, dtype=torch.int64)
    written = [frame.clone(), frame.clone()]
    for planes, order in zip(written, ("forwards", "backwards"), strict=True):
        monkeypatch.setenv("FASTSWAP_CUDA_EMULATE_ORDER", order)
        call(paste, planes, face, alpha, matrix, frame=which, impl=fast_impl)
    assert same(*written)


# What a CUDA graph replays: matrices and frames that nobody has checked, and a grid over the whole frame


def replayed(impl: str, planes: Planes, face: torch.Tensor, matrix: torch.Tensor, frame: torch.Tensor) -> Planes:
    there = planes.to(HOME)
    native = planes.layout != "rgb"
    numbers = yuv.from_rgb(there.data[0].dtype, "bt709", False) if native else yuv.LEVELS
    area, alpha = (0, 0, planes.width, planes.height), torch.ones_like(face[:, :1])
    given = (value.to(HOME) for value in (face, alpha, matrix, frame))
    _impl.kernel("paste", impl).paste(there.data, *given, planes.colour.siting, area, numbers)
    return there.to("cpu")


@pytest.fixture(params=GPU)
def gpu_impl(request, monkeypatch):
    if request.param == "triton" and HOME.type == "cpu":
        monkeypatch.setattr(_impl.kernel("paste", "triton"), "BLOCK", 8192)
    return request.param


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_the_host_the_same_is_written(gpu_impl, call, layout):
    """But for rounding: tiles that begin elsewhere count their pixels from another corner."""
    frame = noise(layout, 2, 41, 90)
    matrix, which = torch.tensor([similarity(0.9, 0.4, -20, -9), similarity(1.5, 0, -90, -20)]), torch.tensor([1, 0])
    face, pasted = torch.rand(2, 3, 16, 16), frame.clone()
    call(paste, pasted, face, torch.ones(2, 1, 16, 16), matrix, frame=which, impl=gpu_impl)
    agree(replayed(gpu_impl, frame.clone(), face, matrix, which), pasted)
    assert not same(frame, pasted)


def test_faces_that_cannot_be_are_left_out(gpu_impl):
    good = similarity(1, 0, -2, -2)
    wrong = [
        [[1.0, 0, 0], [1.0, 0, 0]],
        [[math.nan, 0, 0], [0, 1.0, 0]],
        [[1.0, 0, math.inf], [0, 1.0, 0]],
        [[0.0] * 3] * 2,
    ]
    matrix = torch.tensor([good, *wrong, good, good])
    frame = torch.tensor([0, 0, 0, 0, 0, 1, -1])
    face = torch.rand(1, 3, 6, 6).repeat(7, 1, 1, 1)
    planes = noise("nv12", 1, 12, 12)
    alone = replayed(gpu_impl, planes.clone(), face[:1], matrix[:1], frame[:1])
    assert same(replayed(gpu_impl, planes.clone(), face, matrix, frame), alone)
    assert not same(alone, planes)
