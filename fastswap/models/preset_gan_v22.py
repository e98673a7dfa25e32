"""`gan-v2.2`: the network and the training of faceswap-GAN v2.2 (2018), the "Faceswap GAN", as far as fastswap's parts
go: to compare with.

As there: the encoder (a convolution of 5, halvings to 4 x 4 with attention after the second and the third), the
bottleneck of 1,024, the shared upscale to 512 at 8 x 8, decoders of 256, 128 and 64 with attention at 32 and 64 px, one
more stage and one more picture for each further doubling, instance norms; discriminators that see the distorted input
too, with attention; least squares with mixup; the weights, rates and the schedule by share of the run.

Not as there, and why:
- Attention has heads of one width (`attention.py`), activations are leaky throughout, residual blocks start as zero:
  these are our parts, and none of them is what v2.2 is known for.
- The perceptual loss (from a fifth of the run on) needs a network of faces that fastswap does not ship: without.
- From four fifths on v2.2 trains each decoder on the other's side as well (its decoders are exchanged), which needs the
  other's faces to be alike: without; the mask's margin changes there as in v2.2.
- v2.2's mask is learnt by the adversary alone, through the blend of output and input. Ours is what `convert` cuts
  along: it is drawn to the mesh's mask, the hinge and the total variation come on top. So pictures are compared inside
  the mesh's mask, not blended by the learnt one.
- v2.2 matches colours to another picture of the set, here colours are jittered; its eyes' loss is a weight here."""

from __future__ import annotations

from fastswap.models.spec import DiscriminatorSpec, GeneratorSpec, Objective, Optimisation, Preset, Schedule

_OBJECTIVE = Objective(
    l1=1.0, edges=0.1, eyes=31.0, mask=0.1, mask_hinge=0.1, mask_variation=0.1, adversary="lsgan", adversarial=0.1,
    mixup=0.2,
    schedules=(
        Schedule("mask_margin", (0.0, 3 / 10, 2 / 5, 1 / 2, 4 / 5), (0.0, 0.5, 0.2, 0.4, 0.1)),
        Schedule("mask_hinge", (0.0, 3 / 10, 2 / 3, 4 / 5), (0.0, 1.0, 0.0, 1.0)),
        Schedule("learning_rate", (0.0, 2 / 3, 9 / 10), (1.0, 0.3, 0.1)),
    ),
)  # fmt: skip

_OPTIMISATION = Optimisation(
    learning_rate=1e-4, betas=(0.5, 0.999), discriminator_rate=2.0, discriminator_betas=(0.5, 0.999), clip=0.0
)


def _preset(size: int, further: int) -> Preset:
    """That of 64 px with so many further doublings, at both ends."""
    generator = GeneratorSpec(
        size_in=size,
        size_out=size,
        stem=1,
        stem_channels=64,
        kernel=3,
        encoder=(128, 256, 512, 1024) + (1024,) * further,
        encoder_attention=(size // 4, size // 8),
        dense=1024,
        seed_size=4,
        seed_channels=1024,
        shared_up=512,
        decoder=(256, 128, 64) + (64,) * further,
        residual=(0, 0, 1) + (1,) * further,
        head=False,
        slope=0.2,
        attention=(32, 64),
        auxiliary=tuple(64 << doublings for doublings in range(further)),
        norm="instance",
    )
    discriminator = DiscriminatorSpec(
        size=size,
        channels=(64, 128, 256) + (256,) * further,
        attention=tuple(8 << doublings for doublings in reversed(range(further + 1))),
        conditional=True,
        norm="instance",
    )
    return Preset(
        name="gan-v2.2",
        generator=generator,
        discriminator=discriminator,
        objective=_OBJECTIVE,
        optimisation=_OPTIMISATION,
        batch=8,
        iterations=40_000,
        coverage=0.8,
        colour=True,
    )


GAN_V22_64 = _preset(64, 0)
GAN_V22_128 = _preset(128, 1)
GAN_V22_256 = _preset(256, 2)
