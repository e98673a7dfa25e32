"""Frames on their way to a GPU: in order, one ahead, and never over one that has not arrived.

The link here copies as late as a GPU may: it reads the staging buffer when the copy is waited for, not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from fastswap.ops.planes import Planes
from fastswap.video import Frame, open_video
from fastswap.video._upload import BUFFERS, uploaded

from .conftest import MakeClip


def frame(number: int, size: int = 4) -> Frame:
    data = (torch.full((1, size, size), number, dtype=torch.uint8), torch.full((1, 2, 2, 2), number, dtype=torch.uint8))
    return Frame(Planes("nv12", data if size == 4 else (data[0], data[1][:, :1, :1])), number, number, Fraction(1, 25))


class LateLink:
    """Copies to the CPU. staged: how many buffers were made; sent: the copies."""

    def __init__(self, device: torch.device) -> None:
        self.staged = 0
        self.sent: list[LateTransfer] = []

    def stage(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        self.staged += 1
        return torch.empty(shape, dtype=dtype)

    def send(self, staged: Planes) -> LateTransfer:
        self.sent.append(LateTransfer(staged))
        return self.sent[-1]


class LateTransfer:
    """As on a GPU, planes are handed over before they are filled: it is the consumer's stream that waits."""

    def __init__(self, staged: Planes) -> None:
        self.staged, self.planes, self.done = staged, staged.clone(), False
        for plane in self.planes.data:
            plane.fill_(255)

    def finish(self) -> None:
        if not self.done:
            for plane, buffer in zip(self.planes.data, self.staged.data, strict=True):
                plane.copy_(buffer)
        self.done = True

    def hand_over(self) -> Planes:
        return self.planes


def through(frames: Iterator[Frame], links: list[LateLink]) -> Iterator[Frame]:
    """Uploaded to "meta", which is a device that is not the CPU."""

    def link(device: torch.device) -> LateLink:
        links.append(LateLink(device))
        return links[-1]

    return uploaded(frames, "meta", link)


def arrived(frames: Iterator[Frame]) -> list[Frame]:
    """All of them, once what is still under way at the end has arrived."""
    links: list[LateLink] = []
    all_frames = list(through(frames, links))
    for link in links:
        for transfer in link.sent:
            transfer.finish()
    return all_frames


def values(frame: Frame) -> set[int]:
    return {int(value) for plane in frame.planes.data for value in plane.unique()}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_every_frame_arrives_whole_and_in_order(count: int) -> None:
    got = arrived(frame(number) for number in range(count))
    assert [(f.index, values(f)) for f in got] == [(number, {number}) for number in range(count)]


def test_two_buffers_a_plane_are_enough_for_any_number_of_frames() -> None:
    links: list[LateLink] = []
    list(through((frame(number) for number in range(9)), links))
    assert [(len(link.sent), link.staged) for link in links] == [(9, 2 * BUFFERS)]


def test_a_new_size_gets_new_buffers() -> None:
    got = arrived(frame(number, 2 if number > 2 else 4) for number in range(6))
    assert [f.planes.width for f in got] == [4, 4, 4, 2, 2, 2]
    assert [values(f) for f in got] == [{number} for number in range(6)]


def test_the_next_frame_is_under_way_before_one_is_handed_out() -> None:
    decoded: list[int] = []

    def source() -> Iterator[Frame]:
        for number in range(4):
            decoded.append(number)
            yield frame(number)

    links: list[LateLink] = []
    arriving = through(source(), links)
    assert next(arriving).index == 0
    assert decoded == [0, 1]
    assert len(links[0].sent) == 2


def test_the_decoders_frame_may_be_written_to_once_it_was_taken() -> None:
    one = frame(1)

    def source() -> Iterator[Frame]:
        yield one
        for plane in one.planes.data:
            plane.fill_(9)
        yield frame(2)

    assert [values(f) for f in arrived(source())] == [{1}, {2}]


def test_what_is_on_the_device_already_passes_in_its_turn() -> None:
    there = replace(frame(0), planes=replace(frame(0).planes, data=tuple(p.to("meta") for p in frame(0).planes.data)))
    assert next(through(iter([there]), [])) is there


@pytest.mark.gpu
def test_frames_of_pyav_on_a_gpu_are_those_of_the_cpu(cuda: str, make_clip: MakeClip) -> None:
    path = make_clip(times=range(0, 40 * 512, 512), size=(640, 480))
    side = torch.cuda.Stream()
    with open_video(path, device=cuda, decoder="av") as video, torch.cuda.stream(side):
        for got, wanted in zip(video, open_video(path), strict=True):
            copies = [plane.clone() for plane in got.planes.data]
            for plane in got.planes.data:  # the caller's own: no other frame sees it
                plane.zero_()
            assert all(torch.equal(a.cpu(), b) for a, b in zip(copies, wanted.planes.data, strict=True))
            assert (got.index, got.pts) == (wanted.index, wanted.pts)
