"""From the colour tags of a stream to what its samples mean.

Code points: ITU-T H.273 (matrix coefficients table 4, transfer characteristics table 3).
"""

from __future__ import annotations

from dataclasses import replace

from fastswap.errors import InputError
from fastswap.ops.planes import Colour, Matrix
from fastswap.video.frame import UNSPECIFIED, ColourTags, VideoInfo

FULL = 2
LIMITED = 1
_HDR = {16: "PQ", 18: "HLG"}
_MATRICES: dict[int, Matrix] = {1: "bt709", 7: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
_RGB = 0
_PRIMARIES_BT2020 = 9
_HD_WIDTH, _SD_HEIGHT = 1280, 576
"""Players take an untagged frame for BT.709 from 1280 pixels of width or above 576 lines (mpv's rule)."""
_CENTRED = frozenset({"mpeg1video", "mjpeg", "mjpegb", "h261", "h263", "h263i", "h263p", "flv1", "theora"})
"""Codecs whose own standard places 4:2:0 chroma in the middle of four luma samples."""

LEFT = (0.0, 0.5)
CENTRE = (0.5, 0.5)


def siting(codec: str) -> tuple[float, float]:
    """Where chroma sample (0, 0) of 4:2:0 lies in luma pixels, by the standard of the codec."""
    return CENTRE if codec in _CENTRED else LEFT


def guess_matrix(width: int, height: int) -> Matrix:
    """The matrix of an untagged frame, whichever way it is turned."""
    return "bt709" if max(width, height) >= _HD_WIDTH or min(width, height) > _SD_HEIGHT else "bt601"


def refuse_hdr(name: str, tags: ColourTags) -> None:
    """Raises InputError where the transfer is PQ or HLG."""
    if tags.transfer in _HDR:
        raise InputError(
            f"{name} is HDR video ({_HDR[tags.transfer]}), which is not supported: convert (tone-map) it to SDR first"
        )


def colour_of(name: str, tags: ColourTags, codec: str, width: int, height: int, *, full_range: bool) -> Colour:
    """What the YUV samples of a stream mean. Raises InputError for a matrix that is none of BT.601, 709, 2020."""
    matrix = _MATRICES.get(tags.matrix)
    if matrix is None:
        if tags.matrix not in (UNSPECIFIED, _RGB):
            raise InputError(
                f"{name} has the colour matrix {tags.matrix} of H.273, which is not supported: convert it first"
            )
        matrix = "bt2020" if tags.primaries == _PRIMARIES_BT2020 else guess_matrix(width, height)
    return Colour(matrix, full_range, siting(codec))


def centred(colour: Colour) -> Colour:
    """`colour` with chroma as swscale leaves it when it halves full-width chroma: between the two."""
    return replace(colour, siting=CENTRE)


_CODES: dict[Matrix, int] = {"bt709": 1, "bt601": 6, "bt2020": 9}


def yuv_of(source: VideoInfo) -> Colour:
    """What a source's frames mean once they are YUV: an RGB source becomes that which players expect of its size."""
    if source.layout != "rgb":
        return source.colour
    return Colour(guess_matrix(source.width, source.height))


def tags_to_write(source: VideoInfo) -> ColourTags:
    """The source's own tags, what it does not say left unsaid; for an RGB source those of `yuv_of`."""
    if source.layout != "rgb":
        return source.tags
    code = _CODES[yuv_of(source).matrix]
    return ColourTags(code, code, code, LIMITED)
