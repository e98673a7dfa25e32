"""`paste` on a GPU by Triton: one launch, in which a program owns a tile of one frame, luma and chroma, and lays over
the faces that reach it, in their order. So later faces lie over earlier ones without atomics, the result is the same on
every run, and a tile is read and written once however many faces cross it. A program that no face reaches leaves after
one look at matrices and frame numbers, 32 faces at a time; where the matrices came from the host, the grid covers only
what the faces can touch.

Bytes: face and alpha once, 8 a pixel of the square in half floats, and the frame's samples under it once each way, 3 a
pixel of NV12, 6 of P010 and RGB. Operations: a tap is 4 corners of 4 loads and 5 multiplications, and 12 more of a
sample make its codes; a pixel of NV12 is 1.25 samples. Nothing is premultiplied beforehand: sums of alpha and of
rgb * alpha are linear, so that the colour's matrix is applied once a sample, after the taps, the same sums serve every
layout, and no second buffer is written and read. So loads that hit the L1 cache, 20 a pixel of NV12 at one tap, should
bind this kernel, not memory; a single face is bound by the launch.

Error budget: a position is good to 3e-5 px in a frame of any size (kernels/affine), by which colours that differ by all
codes from pixel to pixel are off by 0.01 codes of eight bits and 0.03 of ten; the sums by 4e-7 of a value. So a code
differs from the reference's by one at most, and only where its value lies that close to a half.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastswap.kernels.affine._triton import face_of, origin, tap_count

BLOCK = 1024  # luma pixels a program
_WIDTH = 64  # of them in a row: two sectors of bytes
_STEPS = 4  # in which a program walks its tile, 2 pixels a thread: more in flight would take all registers
_FACES = 32  # looked at together
_REGISTERS = 128  # a thread: left to itself ptxas spills a few to fit one more program on a multiprocessor


@triton.jit
def _next_face(matrix, frame, frames, count, after, m, x, y, half_x, half_y, side, FACES: tl.constexpr):
    """The first face after `after` that belongs to frame m and shows within (half_x, half_y) luma pixels of (x, y), or
    `count`. A face that cannot be used shows nowhere."""
    found, start = count, after + 1
    while (start < count) & (found == count):
        n = tl.minimum(start + tl.arange(0, FACES), count - 1)
        to_face, which, _, usable = face_of(matrix, frame, frames, n)
        a, b, tx, c, d, ty = to_face
        u, v = a * x + b * y + tx, c * x + d * y + ty
        reach_u, reach_v = tl.abs(a) * half_x + tl.abs(b) * half_y + 1.0, tl.abs(c) * half_x + tl.abs(d) * half_y + 1.0
        crosses = (u + reach_u >= 0) & (u - reach_u <= side) & (v + reach_v >= 0) & (v - reach_v <= side)
        found = tl.min(tl.where(usable & (which == m) & crosses, n, count), 0)
        start += FACES
    return found


@triton.jit
def _means(face, alpha, a, b, u0, c, d, v0, taps, across, down, side, strides):
    """Means over the taps of rgb * alpha and of alpha at (u0, v0) + [[a, b], [c, d]] (across, down) in the face."""
    share = 1.0 / taps.to(tl.float32)
    red = tl.zeros_like(across + down)
    green, blue, weight = red, red, red
    for tap in range(taps * taps):
        px, py = across + ((tap % taps + 0.5) * share - 0.5), down + ((tap // taps + 0.5) * share - 0.5)
        u = tl.minimum(tl.maximum(a * px + b * py + u0, -1.0), side)
        v = tl.minimum(tl.maximum(c * px + d * py + v0, -1.0), side)
        x0, y0 = tl.floor(u).to(tl.int32), tl.floor(v).to(tl.int32)
        right, lower = u - x0.to(tl.float32), v - y0.to(tl.float32)
        colour, opacity = face + (y0 * strides[1] + x0 * strides[2]), alpha + (y0 * strides[3] + x0 * strides[4])
        for corner in tl.static_range(4):
            i, j = corner % 2, corner // 2
            inside = (x0 >= -i) & (x0 < side - i) & (y0 >= -j) & (y0 < side - j)
            share_of_corner = (right if i else 1.0 - right) * (lower if j else 1.0 - lower)
            part = tl.load(opacity + (j * strides[3] + i * strides[4]), inside, 0.0).to(tl.float32) * share_of_corner
            here = colour + (j * strides[1] + i * strides[2])
            red += part * tl.load(here, inside, 0.0).to(tl.float32)
            green += part * tl.load(here + strides[0], inside, 0.0).to(tl.float32)
            blue += part * tl.load(here + 2 * strides[0], inside, 0.0).to(tl.float32)
            weight += part
    share *= share
    return red * share, green * share, blue * share, weight * share


@triton.jit
def _blend(word, red, green, blue, weight, k, numbers, STEP: tl.constexpr, LIMIT: tl.constexpr):
    """Channel k of the frame under rgb * weight: a code times STEP, halves up; the word as it is where weight is 0."""
    colour = numbers[4 * k] * red + numbers[4 * k + 1] * green + numbers[4 * k + 2] * blue + numbers[4 * k + 3] * weight
    value = tl.floor(word.to(tl.float32) * (1.0 / STEP) * (1.0 - weight) + colour + 0.5)
    code = tl.minimum(tl.maximum(value, 0.0), LIMIT).to(tl.int32) * STEP
    return tl.where(weight > 0, code, word)


@triton.jit
def _load(at, inside, STEP: tl.constexpr):
    """Words as int32. Those of sixteen bits come as int16, which every version of torch and Triton knows."""
    word = tl.load(at, inside, 0).to(tl.int32)
    return word & 0xFFFF if STEP > 1 else word


@triton.jit
def _lay_over(
    plane, width, height, x, y,  # of one frame; the samples from (x, y) on
    pitch, siting_x, siting_y,  # sample (x, y) lies at luma pixel (pitch x + siting_x, pitch y + siting_y)
    face, alpha, matrix, frame, frames, count, side, strides, face_stride, alpha_stride, numbers, m, lowest,
    CHANNELS: tl.constexpr, FIRST: tl.constexpr,  # of Y, Cb, Cr or of R, G, B
    STEP: tl.constexpr, LIMIT: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, FACES: tl.constexpr,
):  # fmt: skip
    """Lays the faces from `lowest` on over WIDE x ROWS samples of a plane, which are read and written once."""
    middle_x, middle_y = (x + (WIDE - 1) * 0.5) * pitch + siting_x, (y + (ROWS - 1) * 0.5) * pitch + siting_y
    half_x, half_y = WIDE * 0.5 * pitch, ROWS * 0.5 * pitch
    n = _next_face(matrix, frame, frames, count, lowest - 1, m, middle_x, middle_y, half_x, half_y, side, FACES)
    if n < count:
        across, down = tl.arange(0, WIDE)[None, :], tl.arange(0, ROWS)[:, None]
        inside = (x + across < width) & (y + down < height)
        at = plane + ((y + down) * width + x + across) * CHANNELS
        across, down, written = across.to(tl.float32), down.to(tl.float32), inside & False
        one = _load(at, inside, STEP)
        two, three = one, one
        if CHANNELS > 1:
            two = _load(at + 1, inside, STEP)
        if CHANNELS > 2:
            three = _load(at + 2, inside, STEP)
        while n < count:
            to_face, _, larger, _ = face_of(matrix, frame, frames, n)
            a, b, tx, c, d, ty = to_face
            whole_u, rest_u = origin(a, b, tx, (x * pitch).to(tl.float32), (y * pitch).to(tl.float32))
            whole_v, rest_v = origin(c, d, ty, (x * pitch).to(tl.float32), (y * pitch).to(tl.float32))
            u, v = whole_u + (rest_u + a * siting_x + b * siting_y), whole_v + (rest_v + c * siting_x + d * siting_y)
            a, b, c, d, taps = a * pitch, b * pitch, c * pitch, d * pitch, tap_count(larger * pitch)
            colours, weights = face + n.to(tl.int64) * face_stride, alpha + n.to(tl.int64) * alpha_stride
            red, green, blue, weight = _means(colours, weights, a, b, u, c, d, v, taps, across, down, side, strides)
            written |= inside & (weight > 0)
            one = _blend(one, red, green, blue, weight, FIRST, numbers, STEP, LIMIT)
            if CHANNELS > 1:
                two = _blend(two, red, green, blue, weight, FIRST + 1, numbers, STEP, LIMIT)
            if CHANNELS > 2:
                three = _blend(three, red, green, blue, weight, FIRST + 2, numbers, STEP, LIMIT)
            n = _next_face(matrix, frame, frames, count, n, m, middle_x, middle_y, half_x, half_y, side, FACES)
        kind = plane.dtype.element_ty
        tl.store(at, one.to(kind), written)
        if CHANNELS > 1:
            tl.store(at + 1, two.to(kind), written)
        if CHANNELS > 2:
            tl.store(at + 2, three.to(kind), written)


@triton.jit(do_not_specialize=["x0", "y0", "count"])
def _paste(
    first,  # luma [M, H, W], or RGB [M, H, W, 3]
    second,  # chroma [M, h, w, 2]
    width, height, x0, y0,  # x0, y0: where the grid begins
    face, alpha, matrix, frame, frames, count, side,
    strides, face_stride, alpha_stride,  # of face c, y, x and alpha y, x; from face to face
    siting_x, siting_y,
    numbers,  # 12: from rgb to codes
    NATIVE: tl.constexpr, STEP: tl.constexpr, LIMIT: tl.constexpr,
    WIDE: tl.constexpr, HIGH: tl.constexpr, ROWS: tl.constexpr, FACES: tl.constexpr,
):  # fmt: skip
    x, y, m = x0 + tl.program_id(0) * WIDE, y0 + tl.program_id(1) * HIGH, tl.program_id(2)
    middle_x, middle_y = x + (WIDE - 1) * 0.5, y + (HIGH - 1) * 0.5
    half_x, half_y = WIDE * 0.5 + 2.0, HIGH * 0.5 + 2.0  # a chroma sample's siting and taps lie up to 2 pixels outside
    lowest = _next_face(matrix, frame, frames, count, -1, m, middle_x, middle_y, half_x, half_y, side, FACES)
    if lowest < count:
        channels: tl.constexpr = 1 if NATIVE else 3
        plane = first + m.to(tl.int64) * height * width * channels
        for step in range(tl.cdiv(tl.minimum(height - y, HIGH), ROWS)):
            _lay_over(
                plane, width, height, x, y + step * ROWS, 1.0, 0.0, 0.0,
                face, alpha, matrix, frame, frames, count, side, strides, face_stride, alpha_stride, numbers, m, lowest,
                channels, 0, STEP, LIMIT, WIDE, ROWS, FACES,
            )  # fmt: skip
        if NATIVE:
            w, h = (width + 1) // 2, (height + 1) // 2
            plane = second + m.to(tl.int64) * h * w * 2
            for step in range(tl.cdiv(tl.minimum(h - y // 2, HIGH // 2), 2 * ROWS)):
                _lay_over(
                    plane, w, h, x // 2, y // 2 + step * 2 * ROWS, 2.0, siting_x, siting_y,
                    face, alpha, matrix, frame, frames, count, side, strides, face_stride, alpha_stride, numbers,
                    m, lowest, 2, 1, STEP, LIMIT, WIDE // 2, 2 * ROWS, FACES,
                )  # fmt: skip


def paste(
    planes: Sequence[Tensor],  # (rgb [M, H, W, 3],) or (luma [M, H, W], chroma [M, h, w, 2]), written
    face: Tensor,  # [N, 3, s, s]
    alpha: Tensor,  # [N, 1, s, s]
    matrix: Tensor,  # float32 [N, 2, 3], with the frames: frame px -> face px
    frame: Tensor,  # int64 [N], with the frames
    siting: Sequence[float],
    area: tuple[int, int, int, int],  # x0, y0, x1, y1, even: outside of it no face shows in any frame
    from_rgb: Sequence[float],  # 12 numbers: 3 x 4, from 0..1 to codes
) -> None:
    deep, native = planes[0].dtype == torch.uint16, len(planes) == 2
    written = [plane.contiguous() for plane in planes]
    words = [plane.view(torch.int16) if deep else plane for plane in written]
    face, alpha = (picture.float() if picture.dtype == torch.float64 else picture for picture in (face, alpha))
    limit = {} if torch.version.hip else {"maxnreg": _REGISTERS}  # Triton's compiler for AMD knows no such option
    (x0, y0, x1, y1), (frames, height, width), high = area, planes[0].shape[:3], BLOCK // _WIDTH
    _paste[(triton.cdiv(x1 - x0, _WIDTH), triton.cdiv(y1 - y0, high), frames)](
        words[0], words[-1], width, height, x0, y0, face, alpha, matrix, frame, frames, len(matrix), face.shape[3],
        (*face.stride()[1:], *alpha.stride()[2:]), face.stride(0), alpha.stride(0), *siting, tuple(from_rgb),
        NATIVE=native, STEP=64 if deep else 1, LIMIT=1023 if deep else 255,
        WIDE=_WIDTH, HIGH=high, ROWS=high // _STEPS, FACES=_FACES, **limit,
    )  # fmt: skip
    for plane, copy in zip(planes, written, strict=True):
        if copy is not plane:
            plane.copy_(copy)
