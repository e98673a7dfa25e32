"""What a conversion is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastswap.conversion.blend import BLENDS, Blend
from fastswap.conversion.composite import MaskSource
from fastswap.errors import UsageError
from fastswap.ops.match_colour import METHODS as COLOURS
from fastswap.ops.sharpen import METHODS as SHARPENINGS


@dataclass(frozen=True)
class ConvertSettings:
    """faces: the alignments of the input (None: the model's own side-A face set where it is of this very file, else
    found anew); person: who of the input is replaced (None: the one trained on, or the most frequent); colour: "none"
    or a method of `match_colour`; blend: see `joined`; sharpen: "none" or a method of `sharpen`; smooth: the
    alignments over time; codec and quality: see `write_video`."""

    input: Path
    model: Path
    output: Path
    faces: Path | None = None
    person: int | None = None
    colour: str = "covariance"
    mask: MaskSource = "predicted"
    erode: float = 0.0
    feather: float = 0.09
    blend: Blend = "none"
    sharpen: str = "none"
    smooth: bool = False
    device: str = "auto"
    impl: str = "auto"
    codec: str = "auto"
    quality: int | None = None


@dataclass(frozen=True)
class ConvertSummary:
    """What was written. person: who was replaced; others: the persons left as they are."""

    output: str
    frames: int
    frames_swapped: int
    person: int
    others: list[int]
    seconds: float
    fps: float


def check(settings: ConvertSettings) -> None:
    """Refuses what no conversion can do, before any work. Raises UsageError."""
    for option, value, known in (
        ("-c", settings.colour, ("none", *COLOURS)),
        ("--blend", settings.blend, BLENDS),
        ("--sharpen", settings.sharpen, ("none", *SHARPENINGS)),
    ):
        if value not in known:
            raise UsageError(f"{option} {value}: choose one of {', '.join(known)}")
