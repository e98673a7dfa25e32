"""Who reads a video file: DALI where it gives the same frames as PyAV, else PyAV, with the reason said once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import islice

from fastswap.errors import InputError
from fastswap.video import _dali_reader
from fastswap.video._containers import log
from fastswap.video._timetable import Timetable, UnfitError, timetable
from fastswap.video.decoders import missing_dali, missing_nvdec, need_dali
from fastswap.video.frame import Frame, VideoInfo

Read = Callable[[VideoInfo], Iterator[Frame]]


def reader_of(info: VideoInfo, device: str, decoder: str, by_av: Read, span: tuple[int, int] | None = None) -> Read:
    """What reads the file that `info` describes, or its frames [first, end) = `span`; by_av: PyAV's reader of the same.
    "auto" takes DALI on a GPU where it can, and PyAV elsewhere; "dali" is DALI or an error: MissingDependencyError
    where it is not here, InputError where it does not do for this file."""
    cuda = device.startswith("cuda")
    if decoder == "av" or (decoder == "auto" and not cuda):
        return by_av
    if decoder == "dali":
        need_dali(cuda=cuda)
        try:
            times = timetable(info, cuda=cuda)
        except UnfitError as reason:
            raise InputError(f"--decoder dali: {info.path} {reason}: use --decoder av") from reason
        return partial(_by_dali_alone, times=times, device=device, span=span)
    missing = missing_dali() or missing_nvdec()
    if missing:
        _say_once(f"videos are decoded on the CPU: {missing}")
        return by_av
    try:
        times = timetable(info, cuda=True)
    except UnfitError as reason:
        _say_once(f"{info.path.name} {reason}: it is decoded on the CPU")
        return by_av
    return partial(_by_dali_while_it_can, times=times, device=device, by_av=by_av, span=span)


@cache
def _say_once(line: str) -> None:
    log.info("%s", line)


def _by_dali(info: VideoInfo, times: Timetable, device: str, span: tuple[int, int] | None) -> Iterator[Frame]:
    return _dali_reader.frames(info, times, device, *(span or (0, len(times))))


def _by_dali_alone(info: VideoInfo, times: Timetable, device: str, span: tuple[int, int] | None) -> Iterator[Frame]:
    try:
        yield from _by_dali(info, times, device, span)
    except InputError as error:
        raise InputError(f"{error}: use --decoder av") from error


def _by_dali_while_it_can(
    info: VideoInfo, times: Timetable, device: str, by_av: Read, span: tuple[int, int] | None
) -> Iterator[Frame]:
    """DALI's frames; where it gives up on the way (damage inside of packets is seen by decoding only), PyAV's from
    there on."""
    delivered = 0
    try:
        for frame in _by_dali(info, times, device, span):
            yield frame
            delivered += 1
        return
    except InputError as error:
        log.warning("%s; PyAV goes on after %d frames", error, delivered)
    yield from islice(by_av(info), delivered, None)
