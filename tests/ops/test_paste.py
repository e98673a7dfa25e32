"""paste: what it writes, what it leaves, and how it is built in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fastswap.ops import Colour, Planes, paste, warp

LAYOUTS = ["rgb", "nv12", "p010"]
DEFAULT = Colour()
IDENTITY = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def similarity(scale: float, angle: float, x: float, y: float) -> list[list[float]]:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return [[c, -s, x], [s, c, y]]


def inverse(matrix: torch.Tensor) -> torch.Tensor:
    linear = torch.linalg.inv(matrix[:, :, :2])
    return torch.cat([linear, -linear @ matrix[:, :, 2:]], dim=2)


def noise(layout: str, frames: int, height: int, width: int, colour: Colour = DEFAULT, seed: int = 0) -> Planes:
    rng = np.random.default_rng(seed)
    if layout == "rgb":
        shapes = [(frames, height, width, 3)]
    else:
        shapes = [(frames, height, width), (frames, -(-height // 2), -(-width // 2), 2)]
    if layout == "p010":
        data = [(rng.integers(0, 1024, shape) << 6).astype(np.uint16) for shape in shapes]
    else:
        data = [rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes]
    return Planes(layout, tuple(torch.from_numpy(plane) for plane in data), colour)


def smooth(layout: str, colour: Colour, height: int = 96, width: int = 96) -> Planes:
    """A picture without edges, of colours inside the gamut."""
    steps, mid = (64, 512) if layout == "p010" else (1, 128)
    scale = 4 if layout == "p010" else 1
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    luma = (128 + 40 * torch.sin(x / 17) * torch.cos(y / 23)) * scale
    half = [12 * scale * torch.sin(x[::2, ::2] / 19 + k) + mid for k in range(2)]
    planes = [luma.round(), torch.stack(half, -1).round()]
    dtype = torch.uint16 if layout == "p010" else torch.uint8
    if layout == "rgb":
        return Planes("rgb", (torch.stack([luma, luma * 0.8, luma * 0.6], -1).round()[None].to(dtype),), colour)
    return Planes(layout, tuple((plane * steps).to(torch.int32).to(dtype)[None] for plane in planes), colour)


def disc(side: int, radius: float = 0.8) -> torch.Tensor:
    steps = torch.linspace(-1, 1, side)
    distance = (steps.view(-1, 1) ** 2 + steps.view(1, -1) ** 2).sqrt()
    return ((radius - distance) / 0.2).clamp(0, 1).view(1, 1, side, side)


def difference(a: Planes, b: Planes) -> int:
    """The largest difference of two frames, in codes."""
    step = 64 if a.layout == "p010" else 1
    return max(int((p.int() - q.int()).abs().max()) // step for p, q in zip(a.data, b.data, strict=True))


# What it writes


def test_an_opaque_face_replaces_the_frame(impl, call):
    frame = noise("rgb", 1, 20, 20)
    face = torch.rand(1, 3, 12, 12)
    before = frame.data[0].clone()
    call(paste, frame, face, torch.ones(1, 1, 12, 12), torch.tensor([similarity(1, 0, -5, -3)]), impl=impl)
    inside = (face[0] * 255 + 0.5).floor().to(torch.uint8).permute(1, 2, 0)
    assert torch.equal(frame.data[0][0, 3:15, 5:17], inside)
    before[0, 3:15, 5:17] = inside
    assert torch.equal(frame.data[0], before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("siting", [(0.0, 0.5), (0.5, 0.5), (1.0, 0.0)])
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_a_crop_pasted_back_changes_little(impl, call, layout, siting, scale):
    frame = smooth(layout, Colour("bt709", False, siting))
    matrix = torch.tensor([similarity(scale, 0.3, 20, 8)])
    crop, pasted = call(warp, frame, matrix, 64, impl=impl), frame.clone()
    call(paste, pasted, crop, disc(64), inverse(matrix), impl=impl)
    assert difference(frame, pasted) <= (3 if layout == "p010" else 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("matrix", "full_range"), [("bt601", False), ("bt709", True), ("bt2020", False)])
def test_a_flat_colour_reads_back(impl, call, layout, matrix, full_range):
    frame = noise(layout, 1, 32, 32, Colour(matrix, full_range))
    rgb = torch.tensor([0.7, 0.4, 0.2])
    call(paste, frame, rgb.view(1, 3, 1, 1).expand(1, 3, 32, 32), torch.ones(1, 1, 32, 32), IDENTITY, impl=impl)
    out = call(warp, frame, IDENTITY, 32, impl=impl)[0, :, 8:24, 8:24]
    torch.testing.assert_close(
        out, rgb.view(3, 1, 1).expand(3, 16, 16), atol=0.006, rtol=0
    )  # half a code of Y and of Cb


def test_half_alpha_is_the_mean(impl, call):
    frame = Planes("rgb", (torch.full((1, 9, 9, 3), 100, dtype=torch.uint8),))
    call(paste, frame, torch.full((1, 3, 9, 9), 200 / 255), torch.full((1, 1, 9, 9), 0.5), IDENTITY, impl=impl)
    assert (frame.data[0] == 150).all()


def test_colour_does_not_bleed_in_from_where_alpha_is_zero(impl, call):
    frame = Planes("rgb", (torch.full((1, 20, 20, 3), 128, dtype=torch.uint8),))
    alpha, face = torch.zeros(1, 1, 16, 16), torch.ones(1, 3, 16, 16)
    alpha[..., 4:12, 4:12] = 1
    face[..., 4:12, 4:12] = 128 / 255
    call(paste, frame, face, alpha, torch.tensor([similarity(1.3, 0.4, -2.3, -4.6)]), impl=impl)
    assert (frame.data[0] == 128).all()


def test_a_shrunken_face_does_not_alias(impl, call):
    """Lines one pixel wide become grey."""
    frame = Planes("rgb", (torch.zeros(1, 40, 40, 3, dtype=torch.uint8),))
    lines = (torch.arange(128) % 2).float().expand(1, 3, 128, 128)
    call(paste, frame, lines, torch.ones(1, 1, 128, 128), torch.tensor([similarity(4, 0.2, -10, -10)]), impl=impl)
    inside = frame.data[0][0, 12:24, 10:22].float()
    assert (inside - 127.5).abs().max() < 50


def test_later_faces_lie_over_earlier_ones(impl, call):
    frame = noise("rgb", 2, 16, 16)
    faces = torch.stack([torch.full((3, 8, 8), level) for level in (0.2, 0.4, 0.6)])
    matrix = torch.tensor([similarity(1, 0, -4, -4)]).repeat(3, 1, 1)
    call(paste, frame, faces, torch.ones(3, 1, 8, 8), matrix, frame=torch.tensor([1, 0, 1]), impl=impl)
    assert (frame.data[0][0, 4:12, 4:12] == 102).all()
    assert (frame.data[0][1, 4:12, 4:12] == 153).all()


# What it leaves


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_alpha_nothing_changes(impl, call, layout):
    frame = noise(layout, 1, 31, 33)
    before = frame.clone()
    call(
        paste,
        frame,
        torch.rand(1, 3, 16, 16),
        torch.zeros(1, 1, 16, 16),
        torch.tensor([similarity(0.7, 1, 0, 0)]),
        impl=impl,
    )
    assert difference(frame, before) == 0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("scale", "angle", "x", "y"), [(0.6, 0.4, 2, -12), (1, 0, -50, -50), (3, 0.7, -40, -120)])
def test_outside_of_alpha_every_bit_stays(impl, call, layout, scale, angle, x, y):
    frame = noise(layout, 1, 61, 83)
    if layout == "p010":  # even bits that no ten-bit code has
        frame = Planes(layout, tuple((plane.int() | 5).to(torch.uint16) for plane in frame.data))
    before, matrix = frame.clone(), torch.tensor([similarity(scale, angle, x, y)])
    call(paste, frame, torch.rand(1, 3, 32, 32), disc(32), matrix, impl=impl)
    linear, shift = matrix[0, :, :2], matrix[0, :, 2]
    changed = 0
    for plane, (now, old) in enumerate(zip(frame.data, before.data, strict=True)):
        step, siting = (2, frame.colour.siting) if plane else (1, (0.0, 0.0))
        rows, cols = torch.meshgrid(torch.arange(now.shape[1]), torch.arange(now.shape[2]), indexing="ij")
        places = torch.stack([cols * step + siting[0], rows * step + siting[1]], -1).float() @ linear.T + shift
        far = (places - 15.5).norm(dim=-1) > 0.8 * 15.5 + 2 + step * scale  # the disc, a sample's reach, a tap's reach
        assert torch.equal(now.int()[0][far], old.int()[0][far])
        changed += int((now.int() != old.int()).sum())
    assert changed > 0 or (scale, x) == (1, -50)


def test_ten_bit_codes_stay_ten_bit_codes(impl, call):
    frame = noise("p010", 1, 40, 40)
    call(
        paste,
        frame,
        torch.rand(1, 3, 32, 32),
        torch.rand(1, 1, 32, 32),
        torch.tensor([similarity(0.9, 0.2, 0, 0)]),
        impl=impl,
    )
    assert all(int((plane.int() & 63).max()) == 0 for plane in frame.data)


@pytest.mark.parametrize("at", [-1000.0, 1000.0, 1e30])
def test_faces_outside_of_the_frame(impl, call, at):
    frame = noise("nv12", 1, 16, 16)
    before = frame.clone()
    call(
        paste,
        frame,
        torch.rand(1, 3, 8, 8),
        torch.ones(1, 1, 8, 8),
        torch.tensor([similarity(1, 0.1, at, 3)]),
        impl=impl,
    )
    assert difference(frame, before) == 0


def test_strided_frames_are_written_in_place(impl, call):
    frame = noise("nv12", 1, 20, 24)
    bases = [torch.cat([plane, plane], dim=2) for plane in frame.data]
    strided = Planes("nv12", tuple(base[:, :, : plane.shape[2]] for base, plane in zip(bases, frame.data, strict=True)))
    arguments = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16), torch.tensor([similarity(1, 0.3, 0, 0)])
    call(paste, frame, *arguments, impl=impl)
    call(paste, strided, *arguments, impl=impl)
    assert difference(frame, strided) == 0
    assert not torch.equal(bases[0][:, :, :24], bases[0][:, :, 24:])


# What it refuses, and how it is built in


def test_no_faces(impl, call):
    frame = noise("nv12", 1, 8, 8)
    none = torch.zeros(0, dtype=torch.int64)
    call(paste, frame, torch.zeros(0, 3, 8, 8), torch.zeros(0, 1, 8, 8), torch.zeros(0, 2, 3), frame=none, impl=impl)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"face": torch.zeros(1, 3, 8, 9)}, ValueError),
        ({"face": torch.zeros(1, 3, 8, 8, dtype=torch.uint8)}, TypeError),
        ({"alpha": torch.zeros(1, 3, 8, 8)}, ValueError),
        ({"alpha": torch.zeros(1, 1, 4, 4)}, ValueError),
        ({"matrix": IDENTITY.repeat(2, 1, 1)}, ValueError),
        ({"matrix": IDENTITY * 0}, ValueError),
        ({"matrix": IDENTITY * math.nan}, ValueError),
        ({"frame": torch.tensor([3])}, IndexError),
        ({"impl": "opencv"}, ValueError),
    ],
)
def test_arguments_are_checked(change, error):
    given_ = {"face": torch.rand(1, 3, 8, 8), "alpha": torch.rand(1, 1, 8, 8), "matrix": IDENTITY} | change
    with pytest.raises(error):
        paste(noise("rgb", 1, 8, 8), **given_)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_opcheck(impl, there, layout):
    frame, face, alpha = there([noise(layout, 1, 12, 14), torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)])
    torch.library.opcheck(
        torch.ops.fastswap.paste.default,
        (list(frame.data), face, alpha, IDENTITY, None, "bt709", False, [0.0, 0.5], impl),
    )


@pytest.mark.parametrize("name", ["auto", "reference"])
def test_compiles_without_a_break(name):
    frame = noise("nv12", 1, 12, 14)
    face, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)

    compiled, eager = frame.clone(), frame.clone()

    @torch.compile(fullgraph=True, backend="aot_eager")
    def compose(picture: torch.Tensor) -> torch.Tensor:
        paste(compiled, picture * 0.5, alpha, IDENTITY, impl=name)
        return warp(compiled, IDENTITY, 8, impl=name)

    out = compose(face)
    paste(eager, face * 0.5, alpha, IDENTITY, impl=name)
    assert difference(compiled, eager) == 0
    torch.testing.assert_close(out, warp(eager, IDENTITY, 8, impl=name))
