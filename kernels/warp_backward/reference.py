"""The specification of the gradient of `warp` in plain PyTorch: its adjoint. A crop's pixel is a weighted sum of
pixels of the frame, so its gradient goes back to the same pixels with the same weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastswap.kernels.warp.reference import corners, offsets, positions


def warp_backward(
    gradient: Tensor,  # [N, C, size, size], any float dtype, any strides
    matrix: Tensor,  # as `warp` takes them
    frame: Tensor,
    taps: Tensor,
    shape: Sequence[int],  # of the source: M, C, H, W
    std: float,
) -> Tensor:  # float32 [M, C, H, W]
    frames, channels, height, width = shape
    out = torch.zeros(frames * height * width, channels, device=gradient.device)
    for n in taps[:, 0].unique().tolist():
        faces = (taps[:, 0] == n).nonzero().flatten()
        matrices, first = (t[faces].to(gradient.device) for t in (matrix, frame * height * width))
        values = gradient[faces.to(gradient.device)].permute(0, 2, 3, 1).float() / (n * n * std)
        for dy in offsets(n):
            for dx in offsets(n):
                for y, x, weight in corners(positions(matrices, gradient.shape[-1], dx, dy), height, width):
                    pixels = (first.view(-1, 1, 1) + y * width + x).flatten()
                    out.index_add_(0, pixels, (values * weight.unsqueeze(-1)).flatten(0, 2))
    return out.view(frames, height, width, channels).permute(0, 3, 1, 2).contiguous()
