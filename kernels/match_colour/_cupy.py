"""Colour match on a GPU, in CUDA C: two launches for reinhard and covariance, three for histogram.

reinhard, covariance (match_colour.cu). `moments`: 32 blocks a face read 16 bytes of each plane a thread at once, both
pictures and the mask; what is outside of the mask is not read. A thread sums its pixels about their own mean and
merges (Chan, Golub, LeVeque 1979), lanes and warps merge in a fixed order: no atomics. `apply`: the first warp of
every block merges the face's 32 parts, a lane each, one thread finds the map (covariance: about 1,000 operations, once
a block where Triton's every warp does them), and the block maps its pixels.

histogram (histogram.cu). `count` adds whole numbers in shared memory, in four copies a block; `tables` finds what to
add to each of 256 levels, a block a face and channel; `remap` looks it up in shared memory.

Bytes a pixel in float32: 28 read, then 12 read and 12 written; half of that in half precision. Operations a pixel:
reinhard 120 and 24 square roots, then as many; covariance 40 and 20; histogram 6 additions in shared memory, then 3 x
2 reads of it. So covariance should be bound by memory; reinhard by memory in float32 and by its square roots in half
precision; histogram's first launch by the additions, where many pixels of a warp meet in a bin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.kernels.cuda._cupy import TYPES, launch
from fastswap.kernels.match_colour.reference import BINS, LEAST, LEAST_DEVIATION, LEAST_WEIGHT, MAX_GAIN

THREADS = 256
PARTS = 32  # blocks a face at most: a lane of a warp each
MOST = 1 << 23  # px a block: the sum of their weights is exact in an int
_VALUES = 19  # a part: weight, and of each picture three means and six products


def reinhard(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s] -> [N, 3, s, s]
    return _by_moments(face, target, mask, lab=1)


def covariance(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # the same
    return _by_moments(face, target, mask, lab=0)


def histogram(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # the same
    source, wanted, weights = (_stored(x) for x in (face, target, mask))
    out = torch.empty_like(source)
    if not out.numel():
        return out.to(face.dtype)
    count, pixels = len(mask), mask[0].numel()
    defines = _defines(source, wanted, weights)
    blocks = max(_blocks(pixels, defines), -(-pixels // MOST))
    parts = torch.empty((count, blocks, 6, BINS), dtype=torch.int32, device=face.device)
    shift = torch.empty((count, 3, BINS), dtype=torch.float32, device=face.device)
    defines["EMPTY"] = int(LEAST_WEIGHT) * (BINS - 1)
    cu = "match_colour/histogram.cu"
    launch(cu, "count", (blocks, count), (THREADS,), source, wanted, weights, parts, pixels, defines=defines)
    launch(cu, "tables", (3, count), (BINS, 2), parts, shift, blocks, defines=defines)
    launch(cu, "remap", (blocks, 3 * count), (THREADS,), source, shift, out, pixels, defines=defines)
    return out.to(face.dtype)


def _by_moments(face: Tensor, target: Tensor, mask: Tensor, lab: int) -> Tensor:
    source, wanted, weights = (_stored(x) for x in (face, target, mask))
    out = torch.empty_like(source)
    if not out.numel():
        return out.to(face.dtype)
    count, pixels = len(mask), mask[0].numel()
    parts = torch.empty((count, _VALUES, PARTS), dtype=torch.float32, device=face.device)
    defines = _defines(source, wanted, weights)
    blocks = _blocks(pixels, defines)
    numbers = {"LEAST": LEAST, "LEAST_DEVIATION": LEAST_DEVIATION, "LEAST_WEIGHT": LEAST_WEIGHT, "MAX_GAIN": MAX_GAIN}
    defines |= {"LAB": lab, **{name: f"{value!r}f" for name, value in numbers.items()}}
    grid, block, cu = (blocks, count), (THREADS,), "match_colour/match_colour.cu"
    launch(cu, "moments", grid, block, source, wanted, weights, parts, pixels, defines=defines)
    launch(cu, "apply", grid, block, source, parts, out, pixels, blocks, defines=defines)
    return out.to(face.dtype)


def _blocks(pixels: int, defines: dict[str, str | int]) -> int:
    """How many blocks share a face."""
    return min(PARTS, -(-pixels // (THREADS * int(defines["SAMPLES"]))))


def _defines(*pictures: Tensor) -> dict[str, str | int]:
    """The pictures' type, and how many samples a thread reads at once: 16 bytes where every plane is aligned so."""
    samples = 16 // pictures[0].element_size()
    aligned = pictures[0].shape[-1] ** 2 % samples == 0 and all(x.data_ptr() % 16 == 0 for x in pictures)
    return {"TYPE": TYPES[pictures[0].dtype], "SAMPLES": samples if aligned else 1}


def _stored(picture: Tensor) -> Tensor:
    """Contiguous, of a type that the kernels read: float64 becomes float32."""
    return (picture if picture.dtype in TYPES else picture.float()).contiguous()
