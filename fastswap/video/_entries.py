"""From which packets of a stream decoding is exact, read from the stream itself.

A frame is an entry when every frame shown from it on decodes to the same samples whether or not what came before was
decoded. After ITU-T H.264 (7.4.1.2.4, D.2.8), H.265 (7.4.2.2), RFC 6386 (9.1), VP9 (6.2), ISO 11172-2 and 13818-2
(6.2.2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

EntryTest = Callable[[Any], bool]  # of an av.Packet that its container calls a key frame

_START_CODE = b"\0\0\1"
_SEQUENCE_HEADER = b"\0\0\1\xb3"
_TRUSTED = frozenset({"av1", "ffv1"})
"""Their key frames reset the decoder by definition, and a container cannot be written without knowing them."""

_H264_SLICES = frozenset({1, 2})
_H264_IDR, _H264_SEI = 5, 6
_RECOVERY_POINT = 6
_EXACT_AT_ONCE = 0xC0
"""recovery_frame_cnt 0 (a single bit 1) and exact_match_flag 1, at the head of the message."""
_HEVC_IRAP = range(16, 22)
_HEVC_SLICES = range(32)


def entry_test(codec: Any, extradata: bytes | None) -> EntryTest | None:  # codec: av.Codec
    """What tells an entry among key frames; None where nothing does."""
    name = codec.canonical_name
    if name in _TRUSTED or codec.intra_only:
        return lambda packet: True
    if name == "h264":
        prefix = (extradata[4] & 3) + 1 if extradata and extradata[0] == 1 else 0
        return lambda packet: _is_h264_entry(_units(bytes(packet), prefix))
    if name == "hevc":
        prefix = (extradata[21] & 3) + 1 if extradata and extradata[0] == 1 else 0
        return lambda packet: _is_hevc_entry(_units(bytes(packet), prefix))
    if name in ("mpeg1video", "mpeg2video"):
        return lambda packet: bytes(packet).startswith(_SEQUENCE_HEADER)
    return {"vp8": _is_vp8_key, "vp9": _is_vp9_key}.get(name)


def is_shown(name: str, packet: Any) -> bool:
    """False for a frame that is only referred to: VP8 stores those in packets of their own."""
    return name != "vp8" or bool(memoryview(packet)[0] & 0x10)


def _units(data: bytes, prefix: int) -> Iterator[bytes]:
    """The NAL units of a packet: with a length of `prefix` bytes before each, or (0) start codes between them."""
    place = 0
    if prefix:
        while place + prefix < len(data):
            length = int.from_bytes(data[place : place + prefix])
            yield data[place + prefix : place + prefix + length]
            place += prefix + length
        return
    yield from (unit for unit in data.split(_START_CODE)[1:] if unit)


def _is_h264_entry(units: Iterator[bytes]) -> bool:
    for unit in units:
        kind = unit[0] & 31
        if kind == _H264_IDR or (kind == _H264_SEI and _recovers_at_once(unit)):
            return True
        if kind in _H264_SLICES:
            return False
    return False


def _recovers_at_once(unit: bytes) -> bool:
    place = 1
    while place + 2 < len(unit):
        kind, place = _varying(unit, place)
        size, place = _varying(unit, place)
        if kind == _RECOVERY_POINT:
            return place < len(unit) and unit[place] & _EXACT_AT_ONCE == _EXACT_AT_ONCE
        place += size
    return False


def _varying(unit: bytes, place: int) -> tuple[int, int]:
    """A number of an SEI header (each byte of 255 adds itself and goes on), and the place behind it."""
    number = 0
    while place < len(unit) and unit[place] == 0xFF:
        number, place = number + 0xFF, place + 1
    return (number + unit[place], place + 1) if place < len(unit) else (number, place)


def _is_hevc_entry(units: Iterator[bytes]) -> bool:
    kinds = ((unit[0] >> 1) & 63 for unit in units)
    return next((kind in _HEVC_IRAP for kind in kinds if kind in _HEVC_SLICES), False)


def _is_vp8_key(packet: Any) -> bool:
    return not memoryview(packet)[0] & 1


def _is_vp9_key(packet: Any) -> bool:
    head = memoryview(packet)[0]
    reserved = 1 if head & 0x30 == 0x30 else 0  # profile 3 has one bit more before show_existing_frame
    return not (head << reserved) & 0x0C
