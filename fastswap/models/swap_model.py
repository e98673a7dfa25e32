"""The generator: one encoder that all sides share, one decoder a side. What both sides have in common (pose,
expression, light) has to pass the shared bottleneck; what makes a side that person stays in its decoder. No layer
skips the bottleneck: a skip would carry A's identity to B's decoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fastswap.models.attention import SelfAttention
from fastswap.models.blocks import Residual, Upscale, convolution, normalise, repeat_subpixels
from fastswap.models.spec import GeneratorSpec

COLOURS = 3
_FULL_SIZE_KERNEL = 5
"""Of convolutions that see or make every pixel."""
_DEVIATION = 0.25
"""Of the standardised face: about that of a picture in 0..1."""
_LEAST_DEVIATION = 0.02
"""Keeps a face without any contrast from becoming noise."""


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
        stages, channels = _entry(spec)
        first = len(spec.encoder_maps) - len(spec.encoder)
        blocks = spec.encoder_residual or (0,) * len(spec.encoder)
        for width, count, side in zip(spec.encoder, blocks, spec.encoder_maps[first:], strict=True):
            stages += [convolution(channels, width, spec.kernel, 2, spec.slope), nn.LeakyReLU(spec.slope)]
            stages += normalise(spec.norm, width)
            stages += [Residual(width, spec.slope, spec.norm) for _ in range(count)]
            stages += [SelfAttention(width)] if side in spec.encoder_attention else []
            channels = width
        self.stages = nn.Sequential(*stages)
        self.squeeze = nn.Linear(channels * spec.bottleneck**2, spec.dense)
        self.unfold = nn.Linear(spec.dense, spec.seed_channels * spec.seed_size**2)
        self.seed = (spec.seed_channels, spec.seed_size, spec.seed_size)
        self.up: nn.Module = nn.Identity()
        if spec.shared_up:
            self.up = Upscale(spec.seed_channels, spec.shared_up, spec.slope, spec.norm)

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


def _entry(spec: GeneratorSpec) -> tuple[list[nn.Module], int]:
    """What comes before the first halving, and its channels. It has no norm: it sees the colours themselves."""
    stages: list[nn.Module] = [Standardise()] if spec.standardise else []
    channels = COLOURS * spec.stem**2
    if spec.stem > 1:
        stages.append(nn.PixelUnshuffle(spec.stem))
    if spec.stem > 1 or spec.stem_channels:
        width = spec.stem_channels or spec.encoder[0]
        kernel = 3 if spec.stem > 1 else _FULL_SIZE_KERNEL
        stages += [convolution(channels, width, kernel, slope=spec.slope), nn.LeakyReLU(spec.slope)]
        stages += [SelfAttention(width)] if spec.encoder_maps[0] in spec.encoder_attention else []
        channels = width
    return stages, channels


class Decoder(nn.Module):
    """The shared code -> the picture of one side."""

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        channels = spec.shared_up or spec.seed_channels
        stages: list[nn.Module] = []
        auxiliary: dict[str, nn.Module] = {}
        for width, blocks, side in zip(spec.decoder, spec.residual, spec.decoder_maps, strict=True):
            stages.append(Upscale(channels, width, spec.slope, spec.norm))
            stages += [Residual(width, spec.slope, spec.norm) for _ in range(blocks)]
            stages += [SelfAttention(width)] if side in spec.attention else []
            channels = width
            if side in spec.auxiliary:
                auxiliary[str(len(stages) - 1)] = convolution(width, COLOURS, 3, slope=1.0)
        self.stages = nn.Sequential(*stages)
        factor = 2 if spec.head else 1
        self.head = convolution(channels, (COLOURS + 1) * factor**2, 3 if spec.head else _FULL_SIZE_KERNEL, slope=1.0)
        repeat_subpixels(self.head, factor)
        self.shuffle = nn.PixelShuffle(factor)
        self.auxiliary = nn.ModuleDict(auxiliary)

    def forward(self, code: Tensor, *, auxiliary: bool = False) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Colour [N, 3, size_out, size_out] and mask [N, 1, size_out, size_out], 0..1; and, if they are asked for, the
        pictures of the earlier stages, smallest first."""
        x, pictures = code, []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if auxiliary and str(index) in self.auxiliary:
                pictures.append(torch.sigmoid(self.auxiliary[str(index)](x).float()))
        picture = torch.sigmoid(self.shuffle(self.head(x)).float())
        return picture[:, :COLOURS], picture[:, COLOURS:], tuple(pictures)


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
        colour, mask, _ = self.decoders[side](self.encoder(x))
        return colour, mask

    def reconstruct(self, x: Tensor) -> Reconstruction:
        """x [sides * N, 3, size_in, size_in], N faces of each side in order -> each face as its own side. One pass of
        the encoder for all sides."""
        code = self.encoder.code(x)
        parts = self.encoder.spread(code).chunk(len(self.decoders))
        outputs = [decoder(part, auxiliary=True) for decoder, part in zip(self.decoders, parts, strict=True)]
        colours, masks, pictures = zip(*outputs, strict=True)
        auxiliary = tuple(torch.cat(stage) for stage in zip(*pictures, strict=True))
        return Reconstruction(torch.cat(colours), torch.cat(masks), code, auxiliary)
