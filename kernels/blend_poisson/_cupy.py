"""Poisson blending on a GPU: three small kernels round the six products of the sine transforms, on tensor cores.

`differences` makes what is wanted between neighbours from face, target and mask in one pass, `divide` is the equation
solved, `finish` adds the correction to the target. The transforms are products with fixed matrices, by cuBLAS through
torch: 2 p^3 operations each, 4.8 GFLOP a face of 512 px.

The matrices have a row for *every* pixel of the square: sin(pi j k / (s - 1)) is zero on the border anyhow. So planes
keep the square's own side, 512, which tensor cores like, where the pixels inside are 510 and would be unaligned; other
sides are rounded up to a multiple of 8.

Numbers: products of __half with sums in float32, as fine as TF32 at twice the rate and half the bytes. Rounding a right
side r to 11 bits puts white noise on it, which the division by an eigenvalue of (pi / s)^2 blows up: 6 levels of 255
on noise of 512 px. So the divergence is not taken between pixels but after the transform: with S the sines and
G = S(i) - S(i + 1), each row's difference with the next (-2 sin(pi k / (2 s - 2)) times a cosine),

    S r S = S Dx G + G' Dy S,        Dx, Dy: the differences wanted along rows and columns.

G is small where the eigenvalues are, and with it the rounding. Two products more, and against float64, by running this
very path with its rounding on the CPU: within 0.2 level on noise and 0.2 on smooth pictures, from 3 to 512 px.

Coefficients of the correction are at most 2 s^2 / pi (differences of at most 2 at 2 s^2 edges, a least eigenvalue of
-2 (pi / s)^2): divided by s^2 / 2^16 they cannot overflow, whatever the pictures are.

Bytes a pixel of 16-bit pictures: 14 + 12 (differences), 12 a product and 6 more for the sum, 12 (divide), 18 (finish):
134, or 35 MB a face of 512 px, 8 us at an H200's copy rate, less where a few faces stay in L2; the products take 6 us
at its rate of dense products. Below about 4 faces the nine launches bind it.

The tables are kept for each size and device. They are made on the host: run a size once before capturing it in a graph.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from fastswap.kernels.blend_poisson.reference import TIE, eigenvalues, sine_matrix
from fastswap.kernels.cuda._cupy import TYPES, launch

SOURCE = "blend_poisson/blend_poisson.cu"
BLOCK = (32, 8)
ALIGNED = 8  # numbers of two bytes, for tensor cores


def blend_poisson(face: Tensor, target: Tensor, mask: Tensor, mode: str) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s]
    dtype = face.dtype if face.dtype in TYPES else torch.float32
    faces, targets, masks = (x.to(dtype).contiguous() for x in (face, target, mask))
    count, _, size, _ = face.shape
    padded = -(-size // ALIGNED) * ALIGNED
    scale = size**2 / 2**16  # how much smaller the coefficients are made, to fit __half
    waves = _tables(size, padded, face.device)
    wanted = torch.empty(2, 3 * count, padded, padded, dtype=torch.float16, device=face.device)
    out = torch.empty_like(targets)
    defines = {"TYPE": TYPES[dtype], "MIXED": int(mode == "mixed"), "TIE": f"{TIE}f"}

    def run(kernel: str, side: int, pictures: int, *arguments: Tensor | float) -> None:
        grid = (-(-side // BLOCK[0]), -(-side // BLOCK[1]), pictures)
        launch(SOURCE, kernel, grid, BLOCK, *arguments, defines=defines)

    run("differences", padded, count, faces, targets, masks, wanted, size, padded)
    coefficients = _columns(waves.sines, wanted[0] @ waves.steps)
    coefficients.baddbmm_(waves.steps.mT.expand_as(coefficients), wanted[1] @ waves.sines)
    run("divide", padded, 3 * count, coefficients, waves.eigenvalues, scale, padded)
    correction = _columns(waves.sines, coefficients @ waves.sines)
    run("finish", size, 3 * count, correction, targets, out, scale, size, padded)
    return out.to(face.dtype)


def _columns(matrix: Tensor, planes: Tensor) -> Tensor:
    """matrix @ plane for each: a product a plane, where those along the rows are one long product for all."""
    return torch.bmm(matrix.expand_as(planes), planes)


class _Waves(NamedTuple):
    """sines: __half [p, p], symmetric; steps: __half [p, p], G above; eigenvalues: float32 [p]."""

    sines: Tensor
    steps: Tensor
    eigenvalues: Tensor


@functools.lru_cache(maxsize=8)
def _tables(size: int, padded: int, device: torch.device) -> _Waves:
    sines = torch.zeros(padded + 1, padded, dtype=torch.float64)
    along = torch.full((padded,), -1.0)  # outside: what is divided by these is zero
    inside = slice(1, max(size - 1, 1))
    sines[inside, inside] = sine_matrix(max(size - 2, 0))
    along[inside] = eigenvalues(max(size - 2, 0)).float()
    return _Waves(*(x.to(device) for x in (sines[:-1].half(), (sines[:-1] - sines[1:]).half(), along)))
