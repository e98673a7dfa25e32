"""The discriminator: which patches of a picture are real. One a side judges that side's faces. All of it can be
differentiated twice: its gradients at the pictures are penalised (R1 and R2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from fastswap.models.attention import SelfAttention
from fastswap.models.blocks import Residual, Upscale, convolution, normalise, repeat_subpixels
from fastswap.models.spec import DiscriminatorSpec

COLOURS = 3


class Discriminator(nn.Module):
    """Halves the picture stage after stage to a coarse map of logits; as a U-Net (Schönfeld et al. 2020, arXiv
    2002.12655) it goes back up, adding the maps it passed, to a logit for each pixel."""

    def __init__(self, spec: DiscriminatorSpec) -> None:
        super().__init__()
        self.spec = spec
        channels = COLOURS * (2 if spec.conditional else 1) * spec.stem**2
        self.stem: nn.Module = nn.Identity()
        if spec.stem > 1:
            entry = convolution(channels, spec.channels[0], 3, slope=spec.slope)
            self.stem = nn.Sequential(nn.PixelUnshuffle(spec.stem), entry, nn.LeakyReLU(spec.slope))
            channels = spec.channels[0]
        widths = (channels, *spec.channels)
        self.down = nn.ModuleList(_halving(spec, stage, before) for stage, before in enumerate(widths[:-1]))
        self.judge = convolution(widths[-1], 1, 3, slope=1.0)
        if spec.unet:
            # below a stem of 1 there is the picture itself, whose few channels would be too narrow to judge with
            last = channels if spec.stem > 1 else spec.channels[0]
            ups = (last, *spec.channels[:-1])
            self.up = nn.ModuleList(
                Upscale(after, before, spec.slope) for before, after in zip(ups, spec.channels, strict=True)
            )
            self.judge_pixels = convolution(last, spec.stem**2, 3, slope=1.0)
            repeat_subpixels(self.judge_pixels, spec.stem)
        if spec.spectral:
            for module in [module for module in self.modules() if isinstance(module, nn.Conv2d)]:
                spectral_norm(module)

    def forward(
        self,
        picture: Tensor,  # [n, 3, size, size] RGB 0..1
        condition: Tensor | None = None,  # [n, 3, size, size] RGB 0..1: what the picture was made from
    ) -> list[Tensor]:
        """Logits, float32: [n, 1, h, w] of the patches; as a U-Net then also [n, 1, size, size] of the pixels. Raises
        ValueError where there is a condition and none is wanted, or the other way round."""
        if (condition is not None) != self.spec.conditional:
            raise ValueError(
                f"a discriminator with conditional={self.spec.conditional} got condition={condition!r:.20}"
            )
        x = 2 * picture - 1 if condition is None else 2 * torch.cat((picture, condition), dim=1) - 1
        x = self.stem(x)
        passed = []
        for stage in self.down:
            passed.append(x)
            x = stage(x)
        logits = [self.judge(x).float()]
        if self.spec.unet:
            logits.append(self._pixels(x, passed))
        return logits

    def _pixels(self, x: Tensor, passed: list[Tensor]) -> Tensor:
        """Back up to the logits of the pixels."""
        for index in reversed(range(len(passed))):
            x = self.up[index](x)
            if index > 0 or self.spec.stem > 1:
                x = x + passed[index]
        return nn.functional.pixel_shuffle(self.judge_pixels(x), self.spec.stem).float()


def _halving(spec: DiscriminatorSpec, stage: int, channels: int) -> nn.Sequential:
    """One stage: [n, channels, 2s, 2s] -> [n, spec.channels[stage], s, s]."""
    width = spec.channels[stage]
    layers: list[nn.Module] = [convolution(channels, width, spec.kernel, 2, spec.slope), nn.LeakyReLU(spec.slope)]
    if stage > 0:  # the first sees the colours themselves, which a norm would take away
        layers += normalise(spec.norm, width)
    layers += [Residual(width, spec.slope, spec.norm, zero=not spec.spectral) for _ in range(spec.residual)]
    if spec.size // spec.stem >> (stage + 1) in spec.attention:
        layers.append(SelfAttention(width, twice=True))
    return nn.Sequential(*layers)
