"""A whole conversion: frames, times and sound of the input; and which frames are swapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
import torch

from fastswap.conversion import ConvertSettings, convert
from fastswap.errors import InputError, UsageError
from fastswap.faceset import FaceSet
from fastswap.faceset.scan import ScanSettings, describe_source, meta_of, scan
from fastswap.progress import silent
from fastswap.video import open_video
from fastswap.video.ranges import frame_ranges

pytestmark = pytest.mark.timeout(120)


def changed(before: Path, after: Path) -> list[int]:
    """The frames whose luma differs. Both have the same number of frames, at the same times."""
    found = []
    with open_video(before) as one, open_video(after) as other:
        for a, b in zip(one, other, strict=True):
            assert a.pts * a.time_base == b.pts * b.time_base
            if not torch.equal(a.planes.data[0], b.planes.data[0]):
                found.append(a.index)
    return found


def sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def lossless(given: Any, model: Path, output: Path, **options: Any) -> ConvertSettings:
    """quality 0: what differs was swapped."""
    return ConvertSettings(given.clip, model, output, faces=given.faces, quality=0, **options)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [(None, set(range(4, 40))), ("5-9,30-", {*range(5, 10), *range(30, 40)}), ("-4", {4}), ("20", {20})],
)
def test_the_frames_named_are_swapped_and_the_others_stay_bit_for_bit(
    make_input: Any, model: Path, tmp_path: Path, frames: str | None, expected: set[int]
) -> None:
    given, output = make_input(frames=40, with_face=range(4, 40)), tmp_path / "swapped.mkv"
    summary = convert(lossless(given, model, output, frames=frames), quiet=True)
    assert changed(given.clip, output) == sorted(expected)
    assert (summary.frames, summary.frames_swapped) == (40, len(expected))
    assert sound(output) == sound(given.clip)


def test_frames_without_the_person_are_an_error_and_nothing_is_written(
    make_input: Any, model: Path, tmp_path: Path
) -> None:
    given, output = make_input(frames=20, with_face=range(10)), tmp_path / "swapped.mp4"
    with pytest.raises(InputError, match="none of these frames"):
        convert(lossless(given, model, output, frames="10-"), quiet=True)
    with pytest.raises(UsageError, match="no range of frames"):
        convert(lossless(given, model, output, frames="ten"), quiet=True)
    assert not list(tmp_path.glob("*swapped*"))


def test_only_the_frames_named_are_looked_at(data: Path, tmp_path: Path) -> None:
    clip = data / "videos" / "author_smile.mp4"
    settings = ScanSettings(clip, tmp_path / "faces", size=64, pictures=False, frames=frame_ranges("3-5,20"))
    with open_video(clip) as video:
        meta = meta_of(settings, describe_source(video))
    assert scan(settings, meta, silent) == 4
    assert FaceSet.open(settings.folder).table["frame"].to_pylist() == [3, 4, 5, 20]


@pytest.mark.parametrize(
    ("name", "frames", "size"),
    [
        ("one.mp4", 1, (160, 120)),
        ("point.mkv", 3, (1, 1)),
        ("line.mkv", 2, (64, 1)),
        pytest.param("large.mp4", 3, (3840, 2160), id="4K"),
    ],
)
def test_clips_of_one_frame_of_one_pixel_and_of_4k_convert(
    make_input: Any, model: Path, tmp_path: Path, name: str, frames: int, size: tuple[int, int]
) -> None:
    given = make_input(name, frames=frames, size=size)
    output = tmp_path / f"swapped{given.clip.suffix}"
    convert(ConvertSettings(given.clip, model, output, faces=given.faces), quiet=True)
    with open_video(output) as video:
        assert (video.info.width, video.info.height) == size
    assert len(changed(given.clip, output)) <= frames
    assert sound(output) == sound(given.clip)
