"""What goes along beside the frames: every sound, subtitles, chapters, titles; and what of it where only a part was
written."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from fastswap.errors import InputError
from fastswap.video import open_video, write_video

from .conftest import STEP, MakeClip, sound_of

MILLI = Fraction(1, 1000)
CHAPTERS = [
    {"id": 1, "start": 0, "end": 120, "time_base": MILLI, "metadata": {"title": "eins"}},
    {"id": 2, "start": 120, "end": 240, "time_base": MILLI, "metadata": {"title": "zwei ü"}},
]


@pytest.fixture
def rich(make_clip: MakeClip, tmp_path: Path) -> Path:
    """A film: a picture with a title, two sounds in two languages, the second the default, subtitles and chapters."""
    plain, path = make_clip("plain.mp4", sound="aac"), tmp_path / "rich.mkv"
    with av.open(str(plain)) as read, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as output:
        output.metadata["title"] = "ein Titel"
        output.set_chapters(CHAPTERS)
        targets = [output.add_stream_from_template(read.streams[index]) for index in (0, 1, 1)]
        targets[0].codec_context.framerate = 25
        words: Any = output.add_stream("ass")
        words.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n[Events]\n"
        words.metadata["language"] = "fra"
        for target, title, language in zip(targets, ("Bild", "Ton", "Kommentar"), ("jpn", "eng", "ita"), strict=True):
            target.metadata.update(title=title, language=language, encoder="an encoder")
        targets[2].disposition = 1
        said = [
            _packet(f"{n},0,Default,,0,0,0,,said {n}".encode(), (n * 80, n * 80, 80), MILLI, words) for n in range(3)
        ]
        for packet in (p for p in read.demux() if p.dts is not None):
            while said and said[0].pts * MILLI <= packet.dts * packet.time_base:
                output.mux(said.pop(0))
            for target in targets[1:] if packet.stream.type == "audio" else targets[:1]:
                output.mux(_packet(bytes(packet), (packet.pts, packet.dts, packet.duration), packet.time_base, target))
    return path


def _packet(content: bytes, times: tuple[int, int, int], time_base: Fraction, stream: Any) -> av.Packet:
    packet = av.Packet(content)
    packet.pts, packet.dts, packet.duration = times
    packet.time_base, packet.stream = time_base, stream
    return packet


def rewrite(source: Path, target: Path, frames: int | None = None, **options: Any) -> Path:
    """Writes the source again; where `frames` is given only so many, and then stops."""
    with open_video(source) as video, write_video(target, video.info, **options) as writer:
        for frame in video:
            if frame.index == frames:
                writer.stop()
                break
            writer.write(frame)
    return target


def chapters(path: Path) -> list[tuple[str, float, float]]:
    with av.open(str(path)) as container:
        return [
            (c["metadata"]["title"], float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]))
            for c in container.chapters()
        ]


def tags(path: Path, kind: str) -> list[dict[str, str]]:
    with av.open(str(path)) as container:
        return [{key.lower(): value for key, value in s.metadata.items()} for s in getattr(container.streams, kind)]


def texts(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.subtitles[0])
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets if p.dts is not None]


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.mov"])
def test_chapters_and_titles_go_along(rich: Path, tmp_path: Path, name: str) -> None:
    target = rewrite(rich, tmp_path / name)
    assert chapters(target) == chapters(rich) == [("eins", 0, 0.12), ("zwei ü", 0.12, 0.24)]
    with av.open(str(target)) as written:
        assert written.metadata.get("title", written.metadata.get("TITLE")) == "ein Titel"
        assert [bool(s.disposition & 1) for s in written.streams.audio] == [False, True]
        assert len(list(written.demux(written.streams.audio[1]))) > 12
    assert [t["language"] for kind in ("video", "audio") for t in tags(target, kind)] == ["jpn", "eng", "ita"]
    if name == "out.mkv":
        assert [t["title"] for kind in ("video", "audio") for t in tags(target, kind)] == ["Bild", "Ton", "Kommentar"]
        assert all(t.get("encoder") != "an encoder" for t in tags(target, "video"))


def test_subtitles_go_along_where_the_container_holds_them(rich: Path, tmp_path: Path) -> None:
    target = rewrite(rich, tmp_path / "out.mkv")
    assert texts(target) == texts(rich)
    assert len(texts(target)) == 3
    assert tags(target, "subtitles")[0]["language"] == "fra"


def test_subtitles_and_chapters_that_cannot_be_held_are_said_once(
    rich: Path, make_clip: MakeClip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "fastswap"):
        target = rewrite(rich, tmp_path / "out.mp4")
    assert ["ass subtitles are left out" in record.message for record in caplog.records] == [True]
    with av.open(str(target)) as written:
        assert not written.streams.subtitles
    caplog.clear()
    with caplog.at_level(logging.WARNING, "fastswap"):
        rewrite(target, tmp_path / "out.avi")
    assert ["chapters are left out" in record.message for record in caplog.records] == [True]


def test_what_is_written_twice_stays_as_it_was(rich: Path, tmp_path: Path) -> None:
    first = rewrite(rich, tmp_path / "1.mkv")
    second = rewrite(first, tmp_path / "2.mkv")
    assert (chapters(second), texts(second), sound_of(second)) == (chapters(first), texts(first), sound_of(first))
    for kind in ("video", "audio", "subtitles"):
        assert tags(second, kind) == tags(first, kind)


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.mov"])
def test_a_stopped_file_is_whole_and_its_sound_as_long_as_its_frames(rich: Path, tmp_path: Path, name: str) -> None:
    target = rewrite(rich, tmp_path / name, frames=4)
    with open_video(target) as video:
        assert len(list(video)) == 4
    assert chapters(target) == [("eins", 0, 0.12), ("zwei ü", 0.12, 0.16)]
    for index in (0, 1):
        with av.open(str(target)) as written:
            starts = [p.pts * p.time_base for p in written.demux(written.streams.audio[index]) if p.dts is not None]
        assert Fraction("0.13") < max(starts) < Fraction("0.16")
    if name == "out.mkv":
        assert [start for start, _ in texts(target)] == [0, 0.08]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["plain.mp4", "rich.mkv", name])


def test_a_stop_within_the_first_chapter_leaves_one(rich: Path, tmp_path: Path) -> None:
    assert chapters(rewrite(rich, tmp_path / "out.mkv", frames=2)) == [("eins", 0, 0.08)]


@pytest.mark.parametrize("name", ["out.gif", "frames"])
def test_gifs_and_folders_stop_as_well(make_clip: MakeClip, tmp_path: Path, name: str) -> None:
    target = rewrite(make_clip("in.mp4", times=range(0, 6 * 1280, 1280)), tmp_path / name, frames=3)
    with open_video(target) as video:
        assert len(list(video)) == 3


def test_a_stop_before_the_first_frame_writes_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip("in.mp4")
    for name in ("out.mp4", "out.gif", "frames"):
        rewrite(source, tmp_path / name, frames=0)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_no_frame_follows_a_stop(make_clip: MakeClip, tmp_path: Path) -> None:
    with open_video(make_clip("in.mp4")) as video, write_video(tmp_path / "out.mp4", video.info) as writer:
        frames = iter(video)
        writer.write(next(frames))
        writer.stop()
        with pytest.raises(ValueError, match="stop"):
            writer.write(next(frames))


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_alone_is_the_frames_with_their_times_and_nothing_else(rich: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    with open_video(rich) as video, write_video(target, video.info, alone=True, quality=0) as writer:
        for frame in list(video)[2:5]:
            writer.write(frame)
    with av.open(str(target)) as written:
        assert [stream.type for stream in written.streams] == ["video"]
        assert (written.chapters(), "title" in {key.lower() for key in written.metadata}) == ([], False)
    with open_video(target) as video:
        assert [round(frame.pts * frame.time_base / MILLI) for frame in video] == [80, 120, 160]


def test_a_part_alone_keeps_its_times_to_the_tick(make_clip: MakeClip, tmp_path: Path) -> None:
    """Frame 1001 of 30000/1001 frames a second begins between two milliseconds."""
    base = Fraction(1, 30000)
    source = make_clip("in.mp4", times=range(0, 9 * 1001, 1001), time_base=base, last=1001)
    with open_video(source) as video, write_video(tmp_path / "out.mp4", video.info, alone=True) as writer:
        frames = list(video)[5:]
        for frame in frames:
            writer.write(frame)
    with open_video(tmp_path / "out.mp4") as video:
        assert [f.pts * f.time_base for f in video] == [f.pts * f.time_base for f in frames]


def test_alone_needs_no_room_for_the_sound(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip("in.mp4", sound="aac")
    with open_video(source) as video:
        with pytest.raises(InputError):
            write_video(tmp_path / "out.webm", video.info)
        with write_video(tmp_path / "out.webm", video.info, alone=True) as writer:
            for frame in video:
                writer.write(frame)
    with open_video(tmp_path / "out.webm") as video:
        assert not video.info.has_audio


def test_a_broadcast_clock_moves_chapters_and_parts_too(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip(
        "in.ts", sound="mp2", sound_start=192000, codec="mpeg2video", time_base=Fraction(1, 25), times=range(100, 106)
    )
    whole, part = rewrite(source, tmp_path / "whole.mp4"), rewrite(source, tmp_path / "part.mp4", alone=True)
    with open_video(whole) as a, open_video(part) as b:
        assert [f.pts * f.time_base for f in a] == pytest.approx([float(f.pts * f.time_base) for f in b], abs=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 1), (16, 15)])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.avi", "out.webm", "out.gif"])
def test_a_clip_of_one_tiny_frame(make_clip: MakeClip, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    source = make_clip("in.mkv", codec="ffv1", size=size, times=(0,), time_base=MILLI, last=40)
    with open_video(rewrite(source, tmp_path / name)) as video:
        assert [(f.planes.width, f.planes.height) for f in video] == [size]


def test_a_stop_keeps_the_last_frames_length(make_clip: MakeClip, tmp_path: Path) -> None:
    target = rewrite(make_clip("in.mp4", times=range(0, 40 * STEP, STEP)), tmp_path / "out.mp4", frames=30)
    with av.open(str(target)) as written:
        video = written.streams.video[0]
        assert (video.frames, video.duration * video.time_base) == (30, Fraction(30, 25))
