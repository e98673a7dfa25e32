"""The specification of `warp`, in plain PyTorch. Positions are float64, samples and weights float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def warp(
    planes: Sequence[Tensor],  # (rgb [M, H, W, 3],), (luma [M, H, W], chroma [M, h, w, 2]) or (float [M, C, H, W],)
    matrix: Tensor,  # [N, 2, 3] float64, on the CPU: output px -> frame px
    frame: Tensor,  # int64 [N], on the CPU
    taps: Tensor,  # int64 [N, 2], on the CPU: n for the picture, n for the chroma
    size: int,
    to_rgb: Sequence[float],  # 12 numbers, YUV only: 3 x 4, from samples to 0..1
    siting: Sequence[float],  # YUV only: where chroma sample (0, 0) lies, luma px
    mean: float,
    std: float,
    dtype: torch.dtype,
    channels_last: bool,
) -> Tensor:  # [N, 3 or C, size, size]
    if len(planes) == 2:
        luma = _sample(planes[0].unsqueeze(-1), matrix, frame, taps[:, 0], size)
        chroma = _sample(planes[1], chroma_matrix(matrix, siting), frame, taps[:, 1], size)
        samples = torch.cat([luma, chroma], dim=-1)
        numbers = samples.new_tensor(to_rgb).view(3, 4)
        picture = (samples @ numbers[:, :3].T + numbers[:, 3]).clamp(0, 1)
    elif planes[0].is_floating_point():
        picture = _sample(planes[0].permute(0, 2, 3, 1), matrix, frame, taps[:, 0], size)
    else:
        picture = _sample(planes[0], matrix, frame, taps[:, 0], size) / 255
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return ((picture - mean) / std).to(dtype).permute(0, 3, 1, 2).contiguous(memory_format=layout)


def chroma_matrix(matrix: Tensor, siting: Sequence[float]) -> Tensor:
    """The same map, into the chroma plane's own pixels: chroma sample i lies at luma pixel 2 i + siting."""
    shifted = matrix.clone()
    shifted[:, :, 2] -= matrix.new_tensor(siting)
    return shifted / 2


def _sample(plane: Tensor, matrix: Tensor, frame: Tensor, taps: Tensor, size: int) -> Tensor:
    """[M, h, w, c] of any dtype -> float32 [N, size, size, c]: the mean of n x n taps in each output pixel."""
    out = torch.empty(matrix.shape[0], size, size, plane.shape[3], device=plane.device)
    for n in taps.unique().tolist():
        faces = (taps == n).nonzero().flatten()
        which, matrices = frame[faces].to(plane.device), matrix[faces].to(plane.device)
        total = sum(  # row by row of taps, which rounds less than one long sum
            sum(_bilinear(plane, which, positions(matrices, size, dx, dy)) for dx in offsets(n)) for dy in offsets(n)
        )
        out[faces.to(plane.device)] = total / (n * n)
    return out


def offsets(n: int) -> list[float]:
    """Where n taps lie along one side of an output pixel, from its centre."""
    return [(k + 0.5) / n - 0.5 for k in range(n)]


def positions(matrix: Tensor, size: int, dx: float, dy: float) -> Tensor:
    """Where the points (x + dx, y + dy) of the output lie in the source: [N, size, size, 2]."""
    steps = torch.arange(size, device=matrix.device, dtype=matrix.dtype)
    y, x = torch.meshgrid(steps + dy, steps + dx, indexing="ij")
    return torch.einsum("nij,yxj->nyxi", matrix, torch.stack([x, y, torch.ones_like(x)], dim=-1))


def corners(position: Tensor, height: int, width: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The four pixels that a sample lies between: y, x and weight of each, float32 [N, size, size]. The border
    replicates, which is to clamp the position."""
    x, y = position[..., 0].clamp(0, width - 1), position[..., 1].clamp(0, height - 1)
    x0, y0 = x.floor().long(), y.floor().long()
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)
    right, down = (x - x0).float(), (y - y0).float()
    return [
        (y0, x0, (1 - right) * (1 - down)),
        (y0, x1, right * (1 - down)),
        (y1, x0, (1 - right) * down),
        (y1, x1, right * down),
    ]


def _bilinear(plane: Tensor, frame: Tensor, position: Tensor) -> Tensor:
    which = frame.view(-1, 1, 1)
    (a, b, c, d) = corners(position, *plane.shape[1:3])
    upper = _pixels(plane, which, a) + _pixels(plane, which, b)
    return upper + (_pixels(plane, which, c) + _pixels(plane, which, d))


def _pixels(plane: Tensor, frame: Tensor, corner: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    y, x, weight = corner
    if plane.dtype == torch.uint16:  # PyTorch indexes it on the CPU only
        pixels = (plane.view(torch.int16)[frame, y, x].int() & 0xFFFF).float()
    else:
        pixels = plane[frame, y, x].float()
    return pixels * weight.unsqueeze(-1)
