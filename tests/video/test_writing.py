"""Videos out: whole or absent; the source's times, size, depth, tags, turn and sound; lossless where asked."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from fastswap.errors import FastswapError, InputError, UsageError
from fastswap.video import Frame, VideoInfo, open_video, write_video
from fastswap.video._orientation import Orientation

from .conftest import STEP, MakeClip, sound_of

UNEVEN = (0, 320, 960, 2560, 3088, 3600)


def copy(source: Path, target: Path, **options: Any) -> tuple[VideoInfo, VideoInfo, list[Frame], list[Frame]]:
    """Writes a source again: what both files are, and the frames of both."""
    with open_video(source) as video, write_video(target, video.info, **options) as writer:
        frames = list(video)
        for frame in frames:
            writer.write(frame)
    assert sorted(target.parent.glob(".*partial*")) == []
    with open_video(target) as written:
        return video.info, written.info, frames, list(written)


def same_samples(a: list[Frame], b: list[Frame]) -> bool:
    return all(
        torch.equal(x, y) for f, g in zip(a, b, strict=True) for x, y in zip(f.planes.data, g.planes.data, strict=True)
    )


def seconds(frames: list[Frame]) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec", "encoder"),
    [
        ("out.mp4", "auto", "h264"), ("out.mov", "auto", "h264"), ("out.mkv", "auto", "h264"),
        ("out.avi", "auto", "h264"), ("out.webm", "auto", "vp9"), ("out.mp4", "hevc", "hevc"),
        ("out.mkv", "ffv1", "ffv1"), ("out.mp4", "vp9", "vp9"),
    ],
)  # fmt: skip
def test_lossless_is_bit_exact_with_the_same_times(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: str, encoder: str
) -> None:
    before, after, frames, again = copy(make_clip("in.mp4"), tmp_path / name, codec=codec, quality=0)
    assert (after.codec, after.layout, after.fps, after.aspect) == (encoder, "nv12", before.fps, before.aspect)
    assert (after.width, after.height) == (before.width, before.height)
    assert same_samples(frames, again)
    assert seconds(frames) == seconds(again)


@pytest.mark.parametrize(("name", "codec"), [("out.mp4", "auto"), ("out.mkv", "h264"), ("out.mkv", "ffv1")])
def test_ten_bits_stay_ten_bits(make_clip: MakeClip, tmp_path: Path, name: str, codec: str) -> None:
    source = make_clip(
        "in.mkv", codec="ffv1", pixels="yuv420p10le", time_base=Fraction(1, 1000), times=range(0, 240, 40)
    )
    _, after, frames, again = copy(source, tmp_path / name, codec=codec, quality=0)
    assert after.layout == "p010"
    assert same_samples(frames, again)
    assert int(frames[0].planes.data[0].view(torch.int16).unique().numel()) > 20


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize("quality", [0, 30])
def test_a_variable_frame_rate_keeps_its_times(make_clip: MakeClip, tmp_path: Path, name: str, quality: int) -> None:
    """quality 30 has B-frames, lossless has none; Matroska counts in milliseconds."""
    before, after, frames, again = copy(make_clip("in.mp4", times=UNEVEN), tmp_path / name, quality=quality)
    tolerance = Fraction(1, 2000) if name == "out.mkv" else 0
    assert all(abs(a - b) <= tolerance for a, b in zip(seconds(again), seconds(frames), strict=True))
    assert after.frames in (before.frames, 7)
    assert float(after.fps) == pytest.approx(6 / (float(seconds(frames)[-1]) + 0.04), rel=0.03)
    if quality == 0:
        assert again[-1].duration * again[-1].time_base == pytest.approx(0.04, abs=0.0011)


def test_avi_says_that_it_evens_out_the_times(
    make_clip: MakeClip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "fastswap"):
        *_, again = copy(make_clip("in.mp4", times=UNEVEN), tmp_path / "out.avi")
    assert len(again) == 6
    assert sum("one frame rate" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    "tags",
    [
        {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1},
        {"colorspace": 5, "color_primaries": 5, "color_trc": 6, "color_range": 2},
        {"colorspace": 9, "color_primaries": 9, "color_trc": 14, "color_range": 1},
        {},
    ],
)
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_colour_tags_and_pixel_shape_are_kept(
    make_clip: MakeClip, tmp_path: Path, tags: dict[str, int], name: str
) -> None:
    source = make_clip("in.mp4", sample_aspect_ratio=Fraction(4, 3), **tags)
    before, after, *_ = copy(source, tmp_path / name)
    assert (after.tags, after.colour) == (before.tags, before.colour)
    assert after.pixel_shape == before.pixel_shape == Fraction(4, 3)


@pytest.mark.parametrize("turn", [Orientation(True, True, False), Orientation(False, True, True), Orientation(True)])
def test_mp4_stores_a_turned_source_as_it_was_stored(make_clip: MakeClip, tmp_path: Path, turn: Orientation) -> None:
    source = make_clip("in.mp4", matrix=turn.matrix(), sample_aspect_ratio=Fraction(4, 3))
    before, after, frames, again = copy(source, tmp_path / "out.mp4", quality=0)
    assert replace(after, path=before.path) == replace(before, codec=after.codec)
    assert same_samples(frames, again)
    with av.open(str(source)) as a, av.open(str(tmp_path / "out.mp4")) as b:
        assert (a.streams.video[0].width, a.streams.video[0].height) == (64, 48)
        assert (b.streams.video[0].width, b.streams.video[0].height) == (64, 48)


def test_other_containers_store_it_upright(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip("in.mp4", matrix=Orientation(True, True, False).matrix(), sample_aspect_ratio=Fraction(4, 3))
    before, after, frames, again = copy(source, tmp_path / "out.mkv", quality=0)
    assert (after.width, after.height, after.pixel_shape) == (before.width, before.height, Fraction(3, 4))
    assert same_samples(frames, again)


@pytest.mark.parametrize("turn", [None, Orientation(True, True, False).matrix()])
def test_ten_bits_of_a_turned_source(make_clip: MakeClip, tmp_path: Path, turn: list[int] | None) -> None:
    options = {"x265-params": "lossless=1:log-level=error"}
    source = make_clip("in.mp4", codec="libx265", pixels="yuv420p10le", matrix=turn, options=options)
    *_, frames, again = copy(source, tmp_path / "out.mp4", quality=0)
    assert same_samples(frames, again)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.webm", "out.avi"])
def test_odd_sizes_stay_odd(make_clip: MakeClip, tmp_path: Path, name: str) -> None:
    before, after, frames, again = copy(
        make_clip("in.webm", codec="libvpx-vp9", size=(51, 37)), tmp_path / name, quality=0
    )
    assert (after.width, after.height) == (before.width, before.height) == (51, 37)
    assert same_samples(frames, again)


@pytest.mark.parametrize(("name", "codec"), [("out.mov", "auto"), ("out.mp4", "h264"), ("out.mp4", "hevc")])
def test_odd_sizes_that_cannot_be_held_are_one_line(make_clip: MakeClip, tmp_path: Path, name: str, codec: str) -> None:
    source = make_clip("in.webm", codec="libvpx-vp9", size=(51, 37))
    with open_video(source) as video, pytest.raises(InputError, match="51x37"):
        write_video(tmp_path / name, video.info, codec=codec)


@pytest.mark.parametrize("start", [0, -1024, 24000])
@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_sound_is_copied_packet_by_packet_with_its_start(
    make_clip: MakeClip, tmp_path: Path, name: str, start: int
) -> None:
    source = make_clip("in.mp4", sound="aac", sound_start=start)
    before, after, frames, again = copy(source, tmp_path / name)
    assert before.has_audio
    assert after.has_audio
    assert seconds(again) == seconds(frames)
    sound, copied = sound_of(source), sound_of(tmp_path / name)
    assert [content for _, content in copied] == [content for _, content in sound]
    tolerance = Fraction(1, 1000) if name.endswith("mkv") else 0
    assert all(abs(a - b) <= tolerance for (a, _), (b, _) in zip(sound, copied, strict=True))


def test_a_broadcast_clock_is_set_to_zero_for_both(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip(
        "in.ts", sound="mp2", sound_start=192000, codec="mpeg2video", time_base=Fraction(1, 25), times=range(100, 106)
    )
    *_, frames, again = copy(source, tmp_path / "out.mp4")
    shift = seconds(frames)[0] - seconds(again)[0]
    assert shift > 1
    assert [a - b for a, b in zip(seconds(frames), seconds(again), strict=True)] == [shift] * 6
    for (a, content), (b, copied) in zip(sound_of(source), sound_of(tmp_path / "out.mp4"), strict=True):
        assert content == copied
        assert a - b == pytest.approx(shift, abs=1e-4)


def test_two_sounds_and_the_title_are_kept(make_clip: MakeClip, tmp_path: Path) -> None:
    plain, source = make_clip("plain.mp4", sound="aac"), tmp_path / "in.mkv"
    with av.open(str(plain)) as read, av.open(str(source), "w") as output:
        output.metadata["title"] = "ein Titel"
        targets = [output.add_stream_from_template(read.streams[index]) for index in (0, 1, 1)]
        targets[2].metadata["language"] = "deu"
        for packet in read.demux():
            if packet.dts is None:
                continue
            for target in targets[1:] if packet.stream.type == "audio" else targets[:1]:
                twin = av.Packet(bytes(packet))
                twin.pts, twin.dts, twin.time_base, twin.stream = packet.pts, packet.dts, packet.time_base, target
                output.mux(twin)
    copy(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as written:
        assert len(written.streams.audio) == 2
        assert written.streams.audio[1].metadata["language"] == "deu"
        assert {key.lower(): value for key, value in written.metadata.items()}["title"] == "ein Titel"


def test_the_real_talkers_sound_and_times(data: Path, tmp_path: Path) -> None:
    for source, name in (("author_smile.mp4", "a.mp4"), ("hard_face_leaves.mov", "b.mov"), ("grid_woman.mpg", "c.mp4")):
        path = data / "videos" / source
        before, after, frames, again = copy(path, tmp_path / name)
        assert seconds(frames) == seconds(again)
        assert (after.fps, after.width, after.aspect) == (before.fps, before.width, before.aspect)
        sound, copied = sound_of(path), sound_of(tmp_path / name)
        assert [content for _, content in copied] == [content for _, content in sound]
        assert max(abs(a - b) for (a, _), (b, _) in zip(sound, copied, strict=True)) < Fraction(1, 100_000)


def test_sound_that_breaks_off_does_not_end_the_video(data: Path, tmp_path: Path) -> None:
    path = data / "odd" / "v_moviepy_failing_audio.mp4"
    with open_video(path) as video, write_video(tmp_path / "a.mkv", video.info) as writer:
        for frame in video:
            writer.write(frame)
    assert [content for _, content in sound_of(tmp_path / "a.mkv")] == [content for _, content in sound_of(path)]


@pytest.mark.parametrize("name", ["out.webm", "out.gif"])
def test_a_container_that_cannot_hold_the_sound_is_refused_before_any_work(
    make_clip: MakeClip, tmp_path: Path, name: str
) -> None:
    source = make_clip("in.mp4", sound="aac")
    with open_video(source) as video, pytest.raises(InputError, match=r"\.mkv"):
        write_video(tmp_path / name, video.info)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("out.xyz", {}, UsageError), ("out.png", {}, UsageError), ("out.mp4", {"codec": "mpeg9"}, UsageError),
        ("out.webm", {"codec": "h264"}, UsageError), ("out.mp4", {"quality": 52}, UsageError),
        ("out.mp4", {"quality": -1}, UsageError), ("in.mp4", {}, InputError), ("in.mp4/out.mp4", {}, InputError),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_one_line_before_any_work(
    make_clip: MakeClip, tmp_path: Path, name: str, options: dict[str, Any], kind: type[FastswapError]
) -> None:
    with open_video(make_clip("in.mp4")) as video, pytest.raises(kind) as error:
        write_video(tmp_path / name, video.info, **options)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_the_source_is_known_by_another_name(make_clip: MakeClip, tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(make_clip("in.mp4"))
    with open_video(tmp_path / "in.mp4") as video, pytest.raises(InputError, match="source itself"):
        write_video(tmp_path / "link.mp4", video.info)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_nothing_and_keeps_what_was_there(
    make_clip: MakeClip, tmp_path: Path, error: type[BaseException]
) -> None:
    source = make_clip("in.mp4", sound="aac")
    (tmp_path / "out.mp4").write_bytes(b"old")

    def fail() -> None:
        with open_video(source) as video, write_video(tmp_path / "out.mp4", video.info) as writer:
            for frame in video:
                writer.write(frame)
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_no_frame_is_no_video(make_clip: MakeClip, tmp_path: Path) -> None:
    with (
        open_video(make_clip("in.mp4")) as video,
        pytest.raises(InputError, match="no frame"),
        write_video(tmp_path / "out.mp4", video.info),
    ):
        pass
    assert not (tmp_path / "out.mp4").exists()


def test_a_disk_that_is_full_is_one_line(make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with open_video(make_clip("in.mp4")) as video:
        writer = write_video(tmp_path / "out.mp4", video.info)
        monkeypatch.setattr(writer, "_put", full)
        with pytest.raises(InputError, match="No space left"), writer:
            writer.write(next(iter(video)))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_frame_of_another_size_is_a_mistake_of_the_caller(make_clip: MakeClip, tmp_path: Path) -> None:
    with (
        open_video(make_clip("in.mp4")) as video,
        open_video(make_clip("b.mp4", size=(32, 32))) as other,
        pytest.raises(ValueError, match="expected"),
        write_video(tmp_path / "out.mp4", video.info) as writer,
    ):
        writer.write(next(iter(other)))


def test_a_gif_of_few_colours_is_exact_with_its_times(data: Path, tmp_path: Path) -> None:
    before, after, frames, again = copy(data / "videos" / "hard_profile_turns.gif", tmp_path / "out.gif")
    assert same_samples(frames, again)
    assert seconds(again) == seconds(frames)
    assert (after.codec, after.fps) == ("gif", before.fps)


def test_a_video_as_gif_looks_like_it(make_clip: MakeClip, tmp_path: Path) -> None:
    *_, again = copy(make_clip("in.mp4", times=range(0, 3 * 1280, 1280)), tmp_path / "out.gif")
    assert len(again) == 3
    assert [float(t) for t in seconds(again)] == pytest.approx([0, 0.1, 0.2])


def test_an_rgb_clip_as_mp4_shows_the_same_colours(data: Path, tmp_path: Path) -> None:
    *_, frames, again = copy(data / "videos" / "hard_profile_turns.gif", tmp_path / "out.mp4", quality=10)
    assert len(again) == len(frames)
    with open_video(tmp_path / "out.mp4") as video, write_video(tmp_path / "pictures", video.info) as writer:
        for frame in video:
            writer.write(frame)
    with open_video(tmp_path / "pictures") as pictures:
        shown = [frame.planes.data[0].float() for frame in pictures]
    for a, b in zip(frames, shown, strict=True):
        bias = (a.planes.data[0].float() - b).mean(dim=(0, 1, 2))
        assert bias.abs().max() < 1.5, "matrix and range go round"


def test_the_whole_length_is_kept_with_b_frames(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip("in.mp4", times=range(0, 40 * STEP, STEP), options={"bf": "3"})
    before, after, frames, again = copy(source, tmp_path / "out.mp4", quality=30)
    assert (after.fps, after.frames) == (before.fps, before.frames) == (25, 40)
    assert seconds(again) == seconds(frames)
