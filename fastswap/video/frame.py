"""What the video room hands out: a frame with its time, and what is known of the source before its first frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from fastswap.ops.planes import Colour, Layout, Planes
from fastswap.video._orientation import UPRIGHT, Orientation

UNSPECIFIED = 2
"""H.273's code point of a colour tag that is not given."""


_COLOUR = Colour()


@dataclass(frozen=True, slots=True)
class ColourTags:
    """The colour tags of a stream as they stand in the file: code points of ITU-T H.273; `range` is 0 not given,
    1 limited, 2 full."""

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A video, a picture or a folder of pictures, as its first frame shows it.

    width, height: upright, in pixels; pixel_shape, aspect: width over height of one upright pixel (1 is square).
    frames: how many, an estimate; None where the file does not say. fps: the average, in frames a second.
    time_base: seconds that one unit of `Frame.pts` stands for.
    bit_depth: of the delivered samples, 8 or 10. codec: the stream's ("h264", "gif"), or a picture's format ("jpeg").
    orientation: how the stored frames were turned to stand upright.
    """

    path: Path
    width: int
    height: int
    frames: int | None
    fps: Fraction
    time_base: Fraction
    layout: Layout
    codec: str
    pixel_shape: Fraction = Fraction(1)
    colour: Colour = _COLOUR
    tags: ColourTags = ColourTags()
    is_pictures: bool = False
    has_audio: bool = False
    orientation: Orientation = UPRIGHT

    @property
    def aspect(self) -> float:
        return float(self.pixel_shape)

    @property
    def bit_depth(self) -> int:
        return 10 if self.layout == "p010" else 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, upright, in its native planes.

    planes: a batch of one, owned by the caller (writing into it touches nothing else); index: counted from 0;
    pts, duration: in units of `time_base` seconds, pts grow strictly; name: the file name of a picture;
    icc_profile: the colour profile of a picture, to be kept when the picture is written again.
    """

    planes: Planes
    index: int
    pts: int
    time_base: Fraction
    duration: int = 0
    name: str | None = None
    icc_profile: bytes | None = None

    @property
    def seconds(self) -> float:
        """When the frame is shown, in seconds."""
        return float(self.pts * self.time_base)
