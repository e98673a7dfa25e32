"""Turning frames upright: a permutation of the samples of the native planes, exact and its own undoing.

A display matrix (ISO/IEC 14496-12, 6.2.2) maps stored to shown positions: x' = a x + c y, y' = b x + d y. Only
the eight matrices of right angles and mirrors occur in practice; they are a transposition followed by flips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastswap.ops.planes import Colour, Planes

_ONE = 1 << 16
"""1.0 in the 16.16 fixed point of a, b, c, d."""
_ONE_W = 1 << 30
"""1.0 in the 2.30 fixed point of the matrix's last element."""
_RIGHT_ANGLE = 0.05
"""How far from 0 or 1 an element may be and still count as such."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """From stored to upright: swap rows and columns where `transpose`, then mirror left-right (`flip_x`) and
    top-bottom (`flip_y`)."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The upright (width, height) of a stored one."""
        return (height, width) if self.transpose else (width, height)

    def inverse(self) -> Orientation:
        """From upright to stored."""
        if self.transpose:
            return Orientation(True, flip_x=self.flip_y, flip_y=self.flip_x)
        return self

    def matrix(self) -> list[int]:
        """The display matrix, row by row, in fixed point."""
        x, y = (-_ONE if self.flip_x else _ONE), (-_ONE if self.flip_y else _ONE)
        if self.transpose:
            return [0, y, 0, x, 0, 0, 0, 0, _ONE_W]
        return [x, 0, 0, 0, y, 0, 0, 0, _ONE_W]


UPRIGHT = Orientation()


def from_matrix(matrix: Sequence[int]) -> Orientation | None:
    """The orientation of a display matrix of nine fixed point numbers; None where it is not a right angle."""
    a, b, c, d = (matrix[i] / _ONE for i in (0, 1, 3, 4))
    straight, turned = (abs(a), abs(d)), (abs(b), abs(c))
    if max(turned) < _RIGHT_ANGLE and min(straight) > 1 - _RIGHT_ANGLE:
        return Orientation(False, flip_x=a < 0, flip_y=d < 0)
    if max(straight) < _RIGHT_ANGLE and min(turned) > 1 - _RIGHT_ANGLE:
        return Orientation(True, flip_x=c < 0, flip_y=b < 0)
    return None


def turn(planes: Planes, orientation: Orientation) -> Planes:
    """The planes turned, contiguous, with the siting of chroma following. The same planes where nothing turns."""
    if orientation == UPRIGHT:
        return planes
    data = tuple(_turn_plane(plane, orientation) for plane in planes.data)
    if planes.layout == "rgb":
        return Planes("rgb", data, planes.colour)
    return Planes(planes.layout, data, turn_colour(planes.colour, orientation, planes.width, planes.height))


def _turn_plane(plane: Tensor, orientation: Orientation) -> Tensor:
    if orientation.transpose:
        plane = plane.transpose(1, 2)
    axes = [axis for axis, flip in ((1, orientation.flip_y), (2, orientation.flip_x)) if flip]
    if plane.dtype == torch.uint16:  # torch has no flip for it
        return plane.view(torch.int16).flip(axes).contiguous().view(torch.uint16)
    return plane.flip(axes).contiguous()


def turn_colour(colour: Colour, orientation: Orientation, width: int, height: int) -> Colour:
    """`colour` with the siting that chroma has after turning a frame of the *stored* width and height.

    Chroma sample i lies at 2 i + s. Mirroring n luma samples counts the ceil(n / 2) chroma samples from the other end,
    so that s becomes 1 - s where n is even and -s where it is odd.
    """
    x, y = colour.siting
    if orientation.transpose:
        x, y = y, x
    width, height = orientation.size(width, height)
    x = (1 - width % 2) - x if orientation.flip_x else x
    y = (1 - height % 2) - y if orientation.flip_y else y
    return replace(colour, siting=(x, y))
