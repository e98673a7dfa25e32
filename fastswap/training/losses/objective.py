"""The losses of a reconstruction, as the moment of a run asks for them."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from fastswap.models import Reconstruction
from fastswap.training.examples import Examples
from fastswap.training.losses.mask import mask_hinge, mask_l1, mask_variation
from fastswap.training.losses.perceptual import Perceptual
from fastswap.training.losses.reconstruction import auxiliary, edges, inside, l1, mse
from fastswap.training.losses.similarity import dssim, ms_ssim, windows
from fastswap.training.losses.totals import Totals


def reconstruction_terms(
    wanted: Collection[str],
    reconstruction: Reconstruction,
    examples: Examples,
    totals: Totals,
    margin: Tensor,  # [], of the mask's hinge
    perceptual: Perceptual | None = None,
) -> dict[str, Tensor]:
    """The losses that are `wanted`, before they are weighted: scalars on the device, by their names as fields of
    `Objective`. The mean over ranks and over the parts of an accumulated step is the loss of the whole batch, by
    `totals`. `agreement` and `adversarial` are not among them: one needs the codes of all ranks, the other the
    discriminator; `perceptual` is where there is such a network. Smaller pictures of the decoder count as part of `l1`.

    In float32 and without autocast, but for `perceptual`, which keeps its own precision. Nothing waits for the
    device."""
    with torch.autocast(examples.target.device.type, enabled=False):
        alpha = reconstruction.mask.float()
        terms = _picture_terms(wanted, reconstruction, examples, totals, perceptual)
        if "mask" in wanted:
            terms["mask"] = mask_l1(alpha, examples.mask)
        if "mask_hinge" in wanted:
            terms["mask_hinge"] = mask_hinge(alpha, examples.mask, margin)
        if "mask_variation" in wanted:
            terms["mask_variation"] = mask_variation(alpha)
        return terms


def _picture_terms(
    wanted: Collection[str],
    reconstruction: Reconstruction,
    examples: Examples,
    totals: Totals,
    perceptual: Perceptual | None,
) -> dict[str, Tensor]:
    target, weight, total = examples.target, examples.mask * examples.emphasis, totals.picture
    # Planes in a row: the products of `dssim` want them, and the network's colours come with channels last.
    colour = inside(reconstruction.colour.float().contiguous(), target, examples.mask)
    terms: dict[str, Tensor] = {}
    if "dssim" in wanted:
        sizes = windows(target.shape[-1])
        parts = [dssim(colour, target, weight, totals.window(i), window=size) for i, size in enumerate(sizes)]
        terms["dssim"] = torch.stack(parts).mean()
    if "ms_ssim" in wanted:
        terms["ms_ssim"] = ms_ssim(colour, target, weight)
    if "l1" in wanted:
        terms["l1"] = l1(colour, target, weight, total)
        for small in reconstruction.auxiliary:
            terms["l1"] = terms["l1"] + auxiliary(small.float(), target, weight, total)
    if "mse" in wanted:
        terms["mse"] = mse(colour, target, weight, total)
    if "edges" in wanted:
        terms["edges"] = edges(colour, target, weight, total)
    if "perceptual" in wanted and perceptual is not None:
        terms["perceptual"] = perceptual(colour, target)
    return terms
