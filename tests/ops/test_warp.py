"""warp: what every implementation computes, by independent oracles, and what it refuses."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch

from fastswap.ops import Colour, Planes, warp

DEFAULT = Colour()
LAYOUTS = ["rgb", "nv12", "p010"]
SITINGS = [(0.0, 0.5), (0.5, 0.5), (0.0, 0.0), (1.0, 0.5), (0.5, 1.0)]


def similarity(scale: float, angle: float, x: float, y: float) -> list[list[float]]:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return [[c, -s, x], [s, c, y]]


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


def flat_colour(layout: str, codes: tuple[int, int, int], colour: Colour) -> Planes:
    step, dtype = (64, torch.uint16) if layout == "p010" else (1, torch.uint8)
    luma = torch.full((1, 6, 6), codes[0] * step).to(dtype)
    chroma = (torch.tensor(codes[1:]) * step).to(dtype).expand(1, 3, 3, 2).contiguous()
    return Planes(layout, (luma, chroma), colour)


IDENTITY = torch.tensor([similarity(1, 0, 0, 0)])


# What it computes


def test_identity_is_the_frame(call, impl):
    frame = noise("rgb", 1, 16, 16)
    out = call(warp, frame, IDENTITY, 16, impl=impl)
    assert torch.equal((out[0] * 255).round().to(torch.uint8).permute(1, 2, 0), frame.data[0][0])


def test_a_luma_ramp_gives_the_source_position(call, impl):
    """Grey x in full range reads back where each output pixel lies: pixel centres and the direction of the matrix."""
    ramp = torch.arange(200, dtype=torch.uint8).expand(1, 100, 200).contiguous()
    frame = Planes("nv12", (ramp, torch.full((1, 50, 100, 2), 128, dtype=torch.uint8)), Colour("bt709", True))
    matrix = similarity(0.7, 0.4, 60, 20)
    out = call(warp, frame, torch.tensor([matrix]), 32, impl=impl)[0] * 255
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    expected = matrix[0][0] * x + matrix[0][1] * y + matrix[0][2]
    torch.testing.assert_close(out, expected.expand(3, -1, -1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("siting", SITINGS)
def test_chroma_lies_at_its_siting(call, impl, siting):
    """A chroma plane that holds its own luma position gives a colour that is linear in the position."""
    cols = torch.arange(50) * 2 + siting[0]
    chroma = torch.stack([(cols * 2).round().to(torch.uint8).expand(50, 50), torch.full((50, 50), 128).byte()], -1)[
        None
    ]
    frame = Planes("nv12", (torch.full((1, 100, 100), 128).byte(), chroma), Colour("bt709", True, siting))
    out = call(warp, frame, torch.tensor([similarity(1, 0, 30, 30)]), 20, impl=impl)[0]
    kr, kb = 0.2126, 0.0722
    position = 30 + torch.arange(20.0)
    cb = (2 * position - 128) / 255
    green = 128 / 255 - 2 * kb * (1 - kb) / (1 - kr - kb) * cb
    torch.testing.assert_close(out[1], green.expand(20, 20), atol=2e-3, rtol=0)


KNOWN = [  # 8-bit codes of BT.601, 709 and 2020 colour bars; red, green, blue as the standards' tables give them
    ("bt601", False, (81, 90, 240), (1, 0, 0)),
    ("bt601", False, (145, 54, 34), (0, 1, 0)),
    ("bt709", False, (63, 102, 240), (1, 0, 0)),
    ("bt709", False, (173, 42, 26), (0, 1, 0)),
    ("bt709", False, (32, 240, 118), (0, 0, 1)),
    ("bt709", False, (235, 128, 128), (1, 1, 1)),
    ("bt709", False, (16, 128, 128), (0, 0, 0)),
    ("bt2020", False, (74, 97, 240), (1, 0, 0)),
    ("bt601", True, (76, 85, 255), (1, 0, 0)),
    ("bt709", True, (255, 128, 128), (1, 1, 1)),
]


@pytest.mark.parametrize(("matrix", "full_range", "codes", "rgb"), KNOWN)
def test_known_colours(call, impl, matrix, full_range, codes, rgb):
    frame = flat_colour("nv12", codes, Colour(matrix, full_range))
    out = call(warp, frame, IDENTITY, 4, impl=impl)[0, :, 2, 2]
    torch.testing.assert_close(out, torch.tensor(rgb, dtype=torch.float32), atol=0.012, rtol=0)


@pytest.mark.parametrize(("full_range", "white"), [(False, (940, 512, 512)), (True, (1023, 512, 512))])
def test_ten_bits_reach_white(call, impl, full_range, white):
    out = call(warp, flat_colour("p010", white, Colour("bt2020", full_range)), IDENTITY, 4, impl=impl)
    torch.testing.assert_close(out, torch.ones_like(out), atol=1e-6, rtol=0)


def test_out_of_gamut_is_clamped(call, impl):
    out = call(warp, flat_colour("nv12", (255, 255, 255), Colour()), IDENTITY, 4, impl=impl)
    assert out.min() >= 0
    assert out.max() == 1


def test_against_opencv_where_it_magnifies(call, impl):
    frame = cv2.GaussianBlur(noise("rgb", 1, 80, 90).data[0][0].numpy(), (0, 0), 3)  # cv2 weighs in 1/32 of a pixel
    matrix = np.array(similarity(0.6, -0.5, 30, 40), np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(frame.astype(np.float32), matrix, (64, 64), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    out = call(warp, Planes("rgb", (torch.from_numpy(frame)[None],)), torch.from_numpy(matrix)[None], 64, impl=impl)
    assert np.abs(out[0].permute(1, 2, 0).numpy() * 255 - expected).max() < 1.0


def test_a_whole_reduction_is_the_mean_of_its_blocks(call, impl):
    """Scale 4 on even blocks: every tap hits a pixel centre, so the result is the box mean, exactly known."""
    src = torch.rand(1, 2, 64, 64)
    out = call(warp, src, torch.tensor([similarity(4, 0, 1.5, 1.5)]), 16, impl=impl)
    torch.testing.assert_close(out, torch.nn.functional.avg_pool2d(src, 4), atol=1e-6, rtol=0)


def test_reduction_does_not_alias(call, impl):
    """Lines one pixel wide become grey, turned or not."""
    src = (torch.arange(256) % 2).float().expand(1, 1, 256, 256).contiguous()
    for angle in (0.0, 0.35):
        out = call(warp, src, torch.tensor([similarity(4, angle, 100, 20)]), 16, impl=impl)
        assert (out - 0.5).abs().max() < 0.2


def test_borders_replicate(call, impl):
    src = torch.rand(1, 1, 8, 8)
    out = call(warp, src, torch.tensor([similarity(1, 0, -100, 3)]), 4, impl=impl)
    torch.testing.assert_close(out[0, 0], src[0, 0, 3:7, :1].expand(4, 4))


def test_frame_names_what_each_crop_reads(call, impl):
    frames = noise("nv12", 3, 20, 20)
    which = torch.tensor([2, 0, 2, 1])
    out = call(warp, frames, IDENTITY.repeat(4, 1, 1), 20, frame=which, impl=impl)
    for crop, index in zip(out, which.tolist(), strict=True):
        assert torch.equal(crop, call(warp, frames.frame(index), IDENTITY, 20, impl=impl)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_mean_std_and_dtype(call, impl, dtype):
    frame = noise("nv12", 1, 20, 20)
    plain, scaled = (call(warp, frame, IDENTITY, 20, mean=m, std=s, dtype=d, impl=impl) for m, s, d in
                     [(0, 1, torch.float32), (0.5, 0.5, dtype)])  # fmt: skip
    assert scaled.dtype == dtype
    torch.testing.assert_close(scaled, (plain * 2 - 1).to(dtype), atol=1e-6 if dtype == torch.float32 else 8e-3, rtol=0)


def test_a_rotated_frame_gives_the_rotated_crop(call, impl):
    """A frame turned by 90 degrees, with the siting turned along, shows the same picture."""
    colour = Colour("bt601", False, (0.0, 0.5))
    frame = noise("nv12", 1, 40, 60, colour)
    luma, chroma = frame.data
    turned = Planes(
        "nv12",
        (luma.rot90(-1, (1, 2)).contiguous(), chroma.rot90(-1, (1, 2)).contiguous()),
        Colour("bt601", False, (1 - 0.5, 0.0)),
    )  # clockwise: x' = H - 1 - y, y' = x
    matrix = torch.tensor([similarity(0.8, 0.3, 12, 9)])
    clockwise = torch.tensor([[0.0, -1.0, 39.0], [1.0, 0.0, 0.0]])
    moved = torch.cat([clockwise[:, :2] @ matrix[0, :, :2], clockwise[:, :2] @ matrix[0, :, 2:] + clockwise[:, 2:]], 1)
    expected, out = call(warp, frame, matrix, 24, impl=impl), call(warp, turned, moved[None], 24, impl=impl)
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=0)


# What it refuses, and how it is built in


def test_no_faces_give_no_crops(call, impl):
    out = call(
        warp, noise("nv12", 2, 8, 8), torch.zeros(0, 2, 3), 16, frame=torch.zeros(0, dtype=torch.int64), impl=impl
    )
    assert out.shape == (0, 3, 16, 16)


@pytest.mark.parametrize("matrix", [[[1, 0, math.nan], [0, 1, 0]], [[1, 2, 0], [2, 4, 0]], [[0, 0, 5], [0, 0, 5]],
                                    [[math.inf, 0, 0], [0, 1, 0]]])  # fmt: skip
def test_a_matrix_that_cannot_be_is_named(call, impl, matrix):
    both = torch.cat([IDENTITY, torch.tensor([matrix], dtype=torch.float32)])
    with pytest.raises(ValueError, match="matrix 1 is not finite or maps everything onto a line"):
        call(warp, noise("rgb", 1, 8, 8), both, 8, frame=torch.tensor([0, 0]), impl=impl)


@pytest.mark.parametrize("frame", [[1], [-1]])
def test_a_frame_that_is_not_there_is_named(call, impl, frame):
    with pytest.raises(IndexError, match="counts from 0 to 0"):
        call(warp, noise("rgb", 1, 8, 8), IDENTITY, 8, frame=torch.tensor(frame), impl=impl)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"size": 0}, ValueError),
        ({"std": 0.0}, ValueError),
        ({"dtype": torch.int32}, TypeError),
        ({"matrix": torch.zeros(1, 3, 3)}, ValueError),
        ({"matrix": torch.zeros(1, 2, 3, dtype=torch.int64)}, TypeError),
        ({"matrix": IDENTITY.repeat(2, 1, 1)}, ValueError),
        ({"frame": torch.tensor([0.0])}, TypeError),
        ({"frame": torch.tensor([0, 0])}, ValueError),
        ({"src": torch.zeros(1, 8, 8)}, ValueError),
        ({"src": torch.zeros(1, 3, 8, 8, dtype=torch.uint8)}, ValueError),
        ({"src": torch.zeros(1, 3, 0, 8)}, ValueError),
        ({"impl": "opencv"}, ValueError),
    ],
)
def test_arguments_are_checked(change, error):
    with pytest.raises(error):
        warp(**({"src": noise("rgb", 1, 8, 8), "matrix": IDENTITY, "size": 8} | change))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_opcheck(impl, there, layout):
    frames = there(noise(layout, 2, 12, 14))
    matrix = IDENTITY.repeat(3, 1, 1)
    numbers = ("bt709", False, [0.0, 0.5], 0.0, 1.0, torch.float16, False, impl)
    torch.library.opcheck(
        torch.ops.fastswap.warp.default, (list(frames.data), matrix, torch.tensor([0, 1, 1]), 8, *numbers)
    )


@pytest.mark.parametrize("name", ["auto", "reference"])
@pytest.mark.parametrize("src", [noise("nv12", 2, 12, 14), torch.rand(2, 4, 12, 14)], ids=["nv12", "float"])
def test_compiles_without_a_break(name, src):
    @torch.compile(fullgraph=True, backend="aot_eager")
    def crop(matrix: torch.Tensor) -> torch.Tensor:
        return warp(src, matrix * 1.0, 8, mean=0.5, std=0.5, impl=name) * 2

    matrix = torch.tensor([similarity(0.9, 0.1, 1, 2)] * 2)
    torch.testing.assert_close(crop(matrix), warp(src, matrix, 8, mean=0.5, std=0.5, impl=name) * 2)


def test_several_threads_at_once(call, impl):
    """The pipeline crops and pastes from threads of its own."""
    if impl == "triton" and os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("Triton's interpreter runs one kernel at a time")
    frames = [noise("nv12", 1, 60, 80, seed=seed) for seed in range(8)]
    matrix = torch.tensor([similarity(0.8, 0.2, 3, 4)])
    expected = [call(warp, frame, matrix, 32, impl=impl) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            out = list(pool.map(lambda frame: call(warp, frame, matrix, 32, impl=impl), frames))
            assert all(torch.equal(a, b) for a, b in zip(out, expected, strict=True))
