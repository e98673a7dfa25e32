"""What `convert` may and may not touch in a frame, before encoding."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from fastswap.conversion import BLENDS, Blend, CompositeSettings, composite
from fastswap.faces import align, mean_face
from fastswap.ops import Planes

SIZE = 96
SETTINGS = CompositeSettings(SIZE, 0.8)
LAYOUTS = ("rgb", "nv12", "p010")


def frames(layout: str, count: int, height: int, width: int) -> Planes:
    generator = torch.Generator().manual_seed(7)
    if layout == "rgb":
        return Planes("rgb", (torch.randint(0, 256, (count, height, width, 3), generator=generator).to(torch.uint8),))
    top, step, dtype = (256, 1, torch.uint8) if layout == "nv12" else (1024, 64, torch.uint16)
    shapes = ((count, height, width), (count, -(-height // 2), -(-width // 2), 2))
    planes = [(torch.randint(0, top, shape, generator=generator) * step).to(dtype) for shape in shapes]
    return Planes("nv12" if layout == "nv12" else "p010", tuple(planes))


def landmarks(x: float, y: float, side: float) -> Tensor:
    points = mean_face()[None].clone() * side
    points[..., :2] += torch.tensor([x, y])
    return points


def red(faces: Tensor) -> tuple[Tensor, Tensor]:
    colour = torch.zeros_like(faces)
    colour[:, 0] = 1
    return colour, torch.ones_like(faces[:, :1])


def difference(a: Planes, b: Planes) -> Tensor:
    return (a.data[0].to(torch.int32) - b.data[0].to(torch.int32)).abs().reshape(*a.data[0].shape[:3], -1).amax(-1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("impl", ["numba", "reference"])
def test_only_the_face_of_its_frame_changes(layout: str, impl: str) -> None:
    planes = frames(layout, 3, 243, 321)
    before = planes.clone()
    points = landmarks(100, 60, 120)
    alignment = align(points)
    settings = CompositeSettings(SIZE, 0.8, colour="none", impl=impl)
    composite(planes, alignment, points, torch.tensor([1]), red, settings)
    for plane, old in zip(planes.data, before.data, strict=True):
        assert torch.equal(plane[0], old[0])
        assert torch.equal(plane[2], old[2])
    changed = difference(planes, before)[1] > 0
    ys, xs = changed.nonzero().T
    assert changed[120, 160]
    assert (xs.min(), xs.max()) > (100 + 0.1 * 120 - 2, 0)
    assert xs.max() < 100 + 0.9 * 120 + 2, "nothing outside of the coverage of the aligned square"
    assert ys.min() > 60 + 0.1 * 120 - 2
    assert ys.max() < 60 + 0.9 * 120 + 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_edge_fades_out_without_a_step(layout: str) -> None:
    planes = frames(layout, 1, 200, 200)
    for plane in planes.data:
        plane.copy_(torch.full_like(plane, 100 if plane.dtype == torch.uint8 else 400 * 64))
    points = landmarks(30, 30, 140)
    before = planes.clone()
    composite(planes, align(points), points, torch.tensor([0]), red, CompositeSettings(SIZE, 0.8, colour="none"))
    row = difference(planes, before)[0, 100].float()
    row /= row.max()
    inside = row.nonzero()[:, 0]
    assert row[inside[0]] < 0.1, "the first pixel touched is nearly untouched: no visible rectangle"
    assert row[inside[-1]] < 0.1
    assert row.diff().abs().max() < 0.35


def test_without_faces_nothing_is_written() -> None:
    planes = frames("nv12", 2, 64, 64)
    before = planes.clone()
    none = torch.zeros(0, 478, 3)
    composite(planes, torch.zeros(0, 2, 3), none, torch.zeros(0, dtype=torch.int64), red, SETTINGS)
    assert all(torch.equal(a, b) for a, b in zip(planes.data, before.data, strict=True))


def test_a_face_half_outside_of_the_frame_is_pasted_where_it_is_inside() -> None:
    planes = frames("nv12", 1, 120, 120)
    before = planes.clone()
    points = landmarks(-60, -20, 120)
    composite(planes, align(points), points, torch.tensor([0]), red, CompositeSettings(SIZE, 0.8, colour="none"))
    changed = difference(planes, before)[0] > 0
    assert changed[50, 5]
    assert not changed[:, 60:].any()


def test_the_swap_takes_the_light_of_the_frame() -> None:
    """B's face comes out dark where A's is dark."""

    def bright(faces: Tensor) -> tuple[Tensor, Tensor]:
        noise = torch.rand(faces.shape, generator=torch.Generator().manual_seed(1)) * 0.2
        return (0.75 + noise).clamp(0, 1), torch.ones_like(faces[:, :1])

    planes = frames("rgb", 1, 200, 200)
    planes.data[0].copy_((planes.data[0].float() * 0.2 + 30).to(torch.uint8))
    points = landmarks(30, 30, 140)
    mean = float(planes.data[0][0, 70:130, 70:130].float().mean())
    composite(planes, align(points), points, torch.tensor([0]), bright, SETTINGS)
    assert abs(float(planes.data[0][0, 70:130, 70:130].float().mean()) - mean) < 8


@pytest.mark.parametrize("impl", ["numba", "reference"])
def test_a_poisson_blend_takes_the_faces_detail_and_not_its_light(impl: str) -> None:
    def brighter(faces: Tensor) -> tuple[Tensor, Tensor]:
        return faces + 0.2, torch.ones_like(faces[:, :1])

    planes = frames("rgb", 1, 200, 200)
    line = torch.arange(200)
    planes.data[0].copy_((60 + (line[:, None] + line)[..., None] // 4).expand(200, 200, 3).to(torch.uint8))
    before = planes.clone()
    points = landmarks(30, 30, 140)
    arguments = (align(points), points, torch.tensor([0]), brighter)
    composite(planes, *arguments, CompositeSettings(SIZE, 0.8, colour="none", blend="poisson", impl=impl))
    assert difference(planes, before).max() <= 1
    composite(planes, *arguments, CompositeSettings(SIZE, 0.8, colour="none", impl=impl))
    assert difference(planes, before).max() > 45


@pytest.mark.parametrize("impl", ["numba", "reference"])
def test_a_pyramid_blend_widens_the_change_of_tone_and_keeps_detail(impl: str) -> None:
    """A flat face, brighter than the frame, with a fine pattern: along a row through its middle."""

    def patterned(faces: Tensor) -> tuple[Tensor, Tensor]:
        line = torch.arange(SIZE)
        pattern = torch.where((line + line[:, None]) % 2 == 0, 0.72, 0.68)
        oval = ((line - 47.5) ** 2 + (line[:, None] - 47.5) ** 2 < 40**2).float()
        return pattern.expand_as(faces).contiguous(), oval.expand(len(faces), 1, -1, -1)

    def profile(blend: Blend) -> tuple[Tensor, Tensor]:
        planes = frames("rgb", 1, 200, 200)
        planes.data[0].fill_(100)
        points = landmarks(40, 40, 120)  # a pixel of the face is one of the frame
        settings = CompositeSettings(SIZE, 0.8, colour="none", feather=0.05, blend=blend, impl=impl)
        composite(planes, align(points), points, torch.tensor([0]), patterned, settings)
        rows = planes.data[0][0, 90:110, 52:100, 0].float()  # from outside of the face to its middle
        return rows.mean(0), rows.std(0)

    def width(tone: Tensor) -> int:
        share = (tone - 100) / (0.7 * 255 - 100)
        return int(((share > 0.1) & (share < 0.9)).sum())

    tone, detail = profile("none")
    wide, kept = profile("pyramid")
    assert width(wide) > 2 * width(tone)
    assert kept[12:].min() > 0.9 * detail[12:].min()
    assert wide.diff().abs().max() < 0.6 * tone.diff().abs().max()


@pytest.mark.parametrize("impl", ["numba", "reference"])
def test_sharpening_strengthens_the_swaps_detail_and_stays_inside_of_it(impl: str) -> None:
    """A pattern of four pixels: every method makes it stronger, and leaves alone what `none` leaves alone."""

    def soft(faces: Tensor) -> tuple[Tensor, Tensor]:
        wave = 0.5 + 0.15 * torch.sin((torch.arange(SIZE) + 0.5) * torch.pi / 2)
        return wave.expand_as(faces).contiguous(), torch.ones_like(faces[:, :1])

    def pasted(method: str) -> Planes:
        planes = frames("rgb", 1, 200, 200)
        points = landmarks(40, 40, 120)  # a pixel of the face is one of the frame
        settings = CompositeSettings(SIZE, 0.8, colour="none", sharpen=method, impl=impl)
        composite(planes, align(points), points, torch.tensor([0]), soft, settings)
        return planes

    untouched = frames("rgb", 1, 200, 200)
    plain = pasted("none")
    outside = torch.ones(200, 200, dtype=torch.bool)
    outside[52:149, 52:149] = False  # the 0.8 of the aligned square that is pasted
    assert not difference(plain, untouched)[0][outside].any()
    contrast = {"none": float(plain.data[0][0, 90:110, 90:110].float().std())}
    for method in ("unsharp", "box", "gaussian"):
        sharp = pasted(method)
        contrast[method] = float(sharp.data[0][0, 90:110, 90:110].float().std())
        assert not difference(sharp, untouched)[0][outside].any()
    assert contrast["none"] < contrast["unsharp"] < contrast["box"]
    assert 1.1 * contrast["none"] < contrast["gaussian"] < contrast["box"]


@pytest.mark.parametrize("blend", BLENDS)
def test_every_blend_ends_at_the_mask_and_without_a_step(blend: Blend) -> None:
    def disc(faces: Tensor) -> tuple[Tensor, Tensor]:
        line = torch.linspace(-1, 1, SIZE)
        return red(faces)[0], ((line**2 + line[:, None] ** 2) < 0.5).float().expand(len(faces), 1, -1, -1)

    planes = frames("rgb", 1, 200, 200)
    planes.data[0].fill_(100)
    before = planes.clone()
    points = landmarks(30, 30, 140)
    composite(
        planes, align(points), points, torch.tensor([0]), disc, CompositeSettings(SIZE, 0.8, colour="none", blend=blend)
    )
    changed = difference(planes, before)[0]
    line = torch.arange(200) - 100
    radius = 0.5**0.5 * 0.4 * 140
    assert not changed[(line**2 + line[:, None] ** 2) > (radius + 3) ** 2].any()
    if blend == "poisson":
        assert changed.max() <= 1, "a flat face has no detail"
    else:
        assert changed.max() > 60
        assert changed[100].diff().abs().max() < 0.35 * changed.max()


def test_compositing_a_face_costs_less_than_18_cpu_ms() -> None:
    """One 256 px face, 1080p NV12: colour match, mask and paste (Faceswap: 168 to 180 CPU-ms)."""
    planes = frames("nv12", 1, 1080, 1920)
    points = landmarks(700, 300, 512)
    alignment, which = align(points), torch.tensor([0])
    settings = CompositeSettings(256, 0.8)
    cost = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as `convert` runs it: CPU time, not time spent waiting for each other
    try:
        for _ in range(12):
            began = time.process_time()
            composite(planes, alignment, points, which, red, settings)
            cost.append(time.process_time() - began)
    finally:
        torch.set_num_threads(threads)
    print(f"CPU-ms: {[round(1000 * c, 2) for c in sorted(cost)]}")
    assert sorted(cost)[len(cost) // 2] < 0.018
