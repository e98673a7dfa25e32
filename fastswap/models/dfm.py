"""DeepFaceLive's model format, as a module that can be exported: the network in that program's own alignment.

What DeepFaceLive gives and takes: BGR faces, float32 0..1, [N, H, W, 3], cut as DeepFaceLab cuts a whole face. A
similarity takes the face's landmarks (brows, nose, corners of eyes and mouth, of the 68) to a mean face in the unit
square; what is cut is the square of 2.2 times its side about (0.5, 0.42). Its Google FaceMesh marker aligns by points
of its own and cuts 1.18 times tighter. On 55 frames of five clips of people who look ahead (yaw below 15 degrees), the
fixed square below differs from the true one by 1.1 % in size, 0.2 % of its side in place and 0.1 degrees, on average.

Both mean faces are symmetric, so that the way from its square to ours is a scale and a shift: two products with
constant matrices, which every onnxruntime computes fast on any device; `GridSample` came late and to few.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastswap.faces import landmarks_68, mean_face
from fastswap.models.swap_model import SwapModel

INPUTS = ("in_face:0",)
OUTPUTS = ("out_face_mask:0", "out_celeb_face:0", "out_celeb_face_mask:0")
COVERAGES = (2.2, 2.6)
"""What to set in DeepFaceLive's aligner: its default, and what comes to the same with its Google FaceMesh marker."""
_SIDE, _CENTRE = COVERAGES[0], (0.5, 0.42)
_MULTIPLE = 16
"""Of pixels: DeepFaceLive's aligner makes no other sizes."""
_RIGID_68 = (*range(17, 36), 36, 39, 42, 45, 48, 54)
_MEAN_68 = (
    (0.000213, 0.106454), (0.075262, 0.038915), (0.181130, 0.018748), (0.290770, 0.034489), (0.393397, 0.077391),
    (0.586856, 0.077391), (0.689483, 0.034489), (0.799124, 0.018748), (0.904991, 0.038915), (0.980040, 0.106454),
    (0.490127, 0.203352), (0.490127, 0.307009), (0.490127, 0.409805), (0.490127, 0.515625), (0.366880, 0.587326),
    (0.426036, 0.609345), (0.490127, 0.628106), (0.554217, 0.609345), (0.613373, 0.587326), (0.121737, 0.216423),
    (0.334606, 0.231733), (0.645647, 0.231733), (0.858516, 0.216423), (0.254149, 0.780233), (0.726104, 0.780233),
)  # fmt: skip
"""Where DeepFaceLab and DeepFaceLive put those landmarks."""


@dataclass(frozen=True)
class Square:
    """An upright square in the unit square of our alignment: the centre and the side."""

    x: float
    y: float
    side: float

    def pixels(self, size: int) -> tuple[Tensor, Tensor]:
        """Where the pixel centres of a picture of it lie, x and y: float64 [size] each."""
        steps = ((torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5) * self.side
        return self.x + steps, self.y + steps

    def position(self, x: Tensor, y: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Points of the unit square as pixels of a picture of this square."""
        return (
            ((x - self.x) / self.side + 0.5) * size - 0.5,
            ((y - self.y) / self.side + 0.5) * size - 0.5,
        )


def live_square() -> Square:
    """The square that DeepFaceLive cuts, by the least-squares scale and shift from our mean face to its own."""
    ours = landmarks_68(mean_face()[None])[0, list(_RIGID_68)].double()
    theirs = torch.tensor(_MEAN_68, dtype=torch.float64)
    source, target = ours - ours.mean(0), theirs - theirs.mean(0)
    scale = (source * target).sum() / source.square().sum()
    x, y = ((torch.tensor(_CENTRE, dtype=torch.float64) - theirs.mean(0)) / scale + ours.mean(0)).tolist()
    return Square(x, y, _SIDE / float(scale))


class DfmModel(nn.Module):
    """`network` as DeepFaceLive calls it. `size`: of its faces, in pixels, at about the resolution of the network's."""

    def __init__(self, network: SwapModel, coverage: float, source: int, side: int) -> None:
        super().__init__()
        self.network, self.source, self.side = network, source, side
        theirs, ours = live_square(), Square(0.5, 0.5, coverage)
        size_in, size_out = network.spec.size_in, network.spec.size_out
        self.size = -int(-size_out * theirs.side / coverage // _MULTIPLE) * _MULTIPLE
        reading = theirs.position(*ours.pixels(size_in), self.size)
        writing = ours.position(*theirs.pixels(self.size), size_out)
        for name, (x, y), length, folded in (
            ("read", reading, self.size, True),
            ("write", writing, size_out, True),
            ("mask", writing, size_out, False),
        ):
            self.register_buffer(f"{name}_columns", resampling(x, length, folded=folded).T.contiguous())
            self.register_buffer(f"{name}_rows", resampling(y, length, folded=folded))

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """faces [N, size, size, 3] BGR 0..1 -> the mask of the face that is there [N, size, size, 1], the other's
        face [N, size, size, 3] BGR and its mask [N, size, size, 1], 0..1. Masks are 0 where our network does not
        look."""
        x = self._resample(faces.permute(0, 3, 1, 2).flip(1), "read")
        colour, mask = self.network(x, self.side)
        _, source_mask = self.network(x, self.source)
        celeb = self._resample(colour.flip(1), "write")
        masks = self._resample(source_mask, "mask"), self._resample(mask, "mask")
        return masks[0].permute(0, 2, 3, 1), celeb.permute(0, 2, 3, 1), masks[1].permute(0, 2, 3, 1)

    def _resample(self, picture: Tensor, name: str) -> Tensor:
        rows, columns = self.get_buffer(f"{name}_rows"), self.get_buffer(f"{name}_columns")
        return torch.clamp(rows @ picture @ columns, 0, 1)


def resampling(
    positions: Tensor,  # float64 [n], evenly spaced: where to read, in pixels of the source
    length: int,  # of the source, pixels
    *,
    folded: bool,
) -> Tensor:
    """float32 [n, length]: each row the weights of a source's pixels, by the cubic convolution of Keys (1981, a =
    -0.5), widened where it shrinks. Outside of the source lies its border (`folded`), or zeros."""
    step = max(float(positions[1] - positions[0]), 1.0)
    places = torch.arange(-length, 2 * length, dtype=torch.float64)
    weights = _keys((positions.clamp(-length, 2 * length - 1)[:, None] - places) / step)
    weights = weights / weights.sum(1, keepdim=True)
    before, inside, after = weights.chunk(3, dim=1)
    if folded:
        inside = inside.clone()
        inside[:, 0] += before.sum(1)
        inside[:, -1] += after.sum(1)
    return inside.float()


def _keys(distance: Tensor) -> Tensor:
    x = distance.abs()
    near = (1.5 * x - 2.5) * x.square() + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
