"""What a discriminator learns, and what the generator learns from it. Its logits come as a list of maps [n, 1, h, w]:
one of patches, or more where it judges at several depths; a loss is the mean over the maps of each map's mean. The
examples are those of one side or of all: only means over them are taken, so that the mean of the losses of equal parts
of a batch is the loss of the batch.

Of the same numbers the discriminator's loss wants the opposite of the generator's. While one learns, the other's
pictures are detached or its weights frozen: that is the step's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Logits = Sequence[Tensor]


def judged(
    colour: Tensor,  # [n, 3, H, W]
    mask: Tensor,  # [n, 1, H, W], the network's own
    target: Tensor,  # [n, 3, H, W]
) -> Tensor:
    """What the discriminator is shown of the generator's work: first all raw colours, then all compositions over the
    target by the network's own mask, [2 n, 3, H, W], so that one pass judges both.

    From the compositions the mask learns too: its gradient is the discriminator's, times colour - target. It closes
    where the target convinces more, which `mask` and `mask_hinge` have to hold against."""
    return torch.cat((colour, target.lerp(colour, mask)))


def hinge_discriminator(real: Logits, fake: Logits) -> Tensor:
    """mean max(0, 1 - real) + mean max(0, 1 + fake) (Lim and Ye 2017, arXiv 1705.02894)."""
    return _mean([(1 - _wide(x)).relu() for x in real]) + _mean([(1 + _wide(x)).relu() for x in fake])


def hinge_generator(fake: Logits) -> Tensor:
    """-mean fake."""
    return -_mean(fake)


def mixed(
    real: Tensor,  # [n, C, H, W]
    fake: Tensor,  # [k n, C, H, W], k times the same examples, one time after the other
    share: Tensor,  # [n], 0..1
) -> Tensor:
    """Pictures of which `share` is real and the rest fake, [k n, C, H, W] (mixup: Zhang et al. 2017, arXiv
    1710.09412)."""
    times = fake.shape[0] // real.shape[0]
    return fake.lerp(real.repeat(times, 1, 1, 1), _each(share, fake))


def lsgan_discriminator(
    logits: Logits,  # of `mixed`
    share: Tensor,  # [n]
) -> Tensor:
    """mean (logit - share)^2: the discriminator says how much of a mixed picture is real (LSGAN: Mao et al. 2016,
    arXiv 1611.04076, its labels mixed with the pictures as faceswap-GAN 2.2 does)."""
    return _mean([(_wide(x) - _each(share, x)).square() for x in logits])


def lsgan_generator(
    logits: Logits,  # of `mixed`
    share: Tensor,  # [n]
) -> Tensor:
    """mean (logit - (1 - share))^2: the generator wants its own share to be taken for real."""
    return lsgan_discriminator(logits, 1 - share)


def relativistic_discriminator(real: Logits, fake: Logits) -> Tensor:
    """mean softplus(fake - real), each fake logit against the real one of the same example and place (R3GAN: Huang et
    al. 2024, arXiv 2501.05441). `fake` may hold the examples several times, one time after the other (see `judged`)."""
    return _paired(real, fake, lambda r, f: functional.softplus(f - r))


def relativistic_generator(real: Logits, fake: Logits) -> Tensor:
    """mean softplus(real - fake), the pairs as in `relativistic_discriminator`."""
    return _paired(real, fake, lambda r, f: functional.softplus(r - f))


def gradient_penalty(
    logits: Logits,  # of `pictures`, with their graph
    pictures: Tensor,  # [n, C, H, W], float32, requires_grad
    scale: Tensor | None = None,  # []
) -> Tensor:
    """Half the squared norm of each example's gradient, the mean over the examples: R1 where `pictures` are real, R2
    where they are fake (Mescheder et al. 2018, arXiv 1801.04406; Huang et al. 2024). The gradient is that of the
    example's logit, which is the mean over the maps of each map's mean, and it can be differentiated again. For the
    same restraint on each logit, a map of h w patches that see different pixels needs h w times the weight that a
    single logit needs, and pictures in 0..1 a quarter of what pictures in -1..1 do.

    The discriminator's forward may run under autocast, this runs outside of it, in float32 (norms of 3 H W numbers).
    In float16 the gradient would underflow on its way back: give the loss scaler's `scale`, a scalar on the device, and
    it travels multiplied by it. The result is free of the scale either way: the step adds it to the other losses and
    scales their sum, once, as if there were no penalty."""
    with torch.autocast(pictures.device.type, enabled=False):
        verdict = torch.stack([_wide(x).flatten(1).mean(dim=1).sum() for x in logits]).mean()
        if scale is not None:
            verdict = verdict * scale
        (gradient,) = torch.autograd.grad(verdict, pictures, create_graph=True)
        gradient = _wide(gradient)
        if scale is not None:
            gradient = gradient / scale
        return gradient.square().flatten(1).sum(dim=1).mean() / 2


def _mean(maps: Sequence[Tensor]) -> Tensor:
    """The mean over the maps of each map's mean."""
    return torch.stack([_wide(x).mean() for x in maps]).mean()


def _paired(real: Logits, fake: Logits, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    pairs = [(_wide(r).repeat(f.shape[0] // r.shape[0], 1, 1, 1), _wide(f)) for r, f in zip(real, fake, strict=True)]
    return _mean([loss(r, f) for r, f in pairs])


def _wide(x: Tensor) -> Tensor:
    """At least float32: logits and gradients come in what the discriminator computes in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _each(
    share: Tensor,  # [n]
    like: Tensor,  # [k n, ...]
) -> Tensor:
    """`share` for each of the examples of `like`: [k n, 1, 1, 1]."""
    return share.repeat(like.shape[0] // share.shape[0]).view(-1, 1, 1, 1)
