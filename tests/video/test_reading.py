"""Videos in: the samples as they were decoded, the times as they are stored, the tags as they mean."""

from __future__ import annotations

import itertools
import logging
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fastswap.errors import InputError
from fastswap.video import open_video

from .conftest import STEP, MakeClip, decoded, plane


@pytest.mark.parametrize("size", [(64, 48), (51, 37)])
def test_nv12_is_the_decoded_yuv420p_sample_for_sample(make_clip: MakeClip, size: tuple[int, int]) -> None:
    path = make_clip("clip.webm", codec="libvpx-vp9", size=size)
    with open_video(path) as video:
        frames = list(video)
        assert (video.info.layout, video.info.bit_depth) == ("nv12", 8)
        assert (video.info.width, video.info.height) == size
    assert len(frames) == len(decoded(path)) == 6
    for frame, truth in zip(frames, decoded(path), strict=True):
        luma, chroma = (p[0].numpy() for p in frame.planes.data)
        assert np.array_equal(luma, plane(truth, 0))
        assert np.array_equal(chroma[..., 0], plane(truth, 1))
        assert np.array_equal(chroma[..., 1], plane(truth, 2))


def test_real_hevc_luma_and_chroma_are_exact_with_threads(data: Path) -> None:
    path = data / "videos" / "hard_face_leaves.mov"
    with open_video(path) as video, av.open(str(path)) as container:
        for count, (frame, truth) in enumerate(zip(video, container.decode(video=0), strict=False)):
            assert np.array_equal(frame.planes.data[0][0].numpy(), plane(truth, 0))
            assert np.array_equal(frame.planes.data[1][0, ..., 1].numpy(), plane(truth, 2))
            if count == 20:
                break


def test_ten_bits_stand_high_in_the_word(make_clip: MakeClip) -> None:
    path = make_clip(codec="libx265", pixels="yuv420p10le", options={"x265-params": "log-level=error"})
    with open_video(path) as video:
        assert (video.info.layout, video.info.bit_depth, video.info.codec) == ("p010", 10, "hevc")
        for frame, truth in zip(video, decoded(path), strict=True):
            assert np.array_equal(frame.planes.data[0][0].numpy(), plane(truth, 0) << 6)
            assert np.array_equal(frame.planes.data[1][0, ..., 0].numpy(), plane(truth, 1) << 6)


def test_frames_belong_to_the_reader_of_them(make_clip: MakeClip) -> None:
    """Writing into a frame must not reach the decoder, which predicts later frames from its own."""
    path = make_clip()
    with open_video(path) as video:
        for frame in video:
            for samples in frame.planes.data:
                samples.zero_()
        untouched = [frame.planes.data[0][0].numpy() for frame in video]
    assert all(np.array_equal(a, plane(b, 0)) for a, b in zip(untouched, decoded(path), strict=True))


def test_a_variable_frame_rate_keeps_its_times(make_clip: MakeClip) -> None:
    times = (0, 320, 960, 2560, 3088, 3600)
    with open_video(make_clip(times=times)) as video:
        frames = list(video)
    assert tuple(frame.pts for frame in frames) == times
    assert [frame.index for frame in frames] == list(range(6))
    assert frames[2].seconds == pytest.approx(0.075)


def test_iterating_again_starts_from_the_first_frame(make_clip: MakeClip) -> None:
    with open_video(make_clip()) as video:
        first = next(iter(video))
        again = list(video)
    assert (first.index, first.pts) == (again[0].index, again[0].pts) == (0, 0)
    assert len(again) == 6


@pytest.mark.parametrize(
    ("size", "tags", "expected"),
    [
        ((64, 48), {}, ("bt601", False)),
        ((1280, 720), {}, ("bt709", False)),
        ((64, 48), {"colorspace": 1, "color_range": 1}, ("bt709", False)),
        ((64, 48), {"colorspace": 5, "color_range": 2}, ("bt601", True)),
        ((64, 48), {"colorspace": 9, "color_primaries": 9}, ("bt2020", False)),
    ],
)
def test_colour_from_tags_or_size(
    make_clip: MakeClip, size: tuple[int, int], tags: dict[str, int], expected: tuple[str, bool]
) -> None:
    with open_video(make_clip(size=size, times=(0,), **tags)) as video:
        assert (video.info.colour.matrix, video.info.colour.full_range) == expected
        assert video.info.colour.siting == (0.0, 0.5)
        assert next(iter(video)).planes.colour == video.info.colour


def test_jpeg_and_mpeg_1_have_centred_chroma(make_clip: MakeClip) -> None:
    motion = make_clip("clip.avi", codec="mjpeg", pixels="yuvj420p", time_base=Fraction(1, 25), times=range(4))
    with open_video(motion) as video:
        assert video.info.colour.siting == (0.5, 0.5)
        assert video.info.colour.full_range
    with open_video(make_clip("clip.mpg", codec="mpeg1video", time_base=Fraction(1, 25), times=range(4))) as video:
        assert video.info.colour.siting == (0.5, 0.5)
        assert not video.info.colour.full_range


@pytest.mark.parametrize(("trc", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_in_one_line(make_clip: MakeClip, trc: int, name: str) -> None:
    path = make_clip(pixels="yuv420p10le", color_trc=trc, colorspace=9, color_primaries=9)
    with pytest.raises(InputError, match=name) as error:
        open_video(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("pixels", "siting"), [("yuv444p", (0.5, 0.5)), ("yuv422p", (0.0, 0.5))])
def test_wider_chroma_goes_to_nv12_and_says_so_once(
    make_clip: MakeClip, caplog: pytest.LogCaptureFixture, pixels: str, siting: tuple[float, float]
) -> None:
    path = make_clip(pixels=pixels, options={"qp": "0"}, color_range=2)
    with caplog.at_level(logging.WARNING, "fastswap"), open_video(path) as video:
        frames = list(video)
        assert (video.info.layout, video.info.colour.siting) == ("nv12", siting)
    assert [pixels[-4:] in record.message for record in caplog.records] == [True]
    for frame, truth in zip(frames, decoded(path), strict=True):
        assert np.array_equal(frame.planes.data[0][0].numpy(), plane(truth, 0)), "luma is not to change, nor its range"


def test_chroma_of_444_lands_where_the_siting_says(make_clip: MakeClip, tmp_path: Path) -> None:
    """A ramp read at the declared place: u = x, so that a chroma sample's value tells where it lies."""
    path = tmp_path / "ramp.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        frame = av.VideoFrame(64, 48, "yuv444p")
        for index, samples in enumerate(plane(frame, i) for i in range(3)):
            rows, columns = np.indices(samples.shape)
            samples[:] = (100, 20 + 2 * columns, 20 + 2 * rows)[index]
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with open_video(path) as video:
        frame, (x, y) = next(iter(video)), video.info.colour.siting
    u, v = (frame.planes.data[1][0, ..., i].numpy().astype(float) for i in (0, 1))
    assert u[10, 8:20] == pytest.approx(20 + 2 * (2 * np.arange(8, 20) + x), abs=0.5)
    assert v[8:20, 10] == pytest.approx(20 + 2 * (2 * np.arange(8, 20) + y), abs=0.5)


def test_grey_video_has_neutral_chroma(make_clip: MakeClip) -> None:
    path = make_clip("clip.mkv", codec="ffv1", pixels="gray")
    with open_video(path) as video:
        frame = next(iter(video))
    assert np.array_equal(frame.planes.data[0][0].numpy(), plane(decoded(path)[0], 0))
    assert frame.planes.data[1].unique().tolist() == [128]


def test_rgb_video_stays_rgb(make_clip: MakeClip) -> None:
    path = make_clip("clip.mkv", codec="ffv1", pixels="bgr0")
    with open_video(path) as video:
        frame = next(iter(video))
    assert frame.planes.layout == "rgb"
    assert np.array_equal(frame.planes.data[0][0].numpy(), decoded(path)[0].to_ndarray(format="rgb24"))


def test_pixels_that_are_not_square_stay_so(data: Path) -> None:
    with open_video(data / "odd" / "v_sar_2to1.mp4") as video:
        assert (video.info.width, video.info.height, video.info.aspect) == (240, 640, 2.0)
        assert next(iter(video)).planes.width == 240


def test_a_file_cut_off_gives_what_it_has_and_says_so(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "fastswap"), open_video(data / "odd" / "v_truncated_faststart.mp4") as video:
        assert len(list(video)) == 51
    assert len(caplog.records) == 1


def test_damage_in_the_middle_costs_a_few_frames(make_clip: MakeClip, caplog: pytest.LogCaptureFixture) -> None:
    path = make_clip("clip.mkv", times=range(0, 60 * STEP, STEP), size=(160, 120), options={"g": "10"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = os.urandom(600)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "fastswap"), open_video(path) as video:
        frames = list(video)
    assert 30 <= len(frames) <= 60
    assert all(a.pts < b.pts for a, b in itertools.pairwise(frames))
    assert len(caplog.records) <= 2


def test_avi_starts_at_zero(make_clip: MakeClip) -> None:
    path = make_clip("clip.avi", times=range(6), time_base=Fraction(1, 25), options={"bf": "0"})
    with open_video(path) as video:
        assert [frame.pts for frame in video] == list(range(6))


@pytest.mark.parametrize("name", ["leer zeichen.mp4", "ünïcode 顔.mp4", "a:b.mp4", "50%d.mp4", "-x.mp4"])
def test_names_of_every_kind(make_clip: MakeClip, name: str) -> None:
    with open_video(make_clip(name)) as video:
        assert len(list(video)) == 6


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    (tmp_path / "text.txt").write_text("hello " * 300)
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("absent.mp4", "list.m3u8", "text.txt", "empty", "zero.mp4", "pipe.mp4"):
        with pytest.raises(InputError) as error:
            open_video(tmp_path / name)
        assert "\n" not in str(error.value)
        assert name in str(error.value)


def test_memory_does_not_grow_with_the_number_of_frames(data: Path) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    path = data / "videos" / "small_man_webcam_long.mp4"  # 1337 frames of 180 KB: 240 MB if they were kept
    after_warm_up = 0
    with open_video(path) as video:
        for frame in video:
            if frame.index == 150:
                after_warm_up = resident()
    assert resident() - after_warm_up < 40 << 20
