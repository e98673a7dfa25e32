"""What of a face is pasted, how its edge runs, and what a mask's options do to a frame: by numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fastswap.conversion import CompositeSettings
from fastswap.conversion.composite import composite, finish, generated
from fastswap.conversion.masks import FOUR, black, central, face_mask, four, scaled, soft_sides
from fastswap.faces import align, mean_face, mesh_mask, pixel_matrix
from fastswap.ops import Planes, soft_mask

SIZE = 96
PLAIN = CompositeSettings(SIZE, 0.8, colour="none")


def landmarks(x: float, y: float, side: float) -> Tensor:
    points = mean_face()[None].clone() * side
    points[..., :2] += torch.tensor([x, y])
    return points


def grey(height: int = 200, width: int = 200) -> Planes:
    return Planes("rgb", (torch.full((1, height, width, 3), 100, dtype=torch.uint8),))


def disc(radius: float) -> Tensor:
    line = torch.arange(SIZE) - (SIZE - 1) / 2
    return ((line**2 + line[:, None] ** 2) < radius**2).float().expand(1, 1, -1, -1).contiguous()


def white(faces: Tensor) -> tuple[Tensor, Tensor]:
    return torch.ones_like(faces), disc(30).expand(len(faces), -1, -1, -1)


def swapped(settings: CompositeSettings, **options: Any) -> Tensor:
    """The red channel of a grey frame with a white disc of 30 px in its middle: a pixel of the face is one of it."""
    planes, points = grey(), landmarks(40, 40, 120)
    made = generated(planes, align(points), torch.tensor([0]), white, settings)
    finish(planes, align(points), points, torch.tensor([0]), made, settings, **options)
    return planes.data[0][0, ..., 0].int()


def extent(channel: Tensor) -> tuple[int, int, int, int]:
    """Of what is not grey: top, right, bottom, left."""
    ys, xs = (channel != 100).nonzero().T
    return int(ys.min()), int(xs.max()), int(ys.max()), int(xs.min())


@pytest.mark.parametrize(("given", "wanted"), [(0.1, (0.1,) * 4), ((0.2,), (0.2,) * 4), ((1.0, 2.0, 3.0, 4.0),) * 2])
def test_one_number_is_for_all_sides_and_four_are_one_each(given: Any, wanted: Any) -> None:
    assert four(given) == wanted
    with pytest.raises(ValueError, match="one number or four"):
        four((1.0, 2.0))


def test_equal_sides_are_the_plain_soft_mask_bit_for_bit() -> None:
    expected = soft_mask(disc(30), 0.05 * SIZE, 0.1 * SIZE)
    assert torch.equal(soft_sides(disc(30), 0.05, 0.1), expected)
    assert torch.equal(soft_sides(disc(30), (0.05,) * FOUR, (0.1,) * FOUR), expected)


def test_sides_that_hardly_differ_are_hardly_another_mask() -> None:
    for erode, feather in ((0.05, 0.1), (-0.03, 0.06), (0.0, 0.0)):
        nearly = soft_sides(disc(30), (erode, erode, erode, erode + 1e-5), (feather,) * FOUR)
        assert (nearly - soft_mask(disc(30), erode * SIZE, feather * SIZE)).abs().max() < 3e-3


@pytest.mark.parametrize("side", range(FOUR))
def test_a_side_is_eroded_alone(side: int) -> None:
    erode = tuple(0.1 if k == side else 0.0 for k in range(FOUR))
    plain, eroded = (extent(swapped(replace(PLAIN, erode=e, feather=0.02))) for e in (0.0, erode))
    moved = [abs(a - b) for a, b in zip(plain, eroded, strict=True)]
    assert 8 <= moved[side] <= 11, "a tenth of 96 px"
    assert all(moved[other] <= 1 for other in range(FOUR) if other != side)


@pytest.mark.parametrize("side", range(FOUR))
def test_a_side_is_feathered_alone_and_nothing_has_a_kink(side: int) -> None:
    feather = tuple(0.2 if k == side else 0.02 for k in range(FOUR))
    alpha = torch.rot90(soft_sides(disc(40), 0.0, feather)[0, 0], side)  # now it is the top
    middle = alpha[:, SIZE // 2]
    ramps = [int(((part > 0.02) & (part < 0.98)).sum()) for part in (middle[: SIZE // 2], middle[SIZE // 2 :])]
    assert ramps[0] >= 12
    assert ramps[1] <= 3
    angles = torch.arange(360) * torch.pi / 180
    ring = alpha[(47.5 + 34 * angles.sin()).round().long(), (47.5 + 34 * angles.cos()).round().long()]
    assert ring.diff().abs().max() < 0.2, "from side to side the ramp changes slowly"


def test_both_is_where_both_say_face() -> None:
    points = landmarks(40, 40, 120)
    matrix = pixel_matrix(align(points), SIZE, 0.8)
    mesh, large = mesh_mask(points, matrix, SIZE), disc(30).roll(20, 3)
    both = face_mask("both", large, points, matrix, None, 0.8)
    assert torch.equal(both > 0.5, (mesh > 0.5) & (large > 0.5))
    assert both.sum() < min(mesh.sum(), large.sum())
    assert torch.equal(face_mask("mesh", disc(30), points, matrix, None, 0.8), mesh)
    assert torch.equal(face_mask("predicted", disc(30), points, matrix, None, 0.8), disc(30))


def test_a_file_s_mask_is_cut_as_the_network_sees_the_face() -> None:
    given = torch.zeros(1, 1, 120, 120)
    given[..., 40:60, 12:30] = 1  # of 120 px the network sees 96, from 12 on
    cut = face_mask("file", disc(30), landmarks(0, 0, 100), torch.zeros(1, 2, 3), given, 0.8)
    expected = torch.zeros(1, 1, SIZE, SIZE)
    expected[..., 28:48, 0:18] = 1
    assert (cut - expected).abs().max() < 1e-3
    assert torch.equal(cut, central(given, SIZE, 0.8))
    with pytest.raises(ValueError, match="face set"):
        face_mask("file", disc(30), landmarks(0, 0, 100), torch.zeros(1, 2, 3), None, 0.8)


@pytest.mark.parametrize("blend", ["none", "pyramid", "poisson"])
def test_a_larger_face_is_larger_about_its_middle_and_so_is_its_mask(blend: Any) -> None:
    sizes = {}
    for scale in (0.8, 1.0, 1.25):
        top, right, bottom, left = extent(swapped(replace(PLAIN, face_scale=scale, blend="none", feather=0.02)))
        sizes[scale] = right - left
        assert abs((top + bottom) / 2 - 99.5) <= 1
        assert abs((left + right) / 2 - 99.5) <= 1
    assert sizes[0.8] == pytest.approx(0.8 * sizes[1.0], abs=2)
    assert sizes[1.25] == pytest.approx(1.25 * sizes[1.0], abs=2)
    shown = swapped(replace(PLAIN, face_scale=1.25, blend=blend))
    if blend == "poisson":
        assert (shown - 100).abs().max() <= 1, "a flat face has no detail, and the frame is flat where it is pasted"
    else:
        assert shown[100, 100] > 220


def test_what_a_square_shows_when_it_is_larger() -> None:
    assert (scaled(disc(20), 0.5) - disc(40)).abs().mean() < 0.03
    assert torch.equal(scaled(disc(20), 1.0), disc(20))


@pytest.mark.parametrize(("opacity", "wanted"), [(0.0, 100), (0.5, 178), (1.0, 255)])
def test_opacity_is_the_share_of_the_swap_that_shows(opacity: float, wanted: int) -> None:
    assert abs(int(swapped(replace(PLAIN, opacity=opacity))[100, 100]) - wanted) <= 1


@pytest.mark.parametrize("larger_first", [False, True])
def test_of_two_faces_that_overlap_the_larger_one_is_on_top(larger_first: bool) -> None:
    places = [landmarks(20, 40, 120), landmarks(70, 40, 90)]
    points = torch.cat(places if larger_first else places[::-1])

    def by_size(faces: Tensor) -> tuple[Tensor, Tensor]:
        values = torch.tensor([0.0, 1.0] if larger_first else [1.0, 0.0])  # black is the larger one
        return values[:, None, None, None].expand_as(faces).contiguous(), torch.ones_like(faces[:, :1])

    planes = grey()
    composite(planes, align(points), points, torch.tensor([0, 0]), by_size, replace(PLAIN, feather=0.02))
    row = planes.data[0][0, 90, :, 0].int()
    assert (row[40:118] == 0).all(), "0.8 of 120 px about 80"
    assert (row[135:148] == 255).all()


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("layout", ["rgb", "nv12", "p010"])
def test_what_is_pasted_is_drawn_white_on_black(layout: Any, full_range: bool) -> None:
    frame = grey() if layout == "rgb" else yuv(layout, full_range)
    drawn, points = black(frame), landmarks(40, 40, 120)
    before = drawn.clone()
    made = generated(frame, align(points), torch.tensor([0]), white, PLAIN)
    finish(frame, align(points), points, torch.tensor([0]), made, replace(PLAIN, opacity=0.5), drawn=drawn)
    limited = layout != "rgb" and not full_range
    unit = 256 if layout == "p010" else 1
    dark, bright = (16, 235) if limited else (0, 255)
    luma = drawn.data[0].int()[0] if layout != "rgb" else drawn.data[0].int()[0, ..., 0]
    assert luma[0, 0] == dark * unit
    assert luma[100, 100] == pytest.approx((dark + bright) / 2 * unit, abs=unit)
    assert all(torch.equal(a[0, 5], b[0, 5]) for a, b in zip(drawn.data, before.data, strict=True))
    if layout != "rgb":
        assert (drawn.data[1].int() - 128 * unit).abs().max() <= unit, "no colour"


def yuv(layout: Any, full_range: bool) -> Planes:
    dtype, unit = (torch.uint8, 1) if layout == "nv12" else (torch.uint16, 256)
    planes = (torch.full((1, 200, 200), 90 * unit, dtype=dtype), torch.full((1, 100, 100, 2), 110 * unit, dtype=dtype))
    plain = Planes(layout, planes)
    return replace(plain, colour=replace(plain.colour, full_range=full_range))
