"""What the networks are made of: convolutions, residual blocks, upscales, norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_GROUP = 16
"""Channels that a group norm shares its moments among (fewer where the map has fewer)."""


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int = 1, slope: float = 0.1) -> nn.Conv2d:
    """A convolution for a leaky ReLU of that slope (He et al. 2015), bias 0. [N, in, s, s] -> [N, out, s / stride,
    s / stride] where s is a multiple of the stride, for odd kernels and, with a stride of 2, for even ones."""
    layer = nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel - 1) // 2)
    nn.init.kaiming_normal_(layer.weight, a=slope)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def repeat_subpixels(layer: nn.Conv2d, factor: int) -> None:
    """Gives the factor^2 sub-pixels of each output channel the same first weights, so that the upscale starts as a
    nearest neighbour and shows no checkerboard (ICNR: Aitken et al. 2017, arXiv 1707.02937)."""
    with torch.no_grad():
        layer.weight.copy_(layer.weight[:: factor**2].repeat_interleave(factor**2, dim=0))


class Upscale(nn.Sequential):
    """[N, in, s, s] -> [N, out, 2s, 2s]: a convolution to four times the channels, unfolded into pixels."""

    def __init__(self, channels_in: int, channels_out: int, slope: float, norm: str = "none") -> None:
        layer = convolution(channels_in, 4 * channels_out, 3, slope=slope)
        repeat_subpixels(layer, 2)
        super().__init__(layer, nn.LeakyReLU(slope), nn.PixelShuffle(2), *normalise(norm, channels_out))


class Residual(nn.Module):
    """x + f(x), f starting as zero: a deep network then trains as fast as a shallow one, without a norm. `zero`: False
    where the weights are normalised, since zeros have no norm."""

    def __init__(self, channels: int, slope: float, norm: str = "none", *, zero: bool = True) -> None:
        super().__init__()
        self.first = convolution(channels, channels, 3, slope=slope)
        self.second = convolution(channels, channels, 3, slope=slope)
        self.activation = nn.Sequential(nn.LeakyReLU(slope), *normalise(norm, channels))
        if zero:
            nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.second(self.activation(self.first(x)))
        return x + inner


class ChannelNorm(nn.Module):
    """x / rms(x) over the channels of each pixel, times a learned gain a channel (Zhang & Sennrich 2019, arXiv
    1910.07467). In channels_last the channels of a pixel lie side by side, so that it is one fused kernel and no copy;
    it needs no statistics over the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.permute(0, 2, 3, 1)
        gain = self.gain.to(x.dtype)  # of one type with the map, or the kernel is not the fused one
        return functional.rms_norm(pixels, gain.shape, gain, eps=1e-5).permute(0, 3, 1, 2)


def normalise(norm: str, channels: int) -> list[nn.Module]:
    """The layers that normalise a map: none | instance | group | rms (`spec.NORMS`), all of them learn a gain."""
    if norm == "none":
        return []
    if norm == "instance":
        return [nn.InstanceNorm2d(channels, affine=True)]
    if norm == "group":
        groups = max(channels // _GROUP, 1)
        return [nn.GroupNorm(groups if channels % groups == 0 else 1, channels)]
    return [ChannelNorm(channels)]
