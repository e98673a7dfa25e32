"""The eight operations with arguments as fastswap gives them: what the benches time and the kernel report compiles.

    case = CASES["warp"](512, 16, "cuda", layout="nv12", pixels=920)
    case.call("triton")

Every builder takes the side of the square (px), how many faces, and the device; the rest has defaults. Pictures are
waves with a little grain: smooth like skin, so that an interpolation a little different from ours differs a little.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fastswap.ops import GAN_2018, Colour, Planes

FULL_HD = (1080, 1920)  # height, width
TILT = 0.2  # rad: no face is level, and a warp along the rows would be an easier one
COVERAGE = 0.875  # of a stored face that training shows
HELD = 64  # faces on the device that a training batch is drawn from
CV2_COLOUR = Colour("bt601")  # the one that OpenCV's NV12 conversion knows: peers do the same work
_FRAME_BYTES = {"rgb": 3.0, "nv12": 1.5, "p010": 3.0}  # a pixel of the frame
_DISTINCT = 4  # pictures made; more are repetitions, which no cache knows
_WAVES = 6


@dataclass(frozen=True)
class Case:
    """One call of an operation, and the least work that it can be done with.

    traffic: bytes, every input that matters read once and every output written once. arithmetic: floating point
    operations a straightforward kernel needs, a multiply-add as two. products: those of them that are dense matrix
    products, for which a matrix unit's rate is the ceiling.
    """

    operation: str
    title: str
    size: int
    batch: int
    device: torch.device
    arguments: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)
    traffic: int = 0
    arithmetic: int = 0
    products: int = 0
    level: float = 255.0

    def call(self, impl: str = "auto") -> Any:
        """Runs the operation on these very arguments; `paste` writes into them."""
        return function(self.operation)(*self.arguments, impl=impl, **self.named)

    def fresh(self) -> Case:
        """The same on copies of the frames, for a call that writes into them."""
        return replace(self, arguments=tuple(v.clone() if isinstance(v, Planes) else v for v in self.arguments))

    def results(self, impl: str) -> tuple[Tensor, ...]:
        """What a call gives, or leaves in fresh frames: one or several tensors."""
        copy = self.fresh()
        result = copy.call(impl)
        if result is None:
            return tuple(copy.arguments[0].data)
        return result if isinstance(result, tuple) else (result,)


def function(operation: str) -> Callable[..., Any]:
    """The public function of that name."""
    found: Callable[..., Any] = getattr(importlib.import_module(f"fastswap.ops.{operation}"), operation)
    return found


def warp(
    size: int = 512,
    batch: int = 1,
    device: torch.device | str = "cpu",
    *,
    layout: str = "nv12",  # rgb, nv12, p010, or float: [M, 3, H, W]
    pixels: float = 410,  # of the frame that the face's square is wide
    frame: tuple[int, int] = FULL_HD,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    resident: bool = False,  # the matrices on the device, as a CUDA graph wants them, and not on the CPU
) -> Case:
    """`batch` crops of `size` px, each out of a frame of its own."""
    device = torch.device(device)
    src = _tensor(batch, *frame, device) if layout == "float" else frames(layout, batch, *frame, device)
    matrix = placed(size, pixels, frame, batch)
    options = {"channels_last": True} if channels_last else {}
    taps = math.ceil(pixels / size - 1e-3) ** 2
    read = 12.0 if layout == "float" else _FRAME_BYTES[layout]
    return Case(
        "warp",
        f"{size} px of a {pixels:g} px face, {layout} {frame[1]}x{frame[0]}{', channels last' * channels_last}",
        size,
        batch,
        device,
        (src, matrix.to(device) if resident else matrix, size),
        {"dtype": dtype, "mean": 0.5, "std": 0.5, **options},
        traffic=round(batch * (read * pixels**2 + 3 * dtype.itemsize * size**2)),
        arithmetic=batch * size**2 * (taps * (10 + 3 * 6) + 18 + 6),  # position and weights, 3 lerps a tap; YUV; mean
        level=127.5,  # std is one half
    )


def augment(
    size: int = 256,
    batch: int = 16,
    device: torch.device | str = "cpu",
    *,
    stored: int = 256,
    held: int = HELD,
    dtype: torch.dtype = torch.float32,
    realign: bool = False,
) -> Case:
    """A training batch of `size` px examples from `held` faces of `stored` px."""
    device = torch.device(device)
    colours = (picture(min(held, _DISTINCT), stored, stored) * 255).to(torch.uint8)
    masks = (oval(1, stored) * 255).to(torch.uint8).expand(len(colours), -1, -1, -1)
    faces = _repeated(torch.cat([colours, masks], 1).permute(0, 2, 3, 1), held).to(device)
    index = torch.randint(held, (batch,), generator=torch.Generator().manual_seed(1)).to(device)
    options: dict[str, Any] = {} if dtype == torch.float32 else {"dtype": dtype}
    if realign:
        options["jitter"] = GAN_2018
    taps = max(1, math.ceil(stored * COVERAGE / size / 1.25)) ** 2
    return Case(
        "augment",
        f"{size} px examples of {stored} px faces{', realigned' * realign}",
        size,
        batch,
        device,
        (faces, index, torch.arange(batch, device=device)),
        {"seed": 0, "size_in": size, "size_out": size, "coverage": COVERAGE, **options},
        traffic=round(batch * (4 * (stored * COVERAGE) ** 2 + 7 * dtype.itemsize * size**2)),
        arithmetic=batch * size**2 * (taps * (2 * 20 + 7 * 6) + 2 * 3 * 60),  # two positions, 7 lerps; CIELAB and back
    )


def paste(
    size: int = 256,
    batch: int = 1,
    device: torch.device | str = "cpu",
    *,
    layout: str = "nv12",
    pixels: float = 320,
    frame: tuple[int, int] = FULL_HD,
    dtype: torch.dtype = torch.float32,
    resident: bool = False,
) -> Case:
    """`batch` faces of `size` px, each into a frame of its own where its square is `pixels` wide."""
    device = torch.device(device)
    dst = frames(layout, batch, *frame, device)
    face = picture(batch, size, size, seed=3).to(device, dtype)
    alpha = oval(batch, size, soft=0.2).to(device, dtype)
    matrix = inverse(placed(size, pixels, frame, batch))
    return Case(
        "paste",
        f"{size} px face shown at {pixels:g} px, {layout} {frame[1]}x{frame[0]}",
        size,
        batch,
        device,
        (dst, face, alpha, matrix.to(device) if resident else matrix),
        traffic=round(batch * (2 * _FRAME_BYTES[layout] * pixels**2 + 4 * dtype.itemsize * size**2)),
        arithmetic=round(batch * pixels**2 * 1.5 * (10 + 4 * 6 + 8)),
        level=1 / 256 if layout == "p010" else 1.0,
    )


def soft_mask(
    size: int = 256,
    batch: int = 1,
    device: torch.device | str = "cpu",
    *,
    erode: float = 6.0,
    feather: float = 16.0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    device = torch.device(device)
    reach = math.ceil(erode + feather) + 2
    return Case(
        "soft_mask",
        f"{size} px, erode {erode:g}, feather {feather:g}",
        size,
        batch,
        device,
        (oval(batch, size).to(device, dtype), erode, feather),
        traffic=2 * batch * dtype.itemsize * size**2,
        arithmetic=batch * size**2 * 2 * (2 * reach + 1) * 2 * 3,  # two windows both ways: square, add, minimum
    )


def match_colour(
    size: int = 256,
    batch: int = 1,
    device: torch.device | str = "cpu",
    *,
    method: str = "reinhard",
    dtype: torch.dtype = torch.float32,
) -> Case:
    device = torch.device(device)
    face, target = _pair(size, batch, device, dtype)
    per_pixel = {"reinhard": 3 * 60 + 3 * 8, "covariance": 2 * 18 + 18, "histogram": 3 * 12}[method]
    return Case(
        "match_colour",
        f"{size} px, {method}",
        size,
        batch,
        device,
        (face, target, oval(batch, size, soft=0.1).to(device, dtype), method),
        traffic=10 * batch * dtype.itemsize * size**2,  # face 3, target 3, mask 1 read, 3 written
        arithmetic=batch * size**2 * per_pixel,
    )


def sharpen(
    size: int = 256,
    batch: int = 1,
    device: torch.device | str = "cpu",
    *,
    method: str = "unsharp",
    radius: int = 3,
    amount: float = 1.5,
    dtype: torch.dtype = torch.float32,
) -> Case:
    device = torch.device(device)
    width = 2 * radius + 1
    return Case(
        "sharpen",
        f"{size} px, {method}, radius {radius}",
        size,
        batch,
        device,
        (picture(batch, size, size).to(device, dtype), method),
        {"amount": amount, "radius": radius},
        traffic=6 * batch * dtype.itemsize * size**2,
        arithmetic=3 * batch * size**2 * (2 * 2 * width + 4),  # two passes of `width` multiply-adds
    )


def blend_pyramid(
    size: int = 256,
    batch: int = 1,
    device: torch.device | str = "cpu",
    *,
    levels: int = 5,
    dtype: torch.dtype = torch.float32,
) -> Case:
    device = torch.device(device)
    face, target = _pair(size, batch, device, dtype)
    return Case(
        "blend_pyramid",
        f"{size} px, {levels} levels",
        size,
        batch,
        device,
        (face, target, oval(batch, size, soft=0.02).to(device, dtype), levels),
        # The seven planes are read by the pass that shrinks them and by the one that blends them, three are written;
        # the coarser levels, a third of that together, stay in the cache of a GPU.
        traffic=17 * batch * dtype.itemsize * size**2,
        arithmetic=round(batch * size**2 * 4 / 3 * (7 * 2 * 5 * 2 / 4 + 6 * 2 * 3 * 2 + 12)),
    )


def blend_poisson(
    size: int = 256,
    batch: int = 1,
    device: torch.device | str = "cpu",
    *,
    mode: str = "normal",
    dtype: torch.dtype = torch.float32,
) -> Case:
    device = torch.device(device)
    face, target = _pair(size, batch, device, dtype)
    products = batch * 3 * 4 * 2 * size**3  # a sine transform forth and back, along rows and columns, of each channel
    return Case(
        "blend_poisson",
        f"{size} px, {mode}",
        size,
        batch,
        device,
        (face, target, (oval(batch, size) > 0.5).to(device, dtype), mode),
        traffic=10 * batch * dtype.itemsize * size**2,
        arithmetic=products + batch * size**2 * 3 * 20,
        products=products,
    )


CASES: dict[str, Callable[..., Case]] = {
    "warp": warp,
    "augment": augment,
    "soft_mask": soft_mask,
    "match_colour": match_colour,
    "sharpen": sharpen,
    "blend_pyramid": blend_pyramid,
    "blend_poisson": blend_poisson,
    "paste": paste,
}


def picture(count: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    """[count, 3, height, width] in 0.05..0.95: sums of waves 12 px and longer, and grain of half a percent."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.arange(height).view(-1, 1), torch.arange(width).view(1, -1)
    made = torch.full((min(count, _DISTINCT), 3, height, width), 0.5)
    for channels in made.flatten(0, 1):
        for _ in range(_WAVES):
            u, v, phase = (torch.rand(3, generator=generator) * 2 - 1).tolist()
            turn = 2 * math.pi / 12
            channels += 0.4 / _WAVES * torch.sin(turn * (u * x + v * y) * 0.7 + math.pi * phase)
    made += 0.005 * torch.randn(made.shape, generator=generator)
    return _repeated(made.clamp_(0.05, 0.95), count)


def oval(count: int, size: int, *, soft: float = 0.0) -> Tensor:
    """[count, 1, size, size]: a face's oval, 1 inside; its edge is `soft` of the half side wide, a pixel at least."""
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    radius = ((line.view(1, -1) / 0.6) ** 2 + (line.view(-1, 1) / 0.8) ** 2).sqrt()
    edge = max(soft, 2 / size) / 0.7
    return (0.5 + (1 - radius) / edge).clamp(0, 1).expand(count, 1, -1, -1).contiguous()


def frames(layout: str, count: int, height: int, width: int, device: torch.device) -> Planes:
    """Frames of such a picture. YUV planes are filled with three waves, not converted: nobody looks at the hue."""
    made = picture(min(count, _DISTINCT), height, width, seed=7)
    if layout == "rgb":
        planes = ((made * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous(),)
    else:
        luma, chroma = made[:, 0], (0.5 + (made[:, 1:, ::2, ::2] - 0.5) * 0.3).permute(0, 2, 3, 1)
        ten_bits = layout == "p010"
        levels, dtype = (1023.0, torch.int32) if ten_bits else (255.0, torch.uint8)
        codes = [(plane * levels).to(dtype) for plane in (luma, chroma)]
        planes = tuple((code << 6).to(torch.uint16) if ten_bits else code for code in codes)  # type: ignore[assignment]
    return Planes(layout, tuple(_repeated(p, count).contiguous().to(device) for p in planes), CV2_COLOUR)  # type: ignore[arg-type]


def placed(size: int, pixels: float, frame: tuple[int, int], count: int) -> Tensor:
    """[count, 2, 3]: squares of `size` px, `pixels` wide in the frame's middle and tilted; each a little aside."""
    c, s = pixels / size * math.cos(TILT), pixels / size * math.sin(TILT)
    middle, half = (frame[1] / 2, frame[0] / 2), (size - 1) / 2
    x, y = middle[0] - (c - s) * half, middle[1] - (s + c) * half
    aside = torch.arange(count).remainder(7) * 0.3
    matrix = torch.tensor([[c, -s, x], [s, c, y]]).repeat(count, 1, 1)
    matrix[:, :, 2] += aside.view(-1, 1)
    return matrix


def inverse(matrix: Tensor) -> Tensor:
    """[N, 2, 3] -> [N, 2, 3]: the map back."""
    turn = torch.linalg.inv(matrix[:, :, :2].double())
    return torch.cat([turn, -turn @ matrix[:, :, 2:].double()], 2).to(matrix.dtype)


def _pair(size: int, batch: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A face and the target that it replaces, of other colours."""
    warm = torch.tensor([1.0, 0.85, 0.7]).view(3, 1, 1)
    target = 0.1 + 0.8 * picture(batch, size, size, seed=5) * warm
    return picture(batch, size, size, seed=4).to(device, dtype), target.to(device, dtype)


def _tensor(count: int, height: int, width: int, device: torch.device) -> Tensor:
    return picture(count, height, width, seed=7).to(device)


def _repeated(tensor: Tensor, count: int) -> Tensor:
    return tensor if len(tensor) == count else tensor.repeat(-(-count // len(tensor)), *[1] * (tensor.ndim - 1))[:count]
