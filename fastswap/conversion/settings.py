"""What a conversion is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastswap.conversion.blend import BLENDS, Blend
from fastswap.conversion.masks import FOUR, MASKS, MaskSource, Sides
from fastswap.errors import UsageError
from fastswap.ops.match_colour import METHODS as COLOURS
from fastswap.ops.sharpen import METHODS as SHARPENINGS
from fastswap.video._picture_writer import FORMATS
from fastswap.video.decoders import check_decoder
from fastswap.video.encoders import check_encoder
from fastswap.video.ranges import frame_ranges


@dataclass(frozen=True)
class ConvertSettings:
    """faces: the alignments of the input (None: the model's own side-A face set where it is of this very file, else
    found anew); person: who of the input is replaced (None: the one trained on, or the most frequent); frames: in
    which, as `frame_ranges` reads them (None: in all); colour: "none" or a method of `match_colour`; mask: see
    `face_mask`; erode and feather: see `soft_sides`; blend: see `joined`; sharpen: "none" or a method of `sharpen`;
    face_scale: how much larger than A's the face is drawn; opacity: 0 leaves A; occlusion: what is in front of A's face
    stays; swap_sides: the model the other way round, A on the video of B; mask_output: where what was pasted is
    written, white on black; still: the only frame that is written, as a picture; smooth: the alignments over time;
    decoder: see `open_video`; codec, encoder, quality and pictures: see `write_video`."""

    input: Path
    model: Path
    output: Path
    faces: Path | None = None
    person: int | None = None
    frames: str | None = None
    colour: str = "covariance"
    mask: MaskSource = "predicted"
    erode: Sides = 0.0
    feather: Sides = 0.09
    blend: Blend = "none"
    sharpen: str = "none"
    face_scale: float = 1.0
    opacity: float = 1.0
    occlusion: bool = True
    swap_sides: bool = False
    mask_output: Path | None = None
    still: int | None = None
    smooth: bool = True
    device: str = "auto"
    impl: str = "auto"
    codec: str = "auto"
    decoder: str = "auto"
    encoder: str = "auto"
    quality: int | None = None
    pictures: str = "png"


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
        ("--mask", settings.mask, MASKS),
        ("--blend", settings.blend, BLENDS),
        ("--sharpen", settings.sharpen, ("none", *SHARPENINGS)),
    ):
        if value not in known:
            raise UsageError(f"{option} {value}: choose one of {', '.join(known)}")
    _check_numbers(settings)
    _check_outputs(settings)
    check_decoder(settings.decoder)
    check_encoder(settings.encoder, settings.pictures)
    if settings.frames is not None:
        frame_ranges(settings.frames)


SCALES = (0.5, 2.0)
"""How much smaller or larger than A's a face may be drawn."""


def _check_outputs(settings: ConvertSettings) -> None:
    if settings.mask_output is not None and settings.mask_output.resolve() == settings.output.resolve():
        raise UsageError(f"--mask-output {settings.mask_output} is the output itself: name another")
    if settings.still is None:
        return
    if settings.still < 0 or settings.frames is not None:
        raise UsageError(f"--still {settings.still}: name one frame, from 0, without --frames")
    for path in filter(None, (settings.output, settings.mask_output)):
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"--still writes a picture: {path.name} names none (use {', '.join(FORMATS)})")


def _check_numbers(settings: ConvertSettings) -> None:
    for option, sides, least in (("--erode", settings.erode, -1.0), ("--feather", settings.feather, 0.0)):
        numbers = sides if isinstance(sides, tuple) else (sides,)
        if len(numbers) not in (1, FOUR):
            raise UsageError(f"{option} takes one number or four (top, right, bottom, left), not {len(numbers)}")
        if not all(least <= number <= 1 for number in numbers):
            given = " ".join(f"{number:g}" for number in numbers)
            raise UsageError(f"{option} {given}: shares of the aligned square lie in {least:g} to 1")
    for option, value, least, most in (
        ("--face-scale", settings.face_scale, *SCALES),
        ("--opacity", settings.opacity, 0.0, 1.0),
    ):
        if not least <= value <= most:
            raise UsageError(f"{option} {value:g}: choose a number from {least:g} to {most:g}")
