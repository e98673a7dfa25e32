"""What the networks are judged by. Losses are scalars on the device; the step weighs and sums them."""

from fastswap.training.losses.adversarial import (
    Logits,
    gradient_penalty,
    hinge_discriminator,
    hinge_generator,
    judged,
    lsgan_discriminator,
    lsgan_generator,
    mixed,
    relativistic_discriminator,
    relativistic_generator,
)
from fastswap.training.losses.agreement import agreement
from fastswap.training.losses.mask import mask_hinge, mask_l1, mask_variation
from fastswap.training.losses.objective import reconstruction_terms
from fastswap.training.losses.perceptual import Perceptual, open_perceptual
from fastswap.training.losses.reconstruction import auxiliary, edges, inside, l1, mse, weighted_mean
from fastswap.training.losses.similarity import dssim, ms_ssim
from fastswap.training.losses.totals import Totals, totals

__all__ = [
    "Logits",
    "Perceptual",
    "Totals",
    "agreement",
    "auxiliary",
    "dssim",
    "edges",
    "gradient_penalty",
    "hinge_discriminator",
    "hinge_generator",
    "inside",
    "judged",
    "l1",
    "lsgan_discriminator",
    "lsgan_generator",
    "mask_hinge",
    "mask_l1",
    "mask_variation",
    "mixed",
    "ms_ssim",
    "mse",
    "open_perceptual",
    "reconstruction_terms",
    "relativistic_discriminator",
    "relativistic_generator",
    "totals",
    "weighted_mean",
]
