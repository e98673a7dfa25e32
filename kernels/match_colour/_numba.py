"""Colour match on the CPU: CIELAB of both faces once, sums over them, and back."""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from fastswap.kernels.lab._numba import lab_from_rgb, rgb_from_lab
from fastswap.kernels.match_colour.reference import LEAST, LEAST_WEIGHT, MAX_GAIN

F = np.float32
BLOCK = 1024  # px summed in float32 before float64 takes over
_jit = njit(nogil=True, fastmath=True, cache=True)


@_jit
def _to_lab(rgb, lab):  # float32 [3, P] each
    for i in range(rgb.shape[1]):
        lab[0, i], lab[1, i], lab[2, i] = lab_from_rgb(rgb[0, i], rgb[1, i], rgb[2, i])


@_jit
def _from_lab(lab, gain, offset, rgb):
    k0, k1, k2 = F(gain[0]), F(gain[1]), F(gain[2])
    o0, o1, o2 = F(offset[0]), F(offset[1]), F(offset[2])
    for i in range(rgb.shape[1]):
        rgb[0, i], rgb[1, i], rgb[2, i] = rgb_from_lab(lab[0, i] * k0 + o0, lab[1, i] * k1 + o1, lab[2, i] * k2 + o2)


@_jit
def _mean(values, mask, weight):
    total = 0.0
    for begin in range(0, values.shape[0], BLOCK):
        part = F(0)
        for i in range(begin, min(begin + BLOCK, values.shape[0])):
            part += values[i] * mask[i]
        total += part
    return total / weight


@_jit
def _deviation(values, mask, weight, mean):
    total, centre = 0.0, F(mean)
    for begin in range(0, values.shape[0], BLOCK):
        part = F(0)
        for i in range(begin, min(begin + BLOCK, values.shape[0])):
            d = values[i] - centre
            part += d * d * mask[i]
        total += part
    return math.sqrt(total / weight)


@_jit
def _reinhard(face, target, mask, out):  # float32 [N, 3, P] x2, [N, P], [N, 3, P]
    size = mask.shape[1]
    lab, wanted = np.empty((3, size), np.float32), np.empty((3, size), np.float32)
    gain, offset = np.empty(3), np.empty(3)
    for n in range(mask.shape[0]):
        weight = mask[n].sum()
        if weight < LEAST_WEIGHT:
            out[n] = face[n]
            continue
        _to_lab(face[n], lab)
        _to_lab(target[n], wanted)
        for c in range(3):
            mean, wanted_mean = _mean(lab[c], mask[n], weight), _mean(wanted[c], mask[n], weight)
            deviation = _deviation(lab[c], mask[n], weight, mean)
            ratio = (_deviation(wanted[c], mask[n], weight, wanted_mean) + LEAST) / (deviation + LEAST)
            gain[c] = min(max(ratio, 1 / MAX_GAIN), MAX_GAIN)
            offset[c] = wanted_mean - mean * gain[c]
        _from_lab(lab, gain, offset, out[n])


def reinhard(face: Tensor, target: Tensor, mask: Tensor) -> Tensor:  # [N, 3, s, s] x2, [N, 1, s, s] -> [N, 3, s, s]
    """As the reference, computed in float32."""
    source, wanted, weights = (x.float().contiguous() for x in (face, target, mask))
    out = torch.empty_like(source)
    flat = (source.flatten(2), wanted.flatten(2), weights.flatten(1), out.flatten(2))
    _reinhard(*(x.numpy() for x in flat))
    return out.to(face.dtype)
