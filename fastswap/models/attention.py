"""Self-attention over the pixels of a small map (SAGAN: Zhang et al. 2019, arXiv 1805.08318): what one eye does is then
known where the other is drawn."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastswap.models.blocks import ChannelNorm

_HEAD = 64
"""Channels of a head: what the fused kernels are fastest at."""


class SelfAttention(nn.Module):
    """x + gamma attention(x), gamma starting at 0. [N, C, s, s] -> the same.

    Query, key and value all have C / 2 channels in heads of up to 64, where SAGAN gives one head C / 8 for two of
    them: torch's fused kernels want the three alike. The map is normalised before, which bounds the logits in bf16.

    `twice`: it can be differentiated twice, which the gradient penalties of a discriminator need. PyTorch's fused
    attention has no second derivative, so that it is then two products and a softmax, with all [s^2, s^2] weights in
    memory."""

    def __init__(self, channels: int, *, twice: bool = False) -> None:
        super().__init__()
        width = max(channels // 2, 1)
        self.heads = width // _HEAD if width % _HEAD == 0 else 1
        self.twice = twice
        self.norm = ChannelNorm(channels)
        self.project = nn.Conv2d(channels, 3 * width, 1, bias=False)
        self.out = nn.Conv2d(width, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))
        for layer in (self.project, self.out):
            nn.init.xavier_normal_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        tokens = self.project(self.norm(x)).permute(0, 2, 3, 1)  # [N, s, s, 3 heads d]
        parts = tokens.reshape(n, height * width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        attend = _attend_twice if self.twice else functional.scaled_dot_product_attention
        mixed = attend(query, key, value).transpose(1, 2)  # [N, s^2, heads, d]
        out: Tensor = self.out(mixed.reshape(n, height, width, -1).permute(0, 3, 1, 2))
        return x + self.gamma * out


def _attend_twice(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """scaled_dot_product_attention of [N, heads, s^2, d], out of operations that have all derivatives."""
    logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    mixed: Tensor = logits.softmax(dim=-1) @ value
    return mixed
