"""Colour match in plain PyTorch, one function a method. The statistics are those of the pixels inside the mask.

reinhard    Reinhard, Ashikhmin, Gooch, Shirley: "Color transfer between images" (2001). In a space whose axes are
            nearly independent each axis of one picture gets the mean and deviation of the other's: CIELAB here.
covariance  Pitie, Kokaram: "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer"
            (2007). The linear map that gives one picture the mean and covariance of the other and moves its colours
            least. As it knows how the channels hang together it needs no space whose axes are independent, and the
            answer is the same in every rotation of the axes: it works on sRGB as encoded, whose steps are about as
            visible in the dark as in the light, and takes no cube root a pixel.
histogram   Each channel, as encoded, gets the distribution of the other's: x -> G^-1(F(x)) with the cumulated weights F
            of the face and G of the target (Gonzalez, Woods: "Digital image processing", 3.3.2). F and G are known at
            the centres of the occupied bins, where half of the bin's own weight is below, and are straight between:
            levels between the bins stay apart, and a flat face goes to the target's median. Beyond the face's darkest
            and brightest bin the map is a shift.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.kernels.lab.reference import lab_from_rgb, rgb_from_lab

MAX_GAIN = 2.0  # a flat face may not have its noise stretched to another's contrast, nor a face be made flat
LEAST = 0.01  # CIELAB: added to both deviations, so that two flat faces have a gain of 1
LEAST_DEVIATION = 1 / 255  # RGB: its square is added to both covariances, for two flat faces have a gain of 1 then
LEAST_WEIGHT = 1.0  # px: a mask that holds less is empty
BINS = 256  # of a channel, and steps of a weight, so that a histogram is of whole numbers: exact in any order


def reinhard(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s] -> [N, 3, s, s]
    lab, wanted, weights = lab_from_rgb(_wide(face)), lab_from_rgb(_wide(target)), _wide(mask)
    mean, spread = _moments(lab, weights)
    wanted_mean, wanted_spread = _moments(wanted, weights)
    deviation, wanted_deviation = (x.diagonal(dim1=1, dim2=2).sqrt() for x in (spread, wanted_spread))
    gain = ((wanted_deviation + LEAST) / (deviation + LEAST)).clamp(1 / MAX_GAIN, MAX_GAIN)
    matched = rgb_from_lab((lab - mean) * gain[..., None, None] + wanted_mean)
    return _unless_empty(matched, face, weights.sum((1, 2, 3)))


def covariance(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # the same
    source, weights = _wide(face), _wide(mask)
    mean, spread = _moments(source, weights)
    wanted_mean, wanted_spread = _moments(_wide(target), weights)
    matched = torch.einsum("nij,njhw->nihw", monge_kantorovich(spread, wanted_spread), source - mean) + wanted_mean
    return _unless_empty(matched.clamp(0, 1), face, weights.sum((1, 2, 3)))


def histogram(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # the same
    steps = _level(_wide(mask)).flatten(2)
    shift = _shifts(_histogram(face, steps), _histogram(target, steps)).to(_wide(face))  # [N, 3, BINS]
    place = _wide(face).flatten(2) * BINS - 0.5
    low = place.floor().clamp(0, BINS - 2)
    at_low, at_high = (shift.gather(2, low.long() + i) for i in (0, 1))
    moved = at_low + (place - low).clamp(0, 1) * (at_high - at_low)
    matched = (_wide(face) + moved.view_as(face)).clamp(0, 1)
    return _unless_empty(matched, face, steps.sum((1, 2)) / (BINS - 1))


def monge_kantorovich(spread: Tensor, wanted: Tensor) -> Tensor:
    """The symmetric map T with T spread T = wanted, float [N, 3, 3] each, its eigenvalues within 1/MAX_GAIN..MAX_GAIN.

    T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2, equation 4 of Pitie and Kokaram; in float64, for it takes roots of squares.
    """
    least = LEAST_DEVIATION**2 * torch.eye(3, dtype=torch.float64, device=spread.device)
    root, inverse = (_function(spread.double() + least, power) for power in (torch.sqrt, torch.rsqrt))
    gain = inverse @ _function(root @ (wanted.double() + least) @ root, torch.sqrt) @ inverse
    return _function(gain, lambda values: values.clamp(1 / MAX_GAIN, MAX_GAIN)).to(spread)


def _function(matrix: Tensor, function) -> Tensor:
    """A function of symmetric matrices: of their eigenvalues."""
    values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
    return vectors @ torch.diag_embed(function(values)) @ vectors.mT


def _moments(picture: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [N, 3, 1, 1] and covariance [N, 3, 3] of the channels, weighted."""
    share = weights / weights.sum((2, 3), keepdim=True).clamp_min(LEAST_WEIGHT)
    mean = (picture * share).sum((2, 3), keepdim=True)
    centred = picture - mean
    return mean, torch.einsum("nihw,njhw->nij", centred * share, centred)


def _histogram(picture: Tensor, steps: Tensor) -> Tensor:
    """The steps of weight in each bin: int64 [N, 3, BINS]. steps: int64 [N, 1, P]."""
    bins = _level(_wide(picture)).flatten(2)
    return bins.new_zeros((*bins.shape[:2], BINS)).scatter_add(2, bins, steps.expand_as(bins))


def _shifts(have: Tensor, want: Tensor) -> Tensor:
    """What the match adds to a channel at the centre of each bin, float64 [N, 3, BINS], from two histograms."""
    below, wanted_below = (2 * x.cumsum(-1) - x for x in (have, want))  # twice the weight below the centre
    (before, after), (wanted_before, wanted_after) = _occupied(have), _occupied(want)
    above = torch.searchsorted(wanted_below, below, right=True)  # the first of the target's bins with more below it
    left = wanted_before.gather(-1, (above - 1).clamp_min(0))
    right = wanted_after.gather(-1, above.clamp_max(BINS - 1))
    at_left, at_right = wanted_below.gather(-1, left), wanted_below.gather(-1, right)
    part = (below - at_left).double() / (at_right - at_left).clamp_min(1)
    bins = torch.arange(BINS, device=have.device)
    shift = (left + part.clamp(0, 1) * (right - left) - bins) / BINS
    part = (bins - before).double() / (after - before).clamp_min(1)
    return torch.lerp(shift.gather(-1, before), shift.gather(-1, after), part.clamp(0, 1))


def _occupied(histogram: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest bins that hold something, at or below each bin and at or above it; at the ends both are the same."""
    bins = torch.arange(BINS, device=histogram.device)
    before = torch.where(histogram > 0, bins, -1).cummax(-1).values
    after = torch.where(histogram > 0, bins, BINS).flip(-1).cummin(-1).values.flip(-1)
    ends = torch.where(before < 0, after, before), torch.where(after == BINS, before, after)
    return ends[0].clamp(0, BINS - 1), ends[1].clamp(0, BINS - 1)


def _level(values: Tensor) -> Tensor:
    """The bin of a value in 0..1, int64. A product by a power of two is exact: every dtype finds the same bin."""
    return (values * BINS).floor().clamp(0, BINS - 1).long()


def _unless_empty(matched: Tensor, face: Tensor, weight: Tensor) -> Tensor:
    return torch.where(weight[:, None, None, None] >= LEAST_WEIGHT, matched.to(face), face)


def _wide(values: Tensor) -> Tensor:
    """float32 at least: half precision cannot hold the weight of a mask."""
    return values if values.dtype == torch.float64 else values.float()
