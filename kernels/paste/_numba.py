"""`paste` on the CPU. A face becomes a sprite of four planes, its three codes times alpha and alpha itself, in a border
of zeros, so that no sample asks about the border. A row of the frame is walked only where it crosses the square:
positions first, then channel by channel, then the blend, each a plain loop. One thread, without Python's lock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from torch import Tensor

_options = {"error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}


@njit(**_options)
def _premultiply(face, alpha, numbers, sprite):
    """face [3, s, s], alpha [s, s], numbers [3, 4] into the inner part of sprite [4, s + 2, s + 2]."""
    side = alpha.shape[0]
    for k in range(3):
        a, b, c, d = numbers[k, 0], numbers[k, 1], numbers[k, 2], numbers[k, 3]
        for y in range(side):
            red, green, blue, weight, row = face[0, y], face[1, y], face[2, y], alpha[y], sprite[k, y + 1]
            for x in range(side):
                row[x + 1] = (a * red[x] + b * green[x] + c * blue[x] + d) * weight[x]
    sprite[3, 1 : side + 1, 1 : side + 1] = alpha


@njit(**_options)
def _crossing(slope, shift, reach, side, low, high):
    """The part of low..high in which slope * x + shift lies within `reach` of the square -1..side."""
    first, last = -1.0 - reach, side + reach
    if slope == 0:
        return (low, high) if first < shift < last else (low, low)
    one, other = (first - shift) / slope, (last - shift) / slope
    start, end = np.floor(min(one, other)), np.ceil(max(one, other)) + 1
    return np.int64(min(max(start, low), high)), np.int64(min(max(end, low), high))


@njit(**_options)
def _positions(m, u, v, side, base, right, down):
    """Of the points (u, v), (u + 1, v) ...: the index of the upper left sample in the sprite, and the weights."""
    edge, inner, width = np.float64(side + 1), side, side + 2
    across, along = m[0, 1] * v + m[0, 2] + m[0, 0] * u + 1.0, m[1, 1] * v + m[1, 2] + m[1, 0] * u + 1.0
    for x in range(base.shape[0]):
        source_x = min(max(m[0, 0] * x + across, 0.0), edge)
        source_y = min(max(m[1, 0] * x + along, 0.0), edge)
        x0, y0 = min(np.int64(source_x), inner), min(np.int64(source_y), inner)
        base[x] = y0 * width + x0
        right[x] = np.float32(source_x - x0)
        down[x] = np.float32(source_y - y0)


@njit(**_options)
def _gather(plane, width, base, right, down, out):
    """Adds the bilinear samples of one plane of the sprite to a row."""
    for x in range(out.shape[0]):
        a, one = np.uintp(base[x]), np.uintp(1)
        c = a + np.uintp(width)
        upper = plane[a] + right[x] * (plane[a + one] - plane[a])
        lower = plane[c] + right[x] * (plane[c + one] - plane[c])
        out[x] += upper + down[x] * (lower - upper)


@njit(**_options)
def _blend(row, colour, alpha, share, step, limit):
    """row: the samples of one channel, written. colour and alpha are sums, of which each tap is a `share`."""
    zero, half, one, top = np.float32(0), np.float32(0.5), np.float32(1), np.float32(limit)
    per_step, step32 = np.float32(1.0 / step), np.int32(step)
    for x in range(row.shape[0]):
        weight = alpha[x] * share
        value = np.float32(row[x]) * per_step * (one - weight) + colour[x] * share + half
        code = np.int32(min(max(value, zero), top + half)) * step32
        row[x] = code if weight > zero else row[x]


@njit(**_options)
def _composite(target, sprite, m, n, box, step, limit):
    """target [h, w, c]: of 1 channel the luma, of 2 the chroma, of 3 RGB; written where alpha > 0."""
    channels, side = target.shape[2], sprite.shape[1] - 2
    flat, room = sprite.reshape(4, -1), max(box[2] - box[0], 0)
    base, weights, sums = np.empty(room, np.int64), np.empty((2, room), np.float32), np.empty((4, room), np.float32)
    reach_x, reach_y = (abs(m[0, 0]) + abs(m[0, 1])) / 2, (abs(m[1, 0]) + abs(m[1, 1])) / 2
    k0 = 1 if channels == 2 else 0
    for y in range(box[1], box[3]):
        low, high = _crossing(m[0, 0], m[0, 1] * y + m[0, 2], reach_x, side, box[0], box[2])
        low, high = _crossing(m[1, 0], m[1, 1] * y + m[1, 2], reach_y, side, low, high)
        count = high - low
        where, right, down = base[:count], weights[0, :count], weights[1, :count]
        sums[:, :count] = np.float32(0)
        for tap in range(n * n):
            u, v = low + (tap % n + 0.5) / n - 0.5, y + (tap // n + 0.5) / n - 0.5
            _positions(m, u, v, side, where, right, down)
            _gather(flat[3], side + 2, where, right, down, sums[3, :count])
            for k in range(k0, k0 + channels):
                _gather(flat[k], side + 2, where, right, down, sums[k, :count])
        for k in range(channels):
            _blend(
                target[y, low:high, k], sums[k0 + k, :count], sums[3, :count], np.float32(1.0 / (n * n)), step, limit
            )


@njit(cache=True, nogil=True, **_options)
def _paste(planes, face, alpha, maps, frame, taps, boxes, numbers, step, limit):
    """planes: a tuple of [M, h, w, c]; maps, taps, boxes: [planes, N, ...]."""
    side = face.shape[3]
    sprite = np.zeros((4, side + 2, side + 2), np.float32)
    for n in range(face.shape[0]):
        _premultiply(face[n], alpha[n, 0], numbers, sprite)
        for p in range(len(planes)):
            _composite(planes[p][frame[n]], sprite, maps[p, n], taps[p, n], boxes[p, n], step, limit)


def paste(
    planes: Sequence[Tensor],
    face: Tensor,
    alpha: Tensor,
    maps: Sequence[Tensor],
    frame: Tensor,
    taps: Sequence[Tensor],
    boxes: Sequence[Tensor],
    from_rgb: Sequence[float],
) -> None:
    """As `reference.paste`."""
    written = [plane.contiguous() for plane in planes]
    targets = tuple((plane if plane.dim() == 4 else plane.unsqueeze(-1)).numpy() for plane in written)
    faces = [picture.detach().float().contiguous().numpy() for picture in (face, alpha)]
    host = [torch.stack(list(parts)).numpy() for parts in (maps, taps, boxes)]
    numbers = np.array(from_rgb, np.float32).reshape(3, 4)
    step, limit = (64, 1023) if planes[0].dtype == torch.uint16 else (1, 255)
    _paste(targets, *faces, host[0], frame.numpy(), *host[1:], numbers, step, limit)
    for plane, copy in zip(planes, written, strict=True):
        if copy is not plane:
            plane.copy_(copy)
