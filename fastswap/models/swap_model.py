"""The generator: one encoder that all sides share, one decoder a side. What both sides have in common (pose,
expression, light) has to pass the shared bottleneck; what makes a side that person stays in its decoder. No layer
skips the bottleneck: a skip would carry A's identity to B's decoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fastswap.models.spec import GeneratorSpec

COLOURS = 3
_DEVIATION = 0.25
"""Of the standardised face: about that of a picture in 0..1."""
_LEAST_DEVIATION = 0.02
"""Keeps a face without any contrast from becoming noise."""


def _convolution(channels_in: int, channels_out: int, kernel: int, stride: int = 1, slope: float = 0.1) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)
    nn.init.kaiming_normal_(layer.weight, a=slope)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _repeat_subpixels(layer: nn.Conv2d, factor: int) -> None:
    """Gives the factor^2 sub-pixels of each output channel the same first weights, so that the upscale starts as a
    nearest neighbour and shows no checkerboard (ICNR: Aitken et al. 2017, arXiv 1707.02937)."""
    with torch.no_grad():
        layer.weight.copy_(layer.weight[:: factor**2].repeat_interleave(factor**2, dim=0))


class Upscale(nn.Sequential):
    """[N, in, s, s] -> [N, out, 2s, 2s]: a convolution to four times the channels, unfolded into pixels."""

    def __init__(self, channels_in: int, channels_out: int, slope: float) -> None:
        layer = _convolution(channels_in, 4 * channels_out, 3, slope=slope)
        _repeat_subpixels(layer, 2)
        super().__init__(layer, nn.LeakyReLU(slope), nn.PixelShuffle(2))


class Residual(nn.Module):
    """x + f(x), f starting as zero: a deep decoder then trains as fast as a shallow one, without a norm."""

    def __init__(self, channels: int, slope: float) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 3, slope=slope)
        self.second = _convolution(channels, channels, 3, slope=slope)
        self.activation = nn.LeakyReLU(slope)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.second(self.activation(self.first(x)))
        return x + inner


class Standardise(nn.Module):
    """Gives every face the same mean and deviation, each channel for itself, as measured on the central half (which is
    all face). Light and the colour of the skin, in which A and B differ most, are then not in the code, and the sides
    share more of it. To put the light back is `convert`'s (`match_colour`)."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2] // 4, x.shape[-1] // 4
        x = x.float()
        deviation, mean = torch.std_mean(x[..., height:-height, width:-width], dim=(-2, -1), keepdim=True)
        return (_DEVIATION * (x - mean) / (deviation + _LEAST_DEVIATION)).clamp(-1.5, 1.5)


class Encoder(nn.Module):
    """[N, 3, size_in, size_in] -> the shared code, [N, channels, s, s]."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        channels, slope = COLOURS * spec.stem**2, spec.slope
        stages: list[nn.Module] = [Standardise()] if spec.standardise else []
        if spec.stem > 1:
            width = spec.encoder[0]
            stages += [
                nn.PixelUnshuffle(spec.stem),
                _convolution(channels, width, 3, slope=slope),
                nn.LeakyReLU(slope),
            ]
            channels = width
        for width in spec.encoder:
            stages += [_convolution(channels, width, spec.kernel, 2, slope), nn.LeakyReLU(slope)]
            channels = width
        self.stages = nn.Sequential(*stages)
        self.squeeze = nn.Linear(channels * spec.bottleneck**2, spec.dense)
        self.unfold = nn.Linear(spec.dense, spec.seed_channels * spec.seed_size**2)
        self.seed = (spec.seed_channels, spec.seed_size, spec.seed_size)
        self.up = Upscale(spec.seed_channels, spec.shared_up, slope) if spec.shared_up else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.spread(self.code(x))

    def code(self, x: Tensor) -> Tensor:
        """The bottleneck: [N, dense]."""
        code: Tensor = self.squeeze(self.stages(x).flatten(1))
        return code

    def spread(self, code: Tensor) -> Tensor:
        """The bottleneck as the map that decoders read."""
        grid = self.unfold(code).unflatten(1, self.seed)
        up: Tensor = self.up(grid.contiguous(memory_format=torch.channels_last))
        return up


class Decoder(nn.Module):
    """The shared code -> colour [N, 3, size_out, size_out] and mask [N, 1, size_out, size_out], 0..1, of one side."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        channels = spec.shared_up or spec.seed_channels
        stages: list[nn.Module] = []
        for width, blocks in zip(spec.decoder, spec.residual, strict=True):
            stages.append(Upscale(channels, width, spec.slope))
            stages += [Residual(width, spec.slope) for _ in range(blocks)]
            channels = width
        self.stages = nn.Sequential(*stages)
        factor = 2 if spec.head else 1
        self.head = _convolution(channels, (COLOURS + 1) * factor**2, 3 if spec.head else spec.kernel, slope=1.0)
        _repeat_subpixels(self.head, factor)
        self.shuffle = nn.PixelShuffle(factor)

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        picture = torch.sigmoid(self.shuffle(self.head(self.stages(code))).float())
        return picture[:, :COLOURS], picture[:, COLOURS:]


class Reconstruction(NamedTuple):
    """What a batch of all sides, side after side, becomes: colour [n, 3, size_out, size_out] and mask
    [n, 1, size_out, size_out], float32 in 0..1; the codes [n, dense]; and the pictures [n, 3, h, w], float32 in 0..1,
    of decoder stages below the last, smallest first (none where the spec has no `auxiliary`)."""

    colour: Tensor
    mask: Tensor
    code: Tensor
    auxiliary: tuple[Tensor, ...]


class SwapModel(nn.Module):
    """The generator with `sides` decoders."""

    def __init__(self, spec: GeneratorSpec, sides: int = 2) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Encoder(spec)
        self.decoders = nn.ModuleList(Decoder(spec) for _ in range(sides))

    def forward(self, x: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """x [N, 3, size_in, size_in] RGB 0..1 -> colour [N, 3, size_out, size_out] and mask [N, 1, size_out, size_out],
        float32 in 0..1: the faces of x as that side."""
        colour, mask = self.decoders[side](self.encoder(x))
        return colour, mask

    def reconstruct(self, x: Tensor) -> Reconstruction:
        """x [sides * N, 3, size_in, size_in], N faces of each side in order -> each face as its own side. One pass of
        the encoder for all sides."""
        code = self.encoder.code(x)
        parts = self.encoder.spread(code).chunk(len(self.decoders))
        outputs = [decoder(part) for decoder, part in zip(self.decoders, parts, strict=True)]
        return Reconstruction(torch.cat([c for c, _ in outputs]), torch.cat([m for _, m in outputs]), code, ())
