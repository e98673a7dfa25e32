"""`warp` on a GPU, in Triton: all crops of a batch in one launch, a tile of one crop a program.

Bytes a pixel at scale 1, three channels to fp16: rgb 3 + 6, NV12 1.5 + 6, P010 3 + 6, float32 12 + 6. Instructions for
one tap, as compiled for sm_90: about 120 (rgb), 140 (YUV), 90 (float), and 20 to 30 for its share of what the pixels of
a tile have in common. An H200 copies a byte in the time of about seven, so uint8 crops should be bound by instructions
(rgb at about 45 % of copy) and float crops nearly by memory. So loads are few and wide: two RGB neighbours are six
bytes, cut out of three aligned words (six loads a tap, not twelve), a chroma pair is one load (eight for YUV, not
twelve). Where a crop shrinks, the first cache serves its n x n taps. Taps are added up in one float32 sum, not row by
row: three registers fewer a pixel, without which some targets spill.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastswap.kernels.affine._triton import WIDTH, corner_of, face_of, placed, tap_count, tile, tiles_of

BLOCK = 256  # pixels a program makes in one step: two a thread, as four spill on some targets
_WARPS = 4


@triton.jit
def _mixed(a, b, c, d, right, down):
    above, below = a + right * (b - a), c + right * (d - c)
    return above + down * (below - above)


@triton.jit
def _code(word, FROM: tl.constexpr, BITS: tl.constexpr):
    return ((word >> FROM) & ((1 << BITS) - 1)).to(tl.float32)


@triton.jit
def _rgb_row(words, byte, last, right):
    """Red, green and blue between two pixels: six bytes out of three aligned words, nothing past the word `last`."""
    word, bits = byte >> 2, (byte & 3) * 8
    a, b = tl.load(words + word), tl.load(words + tl.minimum(word + 1, last))
    c = tl.load(words + tl.minimum(word + 2, last))
    low, high = (a >> bits) | ((b << 1) << (31 - bits)), (b >> bits) | ((c << 1) << (31 - bits))
    red, green, blue = _code(low, 0, 8), _code(low, 8, 8), _code(low, 16, 8)
    red += right * (_code(low, 24, 8) - red)
    green += right * (_code(high, 0, 8) - green)
    return red, green, blue + right * (_code(high, 8, 8) - blue)


@triton.jit
def _rgb(plane, sample, below, last, right, down):
    lead = (plane.to(tl.int64) & 3).to(tl.int32)
    words = (plane.to(tl.int64) & -4).to(tl.pointer_type(tl.uint32))
    red, green, blue = _rgb_row(words, lead + sample, (lead + last) >> 2, right)
    lower_red, lower_green, lower_blue = _rgb_row(words, lead + sample + below, (lead + last) >> 2, right)
    red, green = red + down * (lower_red - red), green + down * (lower_green - green)
    return red, green, blue + down * (lower_blue - blue)


@triton.jit
def _pair(pointer, after, below, right, down, BITS: tl.constexpr):
    a, b = tl.load(pointer).to(tl.int32), tl.load(pointer + after).to(tl.int32)
    c, d = tl.load(pointer + below).to(tl.int32), tl.load(pointer + below + after).to(tl.int32)
    first = _mixed(_code(a, 0, BITS), _code(b, 0, BITS), _code(c, 0, BITS), _code(d, 0, BITS), right, down)
    a, b, c, d = _code(a, BITS, BITS), _code(b, BITS, BITS), _code(c, BITS, BITS), _code(d, BITS, BITS)
    return first, _mixed(a, b, c, d, right, down)


@triton.jit
def _number(pointer, BITS: tl.constexpr):
    """A sample as a float. BITS: those of an integer's code, 0 for a float."""
    sample = tl.load(pointer)
    return sample.to(tl.float32) if BITS == 0 else _code(sample.to(tl.int32), 0, BITS)


@triton.jit
def _plain(pointer, after, below, right, down, BITS: tl.constexpr):
    a, b = _number(pointer, BITS), _number(pointer + after, BITS)
    return _mixed(a, b, _number(pointer + below, BITS), _number(pointer + below + after, BITS), right, down)


@triton.jit
def _mean(
    plane, row_step, step, second, third, height, width, m, corner, u, v, taps,
    KIND: tl.constexpr, BITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The means of the taps of every pixel of a tile, up to three channels. KIND says how they lie: "rgb" packed bytes,
    "pair" two in one sample, "plane" one, "planes" two more, `second` and `third` samples further on."""
    apart = 1.0 / taps
    one = tl.zeros([BLOCK], tl.float32)
    two, three = one, one
    for j in range(taps):
        for i in range(taps):
            at_u, at_v = u + ((i + 0.5) * apart - 0.5), v + ((j + 0.5) * apart - 0.5)
            left, right, after = placed(corner[0], corner[1], m[0], m[1], at_u, at_v, width)
            top, down, below = placed(corner[2], corner[3], m[3], m[4], at_u, at_v, height)
            sample, after, below = top * row_step + left * step, after * step, below * row_step
            if KIND == "rgb":
                a, b, c = _rgb(plane, sample, below, (height - 1) * row_step + width * 3 - 1, right, down)
                one, two, three = one + a, two + b, three + c
            elif KIND == "pair":
                a, b = _pair(plane + sample, after, below, right, down, BITS)
                one, two = one + a, two + b
            else:
                one += _plain(plane + sample, after, below, right, down, BITS)
                if KIND == "planes":
                    two += _plain(plane + second + sample, after, below, right, down, BITS)
                    three += _plain(plane + third + sample, after, below, right, down, BITS)
    share = apart * apart
    return one * share, two * share, three * share


@triton.jit
def _store(out, value, scale, shift, usable, inside):
    tl.store(out, tl.where(usable, value * scale + shift, 0.0).to(out.dtype.element_ty), mask=inside)


@triton.jit
def _rgb_kernel(
    src, matrix, frame, out, frames, height, width, frame_step, row_step, size, tiles_across, tiles,
    channel_step, pixel_step, scale, shift, BLOCK: tl.constexpr,
):  # fmt: skip
    n, x, y, rows, u, v = tile(size, tiles_across, tiles, BLOCK)
    m, which, larger, usable = face_of(matrix, frame, frames, n)
    corner, taps = corner_of(m, x, y), tap_count(larger)
    src += which * frame_step
    out += n * 3 * size * size + ((y + v) * size + x + u) * pixel_step
    for step in range(0, rows, BLOCK // WIDTH):
        red, green, blue = _mean(
            src, row_step, 3, 0, 0, height, width, m, corner, u, v + step, taps, "rgb", 8, BLOCK
        )  # fmt: skip
        inside = (x + u < size) & (v + step < rows)
        to = out + step * size * pixel_step
        _store(to, red, scale, shift, usable, inside)
        _store(to + channel_step, green, scale, shift, usable, inside)
        _store(to + 2 * channel_step, blue, scale, shift, usable, inside)


@triton.jit
def _clamped(x):
    return tl.minimum(tl.maximum(x, 0.0), 1.0)


@triton.jit
def _yuv_kernel(
    luma, chroma, matrix, frame, out, frames, height, width, frame_step, row_step, pair_frame_step, pair_row_step,
    siting_x, siting_y, size, tiles_across, tiles, channel_step, pixel_step, scale, shift,
    r0, r1, r2, r3, g0, g1, g2, g3, b0, b1, b2, b3, BITS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, x, y, rows, u, v = tile(size, tiles_across, tiles, BLOCK)
    m, which, larger, usable = face_of(matrix, frame, frames, n)
    half = m[0] / 2, m[1] / 2, m[2] / 2, m[3] / 2, m[4] / 2, m[5] / 2
    corner, taps, half_taps = corner_of(m, x, y), tap_count(larger), tap_count(larger / 2)
    left, rest_x, top, rest_y = corner_of(half, x, y)
    sited = left, rest_x - siting_x / 2, top, rest_y - siting_y / 2  # off rests of a few pixels: nothing is lost
    luma += which * frame_step
    chroma += which * pair_frame_step
    out += n * 3 * size * size + ((y + v) * size + x + u) * pixel_step
    for step in range(0, rows, BLOCK // WIDTH):
        light, _, _ = _mean(
            luma, row_step, 1, 0, 0, height, width, m, corner, u, v + step, taps, "plane", BITS, BLOCK
        )  # fmt: skip
        cb, cr, _ = _mean(
            chroma, pair_row_step, 1, 0, 0, (height + 1) // 2, (width + 1) // 2, half, sited, u, v + step, half_taps,
            "pair", BITS, BLOCK,
        )  # fmt: skip
        inside = (x + u < size) & (v + step < rows)
        to = out + step * size * pixel_step
        _store(to, _clamped(r0 * light + r1 * cb + r2 * cr + r3), scale, shift, usable, inside)
        _store(to + channel_step, _clamped(g0 * light + g1 * cb + g2 * cr + g3), scale, shift, usable, inside)
        _store(to + 2 * channel_step, _clamped(b0 * light + b1 * cb + b2 * cr + b3), scale, shift, usable, inside)


@triton.jit
def _float_kernel(
    src, matrix, frame, out, frames, channels, height, width, frame_step, plane_step, row_step, column_step,
    size, tiles_across, tiles, channel_step, pixel_step, scale, shift, KIND: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n, x, y, rows, u, v = tile(size, tiles_across, tiles, BLOCK)
    m, which, larger, usable = face_of(matrix, frame, frames, n)
    corner, taps = corner_of(m, x, y), tap_count(larger)
    src += which * frame_step
    out += n * channels * size * size + ((y + v) * size + x + u) * pixel_step
    for c in range(0, channels, 3 if KIND == "planes" else 1):  # three share the arithmetic of their places
        first = tl.cast(c, tl.int64)
        second, third = tl.minimum(first + 1, channels - 1), tl.minimum(first + 2, channels - 1)
        for step in range(0, rows, BLOCK // WIDTH):
            one, two, three = _mean(
                src + first * plane_step, row_step, column_step, (second - first) * plane_step,
                (third - first) * plane_step, height, width, m, corner, u, v + step, taps, KIND, 0, BLOCK,
            )  # fmt: skip
            inside = (x + u < size) & (v + step < rows)
            to = out + step * size * pixel_step
            _store(to + first * channel_step, one, scale, shift, usable, inside)
            if KIND == "planes":
                _store(to + second * channel_step, two, scale, shift, usable, inside & (first + 1 < channels))
                _store(to + third * channel_step, three, scale, shift, usable, inside & (first + 2 < channels))


def warp(
    planes: Sequence[Tensor],
    matrix: Tensor,  # [N, 2, 3] float32, on the device
    frame: Tensor,  # int64 [N], on the device
    size: int,
    to_rgb: Sequence[float],
    siting: Sequence[float],
    mean: float,
    std: float,
    dtype: torch.dtype,
    channels_last: bool,
) -> Tensor:
    """As `reference.warp`, but that the kernels count the taps."""
    planar, count = planes[0].is_floating_point(), len(matrix)
    channels = planes[0].shape[1] if planar else 3
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = count, channels, size, size
    out = torch.empty(shape, dtype=dtype, device=planes[0].device, memory_format=layout)
    if count == 0:
        return out
    across, tiles = tiles_of(size, BLOCK)
    where = size, across, tiles, *((1, channels) if channels_last else (size * size, 1))
    scale, shift, given = 1 / std, -mean / std, (matrix, frame, out)
    if planar:
        src, kind = planes[0], "plane" if channels == 1 else "planes"
        numbers = *src.shape, *src.stride(), *where, scale, shift
        _float_kernel[(count * tiles,)](src, *given, *numbers, KIND=kind, BLOCK=BLOCK, num_warps=_WARPS)
    elif len(planes) == 2:
        luma, chroma, bits = _dense(planes[0]), _pairs(planes[1]), 8 * planes[0].itemsize
        numbers = *luma.shape, *luma.stride()[:2], *chroma.stride()[:2], *siting, *where, scale, shift, *to_rgb
        _yuv_kernel[(count * tiles,)](luma, chroma, *given, *numbers, BITS=bits, BLOCK=BLOCK, num_warps=_WARPS)
    else:
        src = _dense(planes[0])
        numbers = *src.shape[:3], *src.stride()[:2], *where, scale / 255, shift
        _rgb_kernel[(count * tiles,)](src, *given, *numbers, BLOCK=BLOCK, num_warps=_WARPS)
    return out


def _dense(plane: Tensor) -> Tensor:
    """[M, H, W, ...] whose rows are without gaps; rows and frames may have some, as a decoder's pitch makes them."""
    dense = plane[:1, :1].is_contiguous()
    plane = plane if dense else plane.contiguous()
    return plane.view(torch.int16) if plane.dtype == torch.uint16 else plane


def _pairs(chroma: Tensor) -> Tensor:
    """[M, h, w, 2] as [M, h, w] of samples twice as wide, so that Cb and Cr are one load."""
    whole = chroma[:1, :1].is_contiguous() and not any(step % 2 for step in chroma.stride()[:2])
    if not whole or chroma.storage_offset() % 2 or chroma.data_ptr() % (2 * chroma.itemsize):
        chroma = chroma.clone(memory_format=torch.contiguous_format)
    return chroma.view(torch.int32 if chroma.itemsize == 2 else torch.int16).squeeze(-1)
