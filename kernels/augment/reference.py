"""Augmentation in plain PyTorch: what it draws, where it samples, and how it shifts the colours.

Counter-based random numbers (Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) make
an example a function of (seed, sample): no state, no order, the same bits on every implementation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as nn
from torch import Tensor

from fastswap.kernels.lab.reference import lab_from_rgb, rgb_from_lab

NODES = 5  # the grid warp has 5 x 5 nodes, on the corners of the crop's 4 x 4 cells
ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
SPREADS = 15  # the draw of the crop's and the grid's spread, after those of the grid
LEAST = 1e-3  # the least scale that a realigned target is divided by: a grid torn to pieces has no best similarity
_WORD = 0xFFFFFFFF


class Draw(NamedTuple):
    """The random numbers of N examples, float64, each zero (no flip) where its jitter is zero."""

    angle: Tensor  # [N] radians
    zoom: Tensor  # [N] factor, 1 where nothing is drawn
    shift: Tensor  # [N, 2] x, y in crop sizes
    mirror: Tensor  # [N] -1 where the face is flipped, else 1
    colour: Tensor  # [N, 3] r of L, a and b, as `shift_colour` uses it
    crop: Tensor  # [N] the side of the crop, as a factor, 1 where nothing is drawn
    nodes: Tensor  # [N, 5, 5, 2] displacement (x, y) in sides of this crop of the node at [row, column]


def augment(
    faces: Tensor,  # uint8 [M, S, S, 4]
    index: Tensor,  # int64 [N]
    sample: Tensor,  # int64 [N]
    seed: int,
    size_in: int,
    size_out: int,
    coverage: float,
    taps_in: int,
    taps_out: int,
    jitter: Sequence[float],  # the fields of Jitter, in their order
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """Warped [N, 3, size_in, size_in], target [N, 3, size_out, size_out], mask [N, 1, size_out, size_out]; 0..1."""
    drawn = draw(sample, seed, jitter)
    pictures = faces[index].permute(0, 3, 1, 2).float() / 255
    warped = sample_faces(pictures[:, :3], drawn, drawn.nodes, size_in, taps_in, coverage)
    still = realign(drawn.nodes) if jitter[7] else torch.zeros_like(drawn.nodes)
    plain = sample_faces(pictures, drawn, still, size_out, taps_out, coverage)
    target, mask = plain[:, :3].clone(), plain[:, 3:].clone()
    if jitter[5] > 0 or jitter[6] > 0:
        warped, target = shift_colour(warped, drawn.colour), shift_colour(target, drawn.colour)
    return warped.to(dtype), target.to(dtype), mask.to(dtype)


def draw(sample: Tensor, seed: int, jitter: Sequence[float]) -> Draw:
    """What is drawn for each sample number. Draw 0 is (rotation, zoom, shift x, shift y), draw 1 is (flip, L, a, b),
    and draws 2 to 14 hold two grid nodes each, row by row: words 0 and 1 give (x, y) of the first, 2 and 3 of the
    second. Draw 15 is (crop, grid spread)."""
    rotation, zoom, shift, flip, grid, lightness, ab, _, crop, grid_spread = jitter
    first, second = uniforms(sample, seed, 0), uniforms(sample, seed, 1)
    around = 2 * first - 1
    colour = (2 * second[:, 1:] - 1) * torch.tensor([lightness, ab, ab], dtype=torch.float64, device=sample.device)
    pairs = [normals(uniforms(sample, seed, 2 + j)) for j in range((NODES * NODES + 1) // 2)]
    nodes = torch.cat(pairs, 1)[:, : 2 * NODES * NODES].unflatten(1, (NODES, NODES, 2))
    spreads = 2 * uniforms(sample, seed, SPREADS) - 1
    side = 1 + spreads[:, 0] * crop
    sigma = grid * (1 + spreads[:, 1] * grid_spread) / side
    return Draw(
        angle=around[:, 0] * math.radians(rotation),
        zoom=1 + around[:, 1] * zoom,
        shift=around[:, 2:] * shift,
        mirror=1 - 2 * (second[:, 0] < flip).double(),
        colour=colour,
        crop=side,
        nodes=nodes * sigma[:, None, None, None],
    )


def uniforms(sample: Tensor, seed: int, number: int) -> Tensor:  # -> float64 [N, 4]
    """Four uniform numbers in [0, 1) of draw `number`: the upper 24 bits of each word, exact in float32 too."""
    counter = (sample & _WORD, (sample >> 32) & _WORD, torch.full_like(sample, number), torch.zeros_like(sample))
    words = philox(counter, (seed & _WORD, (seed >> 32) & _WORD))
    return torch.stack([(word >> 8).double() * 2.0**-24 for word in words], 1)


def normals(uniform: Tensor) -> Tensor:  # [N, 4] -> [N, 4]
    """Standard normal numbers by Box and Muller (1958): words 0 and 1 give two, words 2 and 3 two more."""
    radius = (-2 * (uniform[:, ::2] + 2.0**-24).log()).sqrt()  # + one step: (0, 1], for the logarithm
    turn = 2 * math.pi * uniform[:, 1::2]
    return torch.stack((radius * turn.cos(), radius * turn.sin()), 2).flatten(1)


def philox(counter: Sequence[Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Philox4x32-10: four int64 tensors holding 32-bit words and two key words -> four such tensors."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high0, low0 = _multiply(c0, MULTIPLIERS[0])
        high1, low1 = _multiply(c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + KEY_STEPS[0]) & _WORD, (k1 + KEY_STEPS[1]) & _WORD
    return c0, c1, c2, c3


def _multiply(word: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """The upper and lower 32 bits of a product, by 16-bit halves: no partial product leaves int64."""
    upper, lower = word * (factor >> 16), word * (factor & 0xFFFF)
    return (upper + (lower >> 16)) >> 16, (((upper & 0xFFFF) << 16) + lower) & _WORD


def sample_faces(pictures: Tensor, drawn: Draw, nodes: Tensor, size: int, taps: int, coverage: float) -> Tensor:
    """Each output pixel: the mean of taps x taps bilinear samples spread evenly over it, borders replicated.

    Positions are counted from the centre of the face, in units of the crop's side, until the last line: those of the
    `taps` times larger picture, displaced by the grid, scaled by the drawn crop, mirrored, then taken back through the
    affine jitter.
    """
    line = (torch.arange(taps * size, dtype=torch.float64, device=nodes.device) + 0.5) / (taps * size)
    x, y = (displace(nodes, line) * drawn.crop[:, None, None, None]).unbind(-1)
    x = x * drawn.mirror[:, None, None] - drawn.shift[:, 0, None, None]
    y = y - drawn.shift[:, 1, None, None]
    cos = (drawn.angle.cos() / drawn.zoom)[:, None, None]
    sin = (drawn.angle.sin() / drawn.zoom)[:, None, None]
    source = torch.stack((cos * x + sin * y, cos * y - sin * x), -1) * coverage
    # grid_sample without aligned corners calls the edges of the picture -1 and 1: twice our unit, whatever its size
    out = nn.grid_sample(pictures, (2 * source).to(pictures), "bilinear", "border", align_corners=False)
    return nn.avg_pool2d(out, taps).clamp(max=1)


def displace(nodes: Tensor, line: Tensor) -> Tensor:  # [N, 5, 5, 2], [L] -> [N, L, L, 2]
    """The centred positions of the points (line[x], line[y]), plus the nodes' displacement between them, bilinearly."""
    cell = (line * (NODES - 1)).floor().clamp(max=NODES - 2)
    part = line * (NODES - 1) - cell
    weight = torch.zeros(len(line), NODES, dtype=line.dtype, device=line.device)
    weight.scatter_(1, cell.long()[:, None], (1 - part)[:, None])
    weight.scatter_(1, cell.long()[:, None] + 1, part[:, None])
    y, x = torch.meshgrid(line - 0.5, line - 0.5, indexing="ij")
    return torch.stack((x, y), -1) + torch.einsum("yi,xj,nijc->nyxc", weight, weight, nodes)


def realign(nodes: Tensor) -> Tensor:  # [N, 5, 5, 2] -> [N, 5, 5, 2]
    """The displacements under which the nodes stay a similar grid: the inverse of the similarity T that takes the
    displaced nodes z nearest to their places w on the regular grid, in the sense of least squares (Umeyama 1991).

    In two dimensions T needs no singular values: in complex numbers T(z) = c (z - mean z), for the w have mean 0, with
    c = sum w conj(z - mean z) / sum |z - mean z|^2. So T^-1(w) = w / c + mean z.
    """
    line = torch.linspace(-0.5, 0.5, NODES, dtype=nodes.dtype, device=nodes.device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    place = torch.stack((x, y), -1)
    moved = place + nodes
    middle = moved.mean((1, 2), keepdim=True)
    moved, power = moved - middle, (place**2).sum()
    along = (moved * place).sum((1, 2, 3)) / power  # sum (z - mean z) conj(w), about 1
    across = (moved[..., 1] * place[..., 0] - moved[..., 0] * place[..., 1]).sum((1, 2)) / power
    gain = (moved**2).sum((1, 2, 3)) / power / (along**2 + across**2).clamp_min(LEAST**2)
    cos, sin = (gain * along)[:, None, None], (gain * across)[:, None, None]
    return torch.stack((cos * x - sin * y, sin * x + cos * y), -1) + middle - place


def shift_colour(rgb: Tensor, colour: Tensor) -> Tensor:  # [N, 3, s, s], [N, 3] -> [N, 3, s, s]
    """Draws each of L, a, b towards an end of its 8-bit range: c in 0..255 becomes (255 - c) r + c for r >= 0 and
    c (1 + r) for r < 0, where c is 2.55 L, a + 128, b + 128, OpenCV's 8-bit CIELAB."""
    scale = rgb.new_tensor([255 / 100, 1, 1])[:, None, None]
    zero = rgb.new_tensor([0, 128, 128])[:, None, None]
    r = colour.to(rgb)[:, :, None, None]
    c = lab_from_rgb(rgb) * scale + zero
    c = torch.where(r >= 0, (255 - c) * r + c, c * (1 + r))
    return rgb_from_lab((c - zero) / scale)
