"""The multiresolution spline on the GPU: down and up the pyramid of one difference, in as few launches as there are
large levels.

At 512 px and 5 levels these are 7 launches: the pictures to 256 px, 256 to 128, 128 to 64; all levels of 64 px and less
at once; up to 128, to 256, and the result. Bytes a face with 16-bit pictures, in MB: 4.2 to read the three pictures and
write the first level, 0.8 further down, 0.1 in the small levels, 1.4 up to 256 px, and 6.0 to read the pictures again
and write the result: 12.5, or 48 bytes a pixel (96 with float32), where reading twice and writing once, the least that
two passes need, is 8.9. Against some 80 multiplications and additions a pixel: memory binds it. The pictures of a batch
of 16 (59 MB) are about what an H200's L2 cache holds, so the way up finds a part of them there; below 4 faces or so
launches bind, and a CUDA graph is what helps. All memory is torch's: the launches can be captured.

Why two levels are not made at once: for its margins a tile would read 1.3 times its pixels, to save 1 MB of 12.5.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastswap.kernels.blend_pyramid.reference import blend_pyramid as reference
from fastswap.kernels.blend_pyramid.reference import level_sizes
from fastswap.kernels.cuda._cupy import TYPES, launch

SOURCE = "blend_pyramid/blend_pyramid.cu"
BLOCK = (32, 8)  # columns, and strips of ROWS rows, of the coarser level
ROWS, SIDE = 4, 64  # as in the source: rows a thread walks down, and the largest level that fits into shared memory
SMALL_BLOCK = (32, 16)
_NONE = np.uint64(0)


def blend_pyramid(face: Tensor, target: Tensor, alpha: Tensor, levels: int) -> Tensor:
    """As the reference, computed in float32; the levels are float16 where the pictures have 16 bits."""
    sizes = level_sizes(face.shape[-1], levels)
    if len(sizes) == 1:  # a square of one pixel has nothing but itself to mix
        return reference(face, target, alpha, levels)
    storage = face.dtype if face.dtype in TYPES else torch.float32
    pictures = tuple(picture.to(storage).contiguous() for picture in (face, target, alpha))
    out = torch.empty_like(pictures[0])
    _blend(pictures, sizes, out)
    return out.to(face.dtype)


def _blend(pictures: tuple[Tensor, ...], sizes: list[int], out: Tensor) -> None:
    count, last = len(out), len(sizes) - 1
    storage = torch.float32 if out.dtype == torch.float32 else torch.float16
    defines = {"TYPE": TYPES[out.dtype], "LEVEL": TYPES[storage]}

    def planes(k: int, channels: int) -> Tensor:
        return torch.empty((count, channels, sizes[k], sizes[k]), dtype=storage, device=out.device)

    def run(kernel: str, k: int, *tensors: Tensor | np.uint64) -> None:
        """A kernel between the levels k and k + 1."""
        half = sizes[k + 1]
        grid = (-(-half // BLOCK[0]), -(-half // (BLOCK[1] * ROWS)), count)
        launch(SOURCE, kernel, grid, BLOCK, *tensors, sizes[k], defines=defines)

    small = next((k for k in range(1, last) if sizes[k] <= SIDE), last)
    level = {k: planes(k, 4) for k in range(1, small + 1)}
    run("reduce_pictures", 0, *pictures, level[1])
    for k in range(1, small):
        run("reduce_level", k, level[k], level[k + 1])
    mixed: Tensor | np.uint64 = _NONE
    if small < last:
        mixed = planes(small, 3)
        arguments = (level[small], mixed, sizes[small], last - small)
        launch(SOURCE, "blend_small", (3, count), SMALL_BLOCK, *arguments, defines=defines)
    for k in range(small - 1, 0, -1):
        below, mixed = mixed, planes(k, 3)
        run("collapse_level", k, level[k], level[k + 1], below, mixed)
    run("collapse_pictures", 0, *pictures, level[1], mixed, out)
