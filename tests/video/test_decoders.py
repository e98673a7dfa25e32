"""Who decodes which file: DALI where it gives PyAV's frames, PyAV elsewhere, with a reason; by name never another."""

from __future__ import annotations

import itertools
import logging
from functools import partial
from pathlib import Path

import pytest

from fastswap.errors import InputError, MissingDependencyError, UsageError
from fastswap.video import _av_reader, _choice, _dali_reader, decoders, open_video
from fastswap.video._choice import reader_of
from fastswap.video._timetable import UnfitError, timetable

from .conftest import STEP, TIME_BASE, MakeClip, film, packets_of

REASONS: dict[str, str | None] = {
    "v_59_94fps.mkv": None,
    "v_decord_corrupted.mp4": None,  # its headers and packets are whole: NVDEC finds out
    "v_decord_unordered.mov": None,
    "v_decord_video_90.mov": None,
    "v_hevc_10bit.mp4": "yuv420p10le",
    "v_lowlight.mp4": None,
    "v_mjpeg.avi": "is mjpeg",
    "v_moviepy_failing_audio.mp4": None,
    "v_one_frame.mp4": None,
    "v_rot90_meta.mp4": None,
    "v_sar_2to1.mp4": None,
    "v_torchcodec_av1_video.mkv": "is av1",
    "v_torchcodec_bt709_full_range.mp4": None,
    "v_torchcodec_h264_10bits.mp4": "yuv420p10le",
    "v_torchcodec_h265_10bits.mp4": "yuv420p10le",
    "v_truncated_faststart.mp4": "is damaged or breaks off",
    "v_vfr.mp4": None,
    "v_vp9_odd_dims.webm": "is vp9",
}
"""What of the odd clips a GPU's DALI is given, and why not the others."""


def reason(path: Path, *, cuda: bool = True) -> str | None:
    try:
        timetable(_av_reader.probe(path), cuda=cuda)
    except UnfitError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", REASONS)
def test_odd_clips_go_where_they_are_read_best(data: Path, name: str) -> None:
    got, wanted = reason(data / "odd" / name), REASONS[name]
    assert got is None if wanted is None else wanted in str(got)


@pytest.mark.parametrize("name", ["v_59_94fps.mkv", "v_vfr.mp4", "v_decord_unordered.mov", "v_rot90_meta.mp4"])
def test_times_from_packets_are_those_of_pyavs_frames(data: Path, name: str) -> None:
    info = _av_reader.probe(data / "odd" / name)
    times = timetable(info, cuda=True)
    frames = [(frame.pts, frame.duration) for frame in _av_reader.frames(info)]
    assert list(zip(times.pts, times.duration, strict=True)) == frames


def test_frames_that_are_not_shown_are_a_reason(data: Path, tmp_path: Path) -> None:
    assert reason(data / "videos" / "noface.mp4") == "has frames that are not shown"  # cut off by an edit list
    path = film(tmp_path / "clip.mkv", "libvpx", range(5))
    assert reason(path, cuda=False) is None
    third = packets_of(path)[2]
    path.write_bytes(path.read_bytes().replace(third, bytes([third[0] & ~0x10]) + third[1:]))
    assert "not shown" in str(reason(path, cuda=False))  # as libvpx's alternative references


def test_interlaced_odd_and_small_are_reasons(make_clip: MakeClip) -> None:
    assert reason(make_clip(options={"x264-params": "interlaced=1"})) == "is interlaced"
    assert "odd size 51x37" in str(reason(make_clip("odd.webm", codec="libvpx-vp9", size=(51, 37)), cuda=False))
    assert "from 48 to 4096" in str(reason(make_clip("small.mp4", size=(64, 32))))
    assert reason(make_clip("enough.mp4", size=(64, 48))) is None


@pytest.mark.skipif(decoders.missing_dali() is not None, reason="no DALI")
def test_dali_by_name_never_falls_back(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError,
        match=r"--decoder dali: .* is h264, .* MJPEG on the CPU here: use --decoder av",
    ) as error:
        open_video(data / "odd" / "v_vfr.mp4", decoder="dali")
    assert "\n" not in str(error.value)
    path = film(tmp_path / "clip.webm", "libvpx-vp9", range(3))
    monkeypatch.setattr(decoders, "_loaded", lambda library: None)
    with pytest.raises(MissingDependencyError, match="no NVIDIA driver here"):
        open_video(path, device="cuda", decoder="dali")
    monkeypatch.setattr(decoders, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install"):
        open_video(path, decoder="dali")


def test_a_decoder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of auto, dali, av"):
        open_video(tmp_path, decoder="nvdec")


def test_auto_goes_on_with_pyav_where_dali_gives_up(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    info = _av_reader.probe(make_clip())

    def two(*_: object) -> object:
        yield from itertools.islice(_av_reader.frames(info), 2)
        raise InputError("DALI gives up (it is tired)")

    monkeypatch.setattr(_dali_reader, "frames", two)
    monkeypatch.setattr(_choice, "missing_dali", lambda: None)
    monkeypatch.setattr(_choice, "missing_nvdec", lambda: None)
    with caplog.at_level(logging.WARNING, "fastswap"):
        frames = list(reader_of(info, "cuda", "auto", _av_reader.frames)(info))
    assert [(frame.index, frame.pts) for frame in frames] == [(n, n * STEP) for n in range(6)]
    assert info.time_base == TIME_BASE
    assert [record.getMessage() for record in caplog.records] == [
        "DALI gives up (it is tired); PyAV goes on after 2 frames"
    ]


def test_auto_says_once_why_it_is_pyav(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    info = _av_reader.probe(make_clip(pixels="yuv422p"))
    by_av = partial(_av_reader.frames, part=None)
    _choice._say_once.cache_clear()
    monkeypatch.setattr(_choice, "missing_dali", lambda: None)
    monkeypatch.setattr(_choice, "missing_nvdec", lambda: None)
    with caplog.at_level(logging.INFO, "fastswap"):
        assert all(reader_of(info, "cuda", "auto", by_av) is by_av for _ in range(3))
        assert reader_of(info, "cpu", "auto", by_av) is by_av  # nothing to say of it
        monkeypatch.setattr(_choice, "missing_nvdec", lambda: "there is no NVDEC")
        assert reader_of(info, "cuda", "auto", by_av) is by_av
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        "clip.mp4 has yuv422p samples, and DALI reads 8-bit 4:2:0: it is decoded on the CPU",
        "videos are decoded on the CPU: there is no NVDEC",
    ]
