"""Parts of a video: a partition, each frame of which is the one of the whole, to the bit; and parts joined again."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from fastswap.errors import InputError
from fastswap.video import Frame, VideoInfo, VideoWriter, open_video, write_video
from fastswap.video.joining import can_join, join
from fastswap.video.segments import WHOLE, Part, PartError, split

from .conftest import STEP, MakeClip, sound_of

LONG = tuple(range(0, 60 * STEP, STEP))
UNEVEN = tuple(itertools.accumulate((100 + 37 * (n % 5) for n in range(60)), initial=0))
Seen = tuple[int, int, int, str]
GOPS = {
    "closed": {"codec": "libx264", "options": {"g": "10", "bf": "2", "x264-params": "scenecut=0"}},
    "open": {"codec": "libx264", "options": {"g": "10", "bf": "2", "x264-params": "scenecut=0:open-gop=1"}},
    "hevc-rasl": {"codec": "libx265", "options": {"x265-params": "keyint=10:open-gop=1:scenecut=0:log-level=error"}},
    "hevc-radl": {"codec": "libx265", "options": {"x265-params": "keyint=10:radl=2:open-gop=0:log-level=error"}},
    "mpeg2": {"codec": "mpeg2video", "options": {"g": "10", "bf": "2"}, "time_base": Fraction(1, 25)},
    "mpeg4": {"codec": "mpeg4", "options": {"g": "10", "bf": "2"}},
    "vp9": {"codec": "libvpx-vp9", "options": {"g": "10"}},
    "av1": {"codec": "libsvtav1", "options": {"g": "10", "svtav1-params": "keyint=10"}},
}
CUT = {"closed", "open", "hevc-rasl", "hevc-radl", "mpeg2", "vp9"}
"""The streams above of which it can be proved where decoding may begin, and whose encoders follow the options."""


def seen(frame: Frame) -> Seen:
    digest = hashlib.sha256(b"".join(plane.numpy().tobytes() for plane in frame.planes.data)).hexdigest()
    return frame.index, frame.pts, frame.duration, digest


def of_parts(path: Path, parts: list[Part]) -> Iterator[Seen]:
    for part in parts:
        with open_video(path, part=part) as video:
            yield from map(seen, video)


def whole(path: Path) -> list[Seen]:
    with open_video(path) as video:
        return list(map(seen, video))


@pytest.mark.parametrize("times", [LONG, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("gop", GOPS)
def test_parts_hold_the_frames_of_the_whole(make_clip: MakeClip, gop: str, suffix: str, times: tuple[int, ...]) -> None:
    if gop == "mpeg2":  # which knows no other frame rates
        times = tuple(range(60))
    path = make_clip(f"clip{suffix}", times=times, **GOPS[gop])
    for multiple in (1, 4):
        parts = split(path, 15, multiple=multiple)
        assert [part.first for part in parts[1:]] == [part.end for part in parts[:-1]]
        assert all(part.first % multiple == 0 for part in parts)
        assert list(of_parts(path, parts)) == whole(path)
        if gop in CUT:
            assert len(parts) >= 3


@pytest.mark.parametrize(
    "name",
    [
        "videos/hard_face_leaves.mov", "videos/grid_woman.mpg", "videos/hard_profile_turns.gif", "odd/v_mjpeg.avi",
        "odd/v_moviepy_failing_audio.mp4", "odd/v_vp9_odd_dims.webm", "odd/v_vfr.mp4", "odd/v_rot90_meta.mp4",
        "odd/v_decord_corrupted.mp4", "odd/v_truncated_faststart.mp4", "odd/v_one_frame.mp4",
        "odd/v_torchcodec_av1_video.mkv", "odd/i_animated.png", "odd/i_1x1.png",
    ],
)  # fmt: skip
def test_real_files_in_parts_are_the_whole(data: Path, name: str) -> None:
    path = data / name
    assert list(of_parts(path, split(path, 20, multiple=8))) == whole(path)


def test_key_frames_of_a_broadcast_stream_are_not_believed(
    make_clip: MakeClip, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that is refreshed bit by bit: FFmpeg calls each beginning of that a key frame."""
    refreshed = {"g": "10", "x264-params": "scenecut=0:intra-refresh=1"}
    path = make_clip("clip.ts", codec="libx264", options=refreshed, times=LONG)
    with av.open(str(path)) as container:
        assert sum(packet.is_keyframe for packet in container.demux(video=0)) > 3
    with caplog.at_level(logging.INFO, "fastswap"):
        assert [part.is_whole for part in split(path, 15)] == [True]
    assert "it has no key frame to begin another at" in caplog.text
    path = make_clip("cut.ts", times=LONG, **GOPS["open"])
    parts = split(path, 15)
    assert len(parts) >= 3
    assert list(of_parts(path, parts)) == whole(path)


def test_a_single_part_is_said_with_its_reason(make_clip: MakeClip, caplog: pytest.LogCaptureFixture) -> None:
    path = make_clip(times=LONG, **GOPS["mpeg4"])
    with caplog.at_level(logging.INFO, "fastswap"):
        (part,) = split(path, 15)
    assert part.is_whole
    assert part.end == 60
    assert [record.message for record in caplog.records] == [
        "clip.mp4 is taken as one part: nothing is known of where mpeg4 may be cut"
    ]


def test_a_part_with_missing_frames_is_refused(make_clip: MakeClip) -> None:
    path = make_clip(times=LONG, **GOPS["closed"])
    middle = split(path, 15)[1]
    with pytest.raises(PartError, match="can only be read as a whole"):
        list(of_parts(path, [replace(middle, end=middle.end + 1)]))
    with pytest.raises(PartError, match="not found again"):
        list(of_parts(path, [replace(middle, key=middle.key + 1)]))


def test_a_picture_has_no_parts(data: Path) -> None:
    assert split(data / "odd" / "i_1x1.png", 10) == [WHOLE]
    with pytest.raises(ValueError, match="no video file"):
        open_video(data / "odd" / "i_1x1.png", part=Part(1, 2, 0, 0, None))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("times", [LONG, UNEVEN], ids=["even", "uneven"])
def test_joined_parts_are_what_one_writer_writes(
    make_clip: MakeClip, tmp_path: Path, suffix: str, codec: str, times: tuple[int, ...]
) -> None:
    source = make_clip("source.mkv", times=times, sound="aac", **GOPS["open"])
    info, parts = _written_in_parts(source, tmp_path, suffix, codec)
    joined = tmp_path / f"joined{suffix}"
    join(parts, joined, info)
    single = tmp_path / f"single{suffix}"
    with open_video(source) as video, write_video(single, info, codec=codec, quality=0) as writer:
        for frame in video:
            writer.write(frame)
    assert [(index, pts, digest) for index, pts, _, digest in whole(joined)] == [
        (index, pts, digest) for index, pts, _, digest in whole(single)
    ]
    assert sound_of(joined) == sound_of(single)
    with open_video(joined) as a, open_video(single) as b:
        assert replace(a.info, path=b.info.path) == b.info
    with av.open(str(joined)) as a, av.open(str(single)) as b:
        assert (a.duration, a.metadata, a.streams.video[0].codec_context.codec_tag) == (
            b.duration, b.metadata, b.streams.video[0].codec_context.codec_tag
        )  # fmt: skip
        stamps = [p.dts for p in a.demux(video=0) if p.dts is not None]
        assert all(first < second for first, second in itertools.pairwise(stamps))


def _writer(path: Path, source: VideoInfo, codec: str) -> VideoWriter:
    return write_video(path, source, codec=codec, quality=0, alone=True)


def _written_in_parts(source: Path, folder: Path, suffix: str, codec: str) -> tuple[VideoInfo, list[Path]]:
    paths = []
    for number, part in enumerate(split(source, 15)):
        paths.append(folder / f"{number}{suffix}")
        with open_video(source, part=part) as video, _writer(paths[-1], video.info, codec) as writer:
            for frame in video:
                writer.write(frame)
    assert len(paths) > 2
    return video.info, paths


def test_parts_of_different_settings_are_not_joined(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip("source.mkv", times=LONG, **GOPS["open"])
    info, parts = _written_in_parts(source, tmp_path, ".mkv", "h264")
    (tmp_path / "other").mkdir()
    _, others = _written_in_parts(source, tmp_path / "other", ".mkv", "hevc")
    with pytest.raises(InputError, match="different settings"):
        join([parts[0], *others[1:]], tmp_path / "joined.mkv", info)
    assert not (tmp_path / "joined.mkv").exists()


def test_only_files_whose_frames_carry_times_can_be_joined() -> None:
    names = ("a.mp4", "a.MOV", "a.mkv", "a.webm", "a.avi", "a.gif", "a.png", "folder")
    assert [can_join(Path(name)) for name in names] == [True] * 4 + [False] * 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_part_may_be_short(make_clip: MakeClip, tmp_path: Path, count: int) -> None:
    """x265 has no times of decoding for one or two frames; what it says then is left to chance."""
    source = make_clip("source.mkv", times=LONG[:count])
    for _ in range(8):
        with open_video(source) as video, _writer(tmp_path / "short.mkv", video.info, "hevc") as writer:
            for frame in video:
                writer.write(frame)
        assert len(whole(tmp_path / "short.mkv")) == count
