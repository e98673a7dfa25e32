"""Colour match in plain PyTorch. Reinhard et al., "Color transfer between images" (2001): in a space whose axes are
nearly independent, each axis of one picture gets the mean and deviation of the other's. The space is CIELAB here."""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.kernels.lab.reference import lab_from_rgb, rgb_from_lab

MAX_GAIN = 2.0  # a flat face may not have its noise stretched to another's contrast, nor a face be made flat
LEAST = 0.01  # CIELAB: added to both deviations, so that two flat faces have a gain of 1
LEAST_WEIGHT = 1.0  # px: a mask that holds less is empty


def reinhard(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s] -> [N, 3, s, s]
    lab = lab_from_rgb(face)
    weight = mask.sum((-2, -1), keepdim=True)
    mean, deviation = _statistics(lab, mask, weight)
    wanted_mean, wanted_deviation = _statistics(lab_from_rgb(target), mask, weight)
    gain = ((wanted_deviation + LEAST) / (deviation + LEAST)).clamp(1 / MAX_GAIN, MAX_GAIN)
    return torch.where(weight >= LEAST_WEIGHT, rgb_from_lab((lab - mean) * gain + wanted_mean), face)


def _statistics(lab: Tensor, mask: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, [N, 3, 1, 1], weighted by the mask."""
    share = mask / weight.clamp_min(LEAST_WEIGHT)
    mean = (lab * share).sum((-2, -1), keepdim=True)
    return mean, ((lab - mean) ** 2 * share).sum((-2, -1), keepdim=True).sqrt()
