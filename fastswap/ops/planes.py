"""The native planes of a batch of frames, and the geometry of their chroma.

Convention: pixel centres at integer coordinates; `uint8` colours 0..255; NV12 is 8-bit 4:2:0 with interleaved chroma;
P010 is the same in `uint16` with the ten bits in the high end of the word (value << 6), as decoders and encoders on
every GPU hand it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

Layout = Literal["rgb", "nv12", "p010"]
Matrix = Literal["bt601", "bt709", "bt2020"]

CHANNELS_RGB = 3


@dataclass(frozen=True, slots=True)
class Colour:
    """How the YUV samples of a frame stand for RGB.

    `siting` is where chroma sample (0, 0) lies, in luma pixels (x, y): (0, 0.5) is MPEG-2's "left", the default of
    H.264 and HEVC; (0.5, 0.5) is JPEG's and MPEG-1's "centre"; (0, 0) "top left". A rotated frame has others.
    """

    matrix: Matrix = "bt709"
    full_range: bool = False
    siting: tuple[float, float] = (0.0, 0.5)


@dataclass(frozen=True, slots=True)
class Planes:
    """M frames of one size in their native layout.

    data: rgb  -> (uint8 [M, H, W, 3],)
          nv12 -> (uint8 [M, H, W], uint8 [M, ceil(H/2), ceil(W/2), 2])
          p010 -> (uint16 [M, H, W], uint16 [M, ceil(H/2), ceil(W/2), 2])
    """

    layout: Layout
    data: tuple[Tensor, ...]
    colour: Colour = Colour()

    def __post_init__(self) -> None:
        shape = self.data[0].shape
        if self.layout == "rgb":
            expected: list[tuple[int, ...]] = [(*shape[:3], CHANNELS_RGB)]
        else:
            expected = [tuple(shape[:3]), (shape[0], -(-shape[1] // 2), -(-shape[2] // 2), 2)]
        dtype = torch.uint16 if self.layout == "p010" else torch.uint8
        got = [tuple(plane.shape) for plane in self.data]
        if got != expected:
            raise ValueError(f"{self.layout} planes of shapes {expected} expected, got {got}")
        if any(plane.dtype != dtype for plane in self.data):
            raise TypeError(f"{self.layout} planes are {dtype}, got {[plane.dtype for plane in self.data]}")

    @property
    def frames(self) -> int:
        """How many frames: M."""
        return self.data[0].shape[0]

    @property
    def height(self) -> int:
        return self.data[0].shape[1]

    @property
    def width(self) -> int:
        return self.data[0].shape[2]

    @property
    def device(self) -> torch.device:
        return self.data[0].device

    def frame(self, index: int) -> Planes:
        """Frame `index` alone, as a view."""
        return replace(self, data=tuple(plane[index : index + 1] for plane in self.data))

    def clone(self) -> Planes:
        return replace(self, data=tuple(plane.clone() for plane in self.data))

    def to(self, device: torch.device | str) -> Planes:
        return replace(self, data=tuple(plane.to(device) for plane in self.data))

    def stacks_with(self, other: Planes) -> bool:
        """Whether the two are of one layout, size and colour, so that they can be one batch."""
        mine, theirs = ((p.layout, p.colour, p.height, p.width) for p in (self, other))
        return mine == theirs

    @property
    def nbytes(self) -> int:
        return sum(plane.nbytes for plane in self.data)

    @staticmethod
    def stack(parts: Sequence[Planes]) -> Planes:
        """Joins frames of one layout, size and colour into one batch. Raises ValueError where they differ."""
        first = parts[0]
        if not all(first.stacks_with(part) for part in parts):
            raise ValueError("only frames of one layout, size and colour stack")
        if len(parts) == 1:
            return first
        return replace(first, data=tuple(torch.cat(planes) for planes in zip(*(p.data for p in parts), strict=True)))
