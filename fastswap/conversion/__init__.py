"""From a video and a model to the swapped video."""

from fastswap.conversion.blend import BLENDS, Blend
from fastswap.conversion.composite import CompositeSettings, composite
from fastswap.conversion.frames import swapped_frames
from fastswap.conversion.generator import Generate
from fastswap.conversion.pipeline import convert
from fastswap.conversion.settings import ConvertSettings, ConvertSummary

__all__ = [
    "BLENDS",
    "Blend",
    "CompositeSettings",
    "ConvertSettings",
    "ConvertSummary",
    "Generate",
    "composite",
    "convert",
    "swapped_frames",
]
