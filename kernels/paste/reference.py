"""The specification of `paste`, in plain PyTorch. Positions are float64, colours float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def paste(
    planes: Sequence[Tensor],  # (rgb [M, H, W, 3],) or (luma [M, H, W], chroma [M, h, w, 2]), written
    face: Tensor,  # [N, 3, s, s]
    alpha: Tensor,  # [N, 1, s, s]
    maps: Sequence[Tensor],  # for each plane: [N, 2, 3] float64, on the CPU: plane px -> face px
    frame: Tensor,  # int64 [N], on the CPU
    taps: Sequence[Tensor],  # for each plane: int64 [N], on the CPU
    boxes: Sequence[Tensor],  # for each plane: int64 [N, 4], on the CPU: x0, y0, x1, y1 outside of which nothing shows
    from_rgb: Sequence[float],  # 12 numbers: 3 x 4, from 0..1 to codes
) -> None:
    for n in range(face.shape[0]):
        sprite = premultiply(face[n], alpha[n], from_rgb)
        channels = [[0, 3], [1, 2, 3]] if len(planes) == 2 else [[0, 1, 2, 3]]
        for plane, which, mapped, count, box in zip(planes, channels, maps, taps, boxes, strict=True):
            target = plane[frame[n]]
            target = target.unsqueeze(-1) if target.dim() == 2 else target
            _composite(target, sprite[..., which], mapped[n], int(count[n]), box[n].tolist())


def premultiply(face: Tensor, alpha: Tensor, from_rgb: Sequence[float]) -> Tensor:
    """[s + 2, s + 2, 4]: the face's codes times alpha, and alpha, within a border of zeros."""
    numbers = face.new_tensor(from_rgb, dtype=torch.float32).view(3, 4)
    weight = alpha.float()
    codes = torch.einsum("kc,cyx->kyx", numbers[:, :3], face.float()) + numbers[:, 3].view(3, 1, 1)
    return torch.nn.functional.pad(torch.cat([codes * weight, weight]), (1, 1, 1, 1)).permute(1, 2, 0)


def _composite(target: Tensor, sprite: Tensor, matrix: Tensor, n: int, box: list[int]) -> None:
    """target [h, w, c] of the plane, written; sprite [s + 2, s + 2, c + 1]."""
    x0, y0, x1, y1 = box
    if x0 >= x1 or y0 >= y1:
        return
    offsets = [(k + 0.5) / n - 0.5 for k in range(n)]
    total = sum(_bilinear(sprite, _positions(matrix.to(sprite.device), box, u, v)) for v in offsets for u in offsets)
    colour, alpha = (total / (n * n)).split([target.shape[2], 1], dim=-1)
    step, limit = (64, 1023) if target.dtype == torch.uint16 else (1, 255)
    before = target[y0:y1, x0:x1].to(torch.int32)
    mixed = torch.floor(before.float() / step * (1 - alpha) + colour + 0.5).clamp(0, limit).to(torch.int32) * step
    target[y0:y1, x0:x1] = torch.where(alpha > 0, mixed, before).to(target.dtype)


def _positions(matrix: Tensor, box: list[int], u: float, v: float) -> Tensor:
    """Where the points (x + u, y + v) of the box lie in the sprite, whose border is one pixel: [h, w, 2]."""
    x0, y0, x1, y1 = box
    xs = torch.arange(x0, x1, device=matrix.device, dtype=matrix.dtype) + u
    ys = torch.arange(y0, y1, device=matrix.device, dtype=matrix.dtype) + v
    return (matrix[:, 0] * xs.view(1, -1, 1) + matrix[:, 1] * ys.view(-1, 1, 1) + matrix[:, 2]) + 1


def _bilinear(sprite: Tensor, position: Tensor) -> Tensor:
    position = position.clamp(0, sprite.shape[0] - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=sprite.shape[0] - 1)
    right, down = (position - low).float().split(1, dim=-1)
    upper = sprite[low[..., 1], low[..., 0]] * (1 - right) + sprite[low[..., 1], high[..., 0]] * right
    lower = sprite[high[..., 1], low[..., 0]] * (1 - right) + sprite[high[..., 1], high[..., 0]] * right
    return upper * (1 - down) + lower * down
