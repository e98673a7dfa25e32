"""`paste` on the CPU. A face becomes a sprite of four interleaved floats a pixel, its three codes times alpha and alpha
itself, in a border of zeros: a sample is then four vector loads and no test for the border. A row of the frame is walked
only where it crosses the square. One thread, without Python's lock.
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
    """face [3, s, s], alpha [s, s], numbers [3, 4] into the inner part of sprite [s + 2, s + 2, 4]."""
    for y in range(alpha.shape[0]):
        red, green, blue, weight, row = face[0, y], face[1, y], face[2, y], alpha[y], sprite[y + 1]
        for k in range(3):
            a, b, c, d = numbers[k, 0], numbers[k, 1], numbers[k, 2], numbers[k, 3]
            for x in range(weight.shape[0]):
                row[x + 1, k] = (a * red[x] + b * green[x] + c * blue[x] + d) * weight[x]
        for x in range(weight.shape[0]):
            row[x + 1, 3] = weight[x]


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
def _sample(sprite, m, x, y, n):
    """The mean of n x n bilinear taps around pixel (x, y): the four channels of the sprite."""
    edge, inner = np.float64(sprite.shape[0] - 1), sprite.shape[0] - 2
    s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for j in range(n):
        v = y + (j + 0.5) / n - 0.5
        for i in range(n):
            u = x + (i + 0.5) / n - 0.5
            source_x = min(max(m[0, 0] * u + m[0, 1] * v + m[0, 2] + 1.0, 0.0), edge)
            source_y = min(max(m[1, 0] * u + m[1, 1] * v + m[1, 2] + 1.0, 0.0), edge)
            x0, y0 = min(np.int64(source_x), inner), min(np.int64(source_y), inner)
            right, down = np.float32(source_x - x0), np.float32(source_y - y0)
            a, b = sprite[np.uintp(y0), np.uintp(x0)], sprite[np.uintp(y0), np.uintp(x0 + 1)]
            c, d = sprite[np.uintp(y0 + 1), np.uintp(x0)], sprite[np.uintp(y0 + 1), np.uintp(x0 + 1)]
            wd = right * down
            wb, wc = right - wd, down - wd
            wa = np.float32(1) - right - wc
            s0 += wa * a[0] + wb * b[0] + wc * c[0] + wd * d[0]
            s1 += wa * a[1] + wb * b[1] + wc * c[1] + wd * d[1]
            s2 += wa * a[2] + wb * b[2] + wc * c[2] + wd * d[2]
            s3 += wa * a[3] + wb * b[3] + wc * c[3] + wd * d[3]
    share = np.float32(1.0 / (n * n))
    return s0 * share, s1 * share, s2 * share, s3 * share


@njit(**_options)
def _composite(target, sprite, m, n, box, step, limit):
    """target [h, w, c]: of 1 channel the luma, of 2 the chroma, of 3 RGB; written where alpha > 0."""
    side = sprite.shape[0] - 2
    reach_x, reach_y = (abs(m[0, 0]) + abs(m[0, 1])) / 2, (abs(m[1, 0]) + abs(m[1, 1])) / 2
    per_step, top = np.float32(1.0 / step), np.float32(limit)
    for y in range(box[1], box[3]):
        low, high = _crossing(m[0, 0], m[0, 1] * y + m[0, 2], reach_x, side, box[0], box[2])
        low, high = _crossing(m[1, 0], m[1, 1] * y + m[1, 2], reach_y, side, low, high)
        for x in range(low, high):
            first, second, third, alpha = _sample(sprite, m, x, y, n)
            if alpha > 0:
                if target.shape[2] == 2:
                    first, second = second, third
                colours = (first, second, third)
                for k in range(target.shape[2]):
                    before = np.float32(target[y, x, k]) * per_step
                    value = np.floor(before * (np.float32(1) - alpha) + colours[k] + np.float32(0.5))
                    target[y, x, k] = np.int64(min(max(value, np.float32(0)), top)) * step


@njit(cache=True, nogil=True, **_options)
def _paste(planes, face, alpha, maps, frame, taps, boxes, numbers, step, limit):
    """planes: a tuple of [M, h, w, c]; maps, taps, boxes: [planes, N, ...]."""
    side = face.shape[3]
    sprite = np.zeros((side + 2, side + 2, 4), np.float32)
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
    targets = tuple(plane.view(*plane.shape[:3], -1).numpy() for plane in written)
    faces = [picture.detach().float().contiguous().numpy() for picture in (face, alpha)]
    host = [torch.stack(list(parts)).numpy() for parts in (maps, taps, boxes)]
    numbers = np.array(from_rgb, np.float32).reshape(3, 4)
    step, limit = (64, 1023) if planes[0].dtype == torch.uint16 else (1, 255)
    _paste(targets, *faces, host[0], frame.numpy(), *host[1:], numbers, step, limit)
    for plane, copy in zip(planes, written, strict=True):
        if copy is not plane:
            plane.copy_(copy)
