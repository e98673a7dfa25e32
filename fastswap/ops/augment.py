"""augment: from the faces resident on the device to a training batch, in one pass.

A stored face is sampled once for each output: coverage crop, rotation, zoom, shift, mirror and grid warp are composed
into one position, where Faceswap resamples the picture three times and so blurs it three times.

Beside Faceswap's chain (cv2.warpAffine, flip, cv2.remap, at 8 bits) with the same numbers drawn, on a 256 px portrait:
the target is the same to rounding (PSNR 59 dB), the warped picture is the sharper one (40 dB). Faceswap also puts its
grid's map half a pixel aside and turns about a point half a pixel off the middle, which is left out here; so taken, the
figures are 50 and 29 dB. `tests/ops/test_augment_faceswap.py` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fastswap.ops._impl import resolve, run

CHANNELS = 4  # R, G, B, mask
MAX_TAPS = 64
SPACING = 1.25  # px between taps at most: each is a tent two pixels wide, so that none of the face falls between them


@dataclass(frozen=True, slots=True)
class Jitter:
    """The constants of what `augment` draws, after Faceswap's defaults. Lengths are in sides of the crop.

    Uniform: the angle in +-rotation, the zoom in 1 +-zoom, both coordinates of the shift in +-shift, the pull on L in
    +-lightness and those on a and b in +-ab. The face is mirrored with probability `flip`. Each coordinate of each of
    the 5 x 5 grid nodes is normal, of deviation `grid`. Faceswap's CLAHE (p = .5) is no function of a pixel alone:
    `fastswap.ops.clahe` does it before.

    The last three are of the GAN of 2018 (see GAN_2018). With `realign` the target is not the straight picture but the
    similarity nearest to the grid warp. The side of the crop is uniform in 1 +-crop of itself and `grid` in
    1 +-grid_spread; `grid` stays a length on the face while the crop's side varies.

    Raises ValueError for a negative value, a zoom or crop of 1 or more, or one out of 0..1 for flip and colour.
    """

    rotation: float = 10.0  # degrees
    zoom: float = 0.05
    shift: float = 0.05
    flip: float = 0.5
    grid: float = 5 / 256
    lightness: float = 0.30
    ab: float = 0.08
    realign: bool = False
    crop: float = 0.0
    grid_spread: float = 0.0

    def __post_init__(self) -> None:
        values = astuple(self)
        if not all(math.isfinite(v) and v >= 0 for v in values) or max(self.zoom, self.crop) >= 1:
            raise ValueError(f"a jitter is a finite amount, 0 or more, zoom and crop are below 1: got {self}")
        if max(self.flip, self.lightness, self.ab, self.grid_spread) > 1:
            raise ValueError(f"flip, lightness, ab and grid_spread are parts of 1: got {self}")

    def without(self, *, warp: bool = False, flip: bool = False, colour: bool = False) -> Jitter:
        """The same without the grid warp, the mirror or the colour shift, where the flag is True (--no-warp, ...)."""
        changes: dict[str, Any] = {}
        if warp:
            changes["grid"] = 0.0
        if flip:
            changes["flip"] = 0.0
        if colour:
            changes.update(lightness=0.0, ab=0.0)
        return replace(self, **changes)


FACESWAP = Jitter()

# shaoanlu/faceswap-GAN (data_loader/data_augmentation.py): of a 256 px picture it shows 2 x 80 to 2 x 99 px (mean 179),
# moves nodes by 5 to 6.2 px and the picture by 5 % of its side, and aligns the target by Umeyama. To show the same part
# of a face, give `augment` 179 / 256 of the coverage of the picture that the GAN would have been given. Its colours are
# matched to another face's and its motion blur is drawn elsewhere: neither is a jitter of one face.
_GAN_SHOWS = 179 / 256
GAN_2018 = Jitter(
    rotation=10.0,
    zoom=0.10,
    shift=0.05 / _GAN_SHOWS,
    flip=0.5,
    grid=5.6 / 179,
    lightness=0.0,
    ab=0.0,
    realign=True,
    crop=19 / 179,
    grid_spread=0.6 / 5.6,
)


def augment(
    faces: Tensor,  # uint8 [M, S, S, 4]: R, G, B, mask
    index: Tensor,  # int64 [N]: which face
    sample: Tensor,  # int64 [N]: the global number of the example
    *,
    seed: int,
    size_in: int,
    size_out: int,
    coverage: float,
    jitter: Jitter = FACESWAP,
    dtype: torch.dtype = torch.float32,
    impl: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """Training examples: (warped, target, mask), 0..1 in `dtype` (float32, float16 or bfloat16) on `faces`' device.

    warped: [N, 3, size_in, size_in], target: [N, 3, size_out, size_out], mask: [N, 1, size_out, size_out]; the mask is
    the fourth channel under the target's transform. `coverage` is the central part of a face's side: the crop.

    Convention: positions are counted from the face's centre; p = ((x + .5) / size - .5, (y + .5) / size - .5) for pixel
    (x, y) of an output. The target shows at p the face's position

        q = coverage * R(angle)^-1 (mirror(p) - shift) / zoom,         face pixel (q + .5) S - .5

    with mirror(x, y) = (-x, y) or (x, y): Faceswap's order (rotate and zoom about the centre, shift, then mirror). The
    warped picture shows what the target has at p + d(p), d bilinear between 5 x 5 displacements whose nodes lie at
    0, 1/4, ... 1 of the crop. That is Faceswap's grid: its 5 x 5 map stretched to 1.25 of the crop less a tenth at each
    end puts the nodes exactly there (and the picture half a pixel aside, which is left out). All of p is scaled by the
    drawn side of the crop, where the jitter has one.

    With `jitter.realign` the target has at p what the straight one has at T^-1(p), where T is the similarity (rotation,
    scale, shift) that takes the 25 displaced nodes p + d(p) nearest to their places p, in the sense of least squares
    (Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991; in two
    dimensions a quotient of complex sums). So warped and target differ by what no similarity can express.

    An output pixel is the mean of n x n bilinear samples spread over it, n = ceil(S * coverage / size / 1.25). Borders
    replicate; Faceswap paints black what its warp pulls in from outside of the crop, but a stored face goes on there,
    and shows it. The colour shift comes after sampling and is the same for warped and target: each c of 2.55 L,
    a + 128 and b + 128 in CIELAB (D65) becomes (255 - c) r + c for a drawn r >= 0 and c (1 + r) for r < 0; colours end
    in 0..1.

    Random numbers are Philox4x32-10 words at key = seed, counter = (sample, draw number, 0): an example depends on
    (seed, sample, face) alone, not on the batch it is in nor on the implementation.

    Raises TypeError for other dtypes, of an input or an output, ValueError for other shapes, sizes below 1, a seed
    outside of 0..2^63-1, a coverage outside of (0, 1] or tensors on several devices, IndexError where there are no
    faces, and on the CPU for an index outside of 0..M-1. On a GPU the host would have to wait for that: there such an
    index takes the first or the last face.
    """
    _check(faces, index, sample, seed, (size_in, size_out), coverage)
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise TypeError(f"dtype is torch.float32, float16 or bfloat16, got {dtype}")
    impl = resolve("augment", impl, faces.device)
    taps = [_taps(faces.shape[1] * coverage / size) for size in (size_in, size_out)]
    numbers = [float(value) for value in astuple(jitter)]
    sizes = (size_in, size_out, coverage, *taps)
    warped, target, mask = _augment(faces, index, sample, seed, *sizes, numbers, dtype, impl)
    return warped, target, mask


def _taps(shrink: float) -> int:
    return max(1, min(math.ceil(shrink / SPACING), MAX_TAPS))


def _check(faces: Tensor, index: Tensor, sample: Tensor, seed: int, sizes: tuple[int, int], coverage: float) -> None:
    if faces.dtype != torch.uint8:
        raise TypeError(f"faces are torch.uint8, got {faces.dtype}")
    if faces.ndim != 4 or faces.shape[1] != faces.shape[2] or faces.shape[3] != CHANNELS or faces.shape[1] < 1:
        raise ValueError(f"faces are [M, S, S, {CHANNELS}], got {list(faces.shape)}")
    for name, numbers in (("index", index), ("sample", sample)):
        if numbers.dtype != torch.int64:
            raise TypeError(f"{name} is torch.int64, got {numbers.dtype}")
        if numbers.device != faces.device:
            raise ValueError(f"faces are on {faces.device}, {name} is on {numbers.device}")
    if index.ndim != 1 or index.shape != sample.shape:
        raise ValueError(f"index and sample are both [N], got {list(index.shape)} and {list(sample.shape)}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"a seed is between 0 and 2^63 - 1, got {seed}")
    if min(sizes) < 1:
        raise ValueError(f"size_in and size_out are at least 1, got {sizes[0]} and {sizes[1]}")
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage is the part of the face that is shown, above 0 and up to 1, got {coverage}")


@torch.library.custom_op("fastswap::augment", mutates_args=())
def _augment(
    faces: Tensor,
    index: Tensor,
    sample: Tensor,
    seed: int,
    size_in: int,
    size_out: int,
    coverage: float,
    taps_in: int,
    taps_out: int,
    jitter: Sequence[float],
    dtype: torch.dtype,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    if len(index) and not len(faces):
        raise IndexError("there are no faces to take examples of")
    if index.device.type == "cpu" and len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(faces):
        raise IndexError(f"index goes from {int(index.min())} to {int(index.max())}, and there are {len(faces)} faces")
    numbers = (seed, size_in, size_out, coverage, taps_in, taps_out, jitter, dtype)
    warped, target, mask = run("augment", impl, faces, index, sample, *numbers)
    return warped, target, mask


@_augment.register_fake
def _(
    faces: Tensor,
    index: Tensor,
    sample: Tensor,
    seed: int,
    size_in: int,
    size_out: int,
    coverage: float,
    taps_in: int,
    taps_out: int,
    jitter: Sequence[float],
    dtype: torch.dtype,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    n = index.shape[0]
    return (
        faces.new_empty((n, 3, size_in, size_in), dtype=dtype),
        faces.new_empty((n, 3, size_out, size_out), dtype=dtype),
        faces.new_empty((n, 1, size_out, size_out), dtype=dtype),
    )
