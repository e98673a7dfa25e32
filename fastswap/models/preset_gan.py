"""`gan`: fastswap's own. It begins as `lite` does and ends against an adversary.

From `lite`: pixels folded into channels before the first layer, faces without their light, residual blocks that start
as zero, codes of the two sides that agree, the average of the weights. On top of it residual blocks in the encoder,
attention where maps are small (a blink is known on both sides of the face; not at 64 px, where it takes a seventh of a
CPU's time), and, in the last part of the run, a relativistic discriminator with R1 and R2 (R3GAN: Huang et al. 2024,
arXiv 2501.05441): the reconstruction decides what is drawn, the adversary how sharp. Before that it would only cost
time; a discriminator that sees pixels folded as well is small enough for a CPU. From 128 px on it judges pixels too (a
U-Net), and channels are multiples of 64, which tensor cores want."""

from __future__ import annotations

from dataclasses import replace

from fastswap.models.spec import DiscriminatorSpec, GeneratorSpec, Objective, Optimisation, Preset, Schedule


def _adversary_from(begin: float, whole: float) -> tuple[Schedule, ...]:
    """No adversary before the share `begin` of the run, its full weight from the share `whole` on."""
    return (Schedule("adversarial", (begin, whole), (0.0, 1.0), linear=True),)


_OBJECTIVE = Objective(
    dssim=6.0, l1=3.0, edges=4.0, mask=0.5, agreement=0.5, eyes=8.0, mouth=4.0,
    adversary="relativistic", adversarial=0.3, r1=0.5, r2=0.5, schedules=_adversary_from(0.7, 0.72),
)  # fmt: skip
"""After trials of a minute on a CPU (docs/journal.md): structure, edges and weightier eyes make B follow A better and
look sharper; an adversary that comes earlier takes iterations and gives nothing back in so short a time."""

_OPTIMISATION = Optimisation(
    learning_rate=1e-3, betas=(0.9, 0.99), discriminator_rate=1.0, discriminator_betas=(0.0, 0.99), warm_up=50,
    hold=0.5, ema=0.99, settle=0.1,
)  # fmt: skip

GAN_64 = Preset(
    name="gan",
    generator=GeneratorSpec(
        size_in=64, size_out=64, stem=4, stem_channels=128, kernel=3, encoder=(160, 256), encoder_residual=(1, 0),
        dense=256, seed_size=4, seed_channels=128, shared_up=192, decoder=(96, 64), residual=(1, 1), head=True,
        standardise=True,
    ),
    discriminator=DiscriminatorSpec(size=64, stem=2, channels=(32, 64, 128), kernel=3),
    objective=_OBJECTIVE,
    optimisation=_OPTIMISATION,
    batch=8, iterations=20_000, coverage=0.75, colour=False,
)  # fmt: skip

GAN_128 = replace(
    GAN_64,
    generator=GeneratorSpec(
        size_in=128, size_out=128, stem=4, stem_channels=128, kernel=3, encoder=(256, 384), encoder_residual=(1, 1),
        encoder_attention=(16,), dense=512, seed_size=4, seed_channels=512, shared_up=512, decoder=(384, 256, 128),
        residual=(1, 1, 1), head=True, attention=(16, 32), standardise=True,
    ),
    discriminator=DiscriminatorSpec(size=128, stem=2, channels=(128, 256, 256), kernel=3, attention=(16,), unet=True),
    objective=replace(  # for runs of hours: an adversary that has time to help, its penalties a mean over more logits
        _OBJECTIVE, adversarial=0.1, r1=2.0, r2=2.0, schedules=_adversary_from(0.6, 0.8)
    ),
    optimisation=replace(_OPTIMISATION, learning_rate=5e-4, discriminator_rate=0.5, warm_up=200, ema=0.999),
    batch=32, iterations=60_000,
)  # fmt: skip

GAN_256 = replace(
    GAN_128,
    generator=GeneratorSpec(
        size_in=256, size_out=256, stem=4, stem_channels=128, kernel=3, encoder=(256, 384, 512),
        encoder_residual=(1, 1, 1), encoder_attention=(16,), dense=512, seed_size=4, seed_channels=512, shared_up=512,
        decoder=(512, 384, 256, 128), residual=(1, 1, 1, 1), head=True, attention=(16, 32), standardise=True,
    ),
    discriminator=DiscriminatorSpec(
        size=256, stem=4, channels=(128, 256, 384), kernel=3, residual=1, attention=(16,), unet=True
    ),
    batch=32, iterations=100_000,
)  # fmt: skip

GAN_512 = replace(
    GAN_256,
    generator=GeneratorSpec(
        size_in=512, size_out=512, stem=4, stem_channels=64, kernel=3, encoder=(128, 256, 384, 512),
        encoder_residual=(1, 1, 1, 1), encoder_attention=(16,), dense=512, seed_size=4, seed_channels=512,
        shared_up=512, decoder=(512, 384, 256, 128, 64), residual=(1, 1, 1, 1, 1), head=True, attention=(16, 32),
        standardise=True,
    ),
    discriminator=DiscriminatorSpec(
        size=512, stem=4, channels=(64, 128, 256, 384), kernel=3, residual=1, attention=(16,), unet=True
    ),
    batch=16, iterations=150_000,
)  # fmt: skip
