"""Who encodes: NVENC where a GPU has it, the CPU elsewhere; one line where what was asked for is not here."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from fastswap.errors import InputError, UsageError
from fastswap.ops.planes import Planes
from fastswap.video import Frame, VideoInfo, encoders, open_video, write_video
from fastswap.video._av_writer import AvWriter
from fastswap.video._cuda_frames import CudaFrames, packed
from fastswap.video._download import Download
from fastswap.video._encoders import _ENCODERS, _NVENC, choose
from fastswap.video._samples import in_place

from .conftest import MakeClip

NONE = "this GPU has no NVENC (A100, H100, H200, B200 have none)"


def source(width: int = 640, height: int = 480, layout: str = "nv12") -> VideoInfo:
    return VideoInfo(Path("in.mp4"), width, height, 9, Fraction(25), Fraction(1, 25), layout, "h264")  # type: ignore[arg-type]


@pytest.fixture
def gpu_with_nvenc(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A GPU whose NVENC does everything but lossless and AV1; the (name, pixels) that it was asked for."""
    asked = []

    def why_not(name: str, width: int, height: int, pixels: str, options: tuple[tuple[str, str], ...]) -> str | None:
        asked.append((name, pixels))
        return "no AV1" if name == "av1_nvenc" else "no lossless" if ("tune", "lossless") in options else None

    monkeypatch.setattr(encoders, "why_not", why_not)
    monkeypatch.setattr(encoders, "gpu_here", lambda: True)
    return asked


@pytest.fixture
def gpu_without_nvenc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "why_not", lambda *_: NONE)
    monkeypatch.setattr(encoders, "gpu_here", lambda: True)
    encoders.say_once.cache_clear()


@pytest.mark.parametrize(
    ("name", "codec", "info", "expected", "pixels"),
    [
        ("o.mp4", "auto", source(), "h264_nvenc", "nv12"),
        ("o.mkv", "hevc", source(), "hevc_nvenc", "nv12"),
        ("o.mp4", "auto", source(layout="p010"), "hevc_nvenc", "p010le"),
        ("o.mp4", "auto", source(layout="rgb"), "h264_nvenc", "yuv420p"),
    ],
)
def test_auto_is_nvenc_where_the_gpu_has_it(
    gpu_with_nvenc: list[tuple[str, str]], name: str, codec: str, info: VideoInfo, expected: str, pixels: str
) -> None:
    for encoder in ("auto", "nvenc"):
        assert choose(Path(name), info, codec, None, encoder)[0].name == expected
    assert gpu_with_nvenc == [(expected, pixels)] * 2


@pytest.mark.parametrize(
    ("name", "codec", "info", "quality", "expected"),
    [
        ("o.mp4", "auto", source(51, 37), None, "libvpx-vp9"),
        ("o.webm", "auto", source(), None, "libvpx-vp9"),
        ("o.webm", "av1", source(), None, "libsvtav1"),
        ("o.mkv", "ffv1", source(), None, "ffv1"),
        ("o.mkv", "h264", source(layout="p010"), None, "libx264"),
        ("o.mp4", "auto", source(), 0, "libx264"),
    ],
)
def test_auto_is_the_cpu_where_nvenc_cannot(
    gpu_with_nvenc: list[tuple[str, str]], name: str, codec: str, info: VideoInfo, quality: int | None, expected: str
) -> None:
    assert choose(Path(name), info, codec, quality, "auto")[0].name == expected


@pytest.mark.parametrize(
    ("name", "codec", "info", "quality", "line"),
    [
        ("o.mp4", "vp9", source(), None, "NVENC has no vp9"),
        ("o.mp4", "auto", source(51, 37), None, "51x37"),
        ("o.mkv", "h264", source(layout="p010"), None, "ten bits"),
        ("o.webm", "auto", source(), None, "no AV1"),
        ("o.mp4", "auto", source(), 0, "no lossless"),
        ("o.mp4", "auto", source(), 52, "out of range"),
    ],
)
def test_nvenc_asked_for_never_falls_back(
    gpu_with_nvenc: list[tuple[str, str]], name: str, codec: str, info: VideoInfo, quality: int | None, line: str
) -> None:
    with pytest.raises(UsageError, match=line):
        choose(Path(name), info, codec, quality, "nvenc")


def test_a_gpu_without_nvenc_is_said_once(gpu_without_nvenc: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "fastswap"):
        for _ in range(3):
            assert choose(Path("o.mp4"), source(), "auto", None, "auto")[0].name == "libx264"
    assert [f"{NONE}: encoding on" in record.message for record in caplog.records] == [True]
    with pytest.raises(UsageError, match="no NVENC"):
        choose(Path("o.mp4"), source(), "auto", None, "nvenc")


def test_without_a_gpu_nothing_is_said_or_tried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(encoders, "gpu_here", lambda: False)
    monkeypatch.setattr(encoders, "why_not", lambda *_: pytest.fail("an encoder was opened"))
    assert choose(Path("o.mp4"), source(), "auto", None, "auto")[0].name == "libx264"
    assert not caplog.records


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_the_quality_counts_alike_on_both(codec: str) -> None:
    cpu, gpu = _ENCODERS[codec], _NVENC[codec]
    assert (gpu.default, gpu.worst, gpu.containers, gpu.tags) == (cpu.default, cpu.worst, cpu.containers, cpu.tags)
    numbers = [int(gpu.options(quality)["cq"]) for quality in range(1, gpu.worst + 1)]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (1, 51)
    assert ("tune", "lossless") in gpu.options(0).items() or codec == "av1"


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("quality", [0, 20])
def test_ffmpeg_knows_every_option_of_nvenc(codec: str, quality: int) -> None:
    """It reads them before it looks for a driver, so that this holds without a GPU too."""
    encoder = _NVENC[codec]
    options = encoder.options(quality)
    known = "NVENC does not open"
    found = encoders.why_not(encoder.name, 640, 480, encoder.pixels("nv12"), tuple(options.items()))
    assert found is None or not found.startswith(known)
    wrong = {**options, "preset": "p99"}
    assert str(encoders.why_not(encoder.name, 640, 480, "yuv420p", tuple(wrong.items()))).startswith(known)


@pytest.mark.parametrize(
    ("lines", "meaning"),
    [
        (["Cannot load libcuda.so.1\n", "Nvenc unloaded\n"], "no NVIDIA driver"),
        (["Cannot load libnvidia-encode.so.1\n", "The minimum required ..."], "NVIDIA_DRIVER_CAPABILITIES"),
        (["OpenEncodeSessionEx failed: unsupported device (2): (no details)", "No capable devices found"], "A100"),
        (["Codec not supported", "No capable devices found"], "not this codec"),
        (["Width 9000 exceeds 8192", "No capable devices found"], "larger"),
        (["a new complaint\n"], r"\(a new complaint\)"),
        ([], r"\(Operation not permitted\)"),
    ],
)  # fmt: skip
def test_what_ffmpeg_logs_is_put_in_words(lines: list[str], meaning: str) -> None:
    with pytest.raises(UsageError, match=meaning):
        raise UsageError(encoders.explain(lines, "Operation not permitted"))


@pytest.mark.parametrize(
    ("name", "options"),
    [("frames", {"encoder": "nvenc"}), ("a.gif", {"encoder": "nvenc"}), ("a.mp4", {"encoder": "gpu"}),
     ("frames", {"pictures": "bmp"})],
)  # fmt: skip
def test_what_nothing_can_do_is_usage(make_clip: MakeClip, tmp_path: Path, name: str, options: dict[str, str]) -> None:
    with open_video(make_clip()) as video, pytest.raises(UsageError):
        write_video(tmp_path / name, video.info, **options)


def test_nvenc_that_is_not_here_is_one_line_before_any_work(make_clip: MakeClip, tmp_path: Path) -> None:
    if encoders.nvenc()["h264"] is None:
        pytest.skip("this GPU has NVENC")
    with open_video(make_clip("in.mp4")) as video, pytest.raises(UsageError, match="use encoder auto or cpu") as error:
        write_video(tmp_path / "out.mp4", video.info, encoder="nvenc")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize(("codec", "size"), [("h264", (1, 2)), ("hevc", (8, 64)), ("av1", (2, 64))])
def test_a_frame_too_small_for_a_codec_is_one_line(codec: str, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"cannot hold .*{size[0]}x{size[1]}"):
        choose(Path("o.mkv"), source(*size), codec, None)
    assert choose(Path("o.mkv"), source(*size), "auto", None)[0].least <= min(size)


@pytest.mark.parametrize(("layout", "dtype", "top"), [("nv12", torch.uint8, 256), ("p010", torch.uint16, 65536)])
def test_a_frame_for_nvenc_is_one_piece_of_memory(layout: str, dtype: torch.dtype, top: int) -> None:
    numbers = torch.Generator().manual_seed(0)
    luma, chroma = (
        torch.randint(0, top, shape, generator=numbers).to(dtype) for shape in ((1, 36, 50), (1, 18, 25, 2))
    )
    y, uv = packed(Planes(layout, (luma, chroma)))  # type: ignore[arg-type]
    assert torch.equal(y, luma[0])
    assert torch.equal(uv, chroma[0].reshape(18, 50))
    pitch = y.stride(0) * y.element_size()
    assert (uv.stride(0) * uv.element_size(), pitch % 256) == (pitch, 0)
    assert uv.data_ptr() - y.data_ptr() == 36 * pitch


def test_a_frame_that_nvenc_does_not_take_is_a_reason(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    gpu_with_nvenc: list[tuple[str, str]],
) -> None:  # fmt: skip
    """Played by a frame on the CPU, which an encoder of CUDA frames refuses, with a GPU and without."""
    monkeypatch.setattr(CudaFrames, "__init__", lambda self, device: None)
    monkeypatch.setattr(CudaFrames, "picture", lambda self, planes: in_place(planes))
    encoders.say_once.cache_clear()
    with open_video(make_clip("in.mp4")) as video:
        writer = write_video(tmp_path / "out.mp4", video.info)
        assert isinstance(writer, AvWriter)
        with caplog.at_level(logging.INFO, "fastswap"):
            assert writer._on_gpu(next(iter(video))) is None
    assert ["by way of the CPU" in record.message for record in caplog.records] == [True]


def test_frames_on_the_cpu_are_not_fetched(make_clip: MakeClip) -> None:
    download = Download()
    with open_video(make_clip()) as video:
        for frame in video:
            assert [fetched is frame for fetched in download.fetch(frame)] == [True]
    assert list(download.drain()) == []


def frames_on(device: str, path: Path) -> list[Frame]:
    with open_video(path) as video:
        return [replace(frame, planes=frame.planes.to(device)) for frame in video]


@pytest.mark.gpu
def test_a_cpu_encoder_fetches_frames_from_the_gpu(cuda: str, make_clip: MakeClip, tmp_path: Path) -> None:
    path = make_clip("in.mp4")
    for name in ("out.mkv", "frames"):
        with open_video(path) as video, write_video(tmp_path / name, video.info, encoder="cpu", quality=0) as writer:
            for frame in frames_on(cuda, path):
                writer.write(frame)
                frame.planes.data[0].zero_()  # the caller's again
    with open_video(tmp_path / "out.mkv") as video:
        for before, after in zip(frames_on("cpu", path), video, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(before.planes.data, after.planes.data, strict=True))
    assert len(list((tmp_path / "frames").iterdir())) == 6


@pytest.mark.gpu
@pytest.mark.parametrize("place", ["cpu", "cuda"])
@pytest.mark.parametrize(("codec", "pixels"), [("h264", "yuv420p"), ("hevc", "yuv420p"), ("hevc", "yuv420p10le")])
def test_nvenc_encodes_or_says_why_not(
    cuda: str, make_clip: MakeClip, tmp_path: Path, place: str, codec: str, pixels: str
) -> None:
    times = tuple(range(0, 12 * 512, 512))
    path = make_clip("in.mkv", codec="ffv1", pixels=pixels, size=(642, 480), times=times)
    target = tmp_path / "out.mp4"
    with open_video(path) as video:
        info = video.info
    reason = encoders.nvenc()[codec]
    if reason:
        with pytest.raises(UsageError, match=r"NVENC|NVIDIA"):
            write_video(target, info, codec=codec, encoder="nvenc")
        with write_video(target, info, codec=codec, quality=10) as writer:  # auto: the CPU
            for frame in frames_on(place, path):
                writer.write(frame)
    else:
        with write_video(target, info, codec=codec, encoder="nvenc", quality=10) as writer:
            for frame in frames_on(place, path):
                writer.write(frame)
    with open_video(target) as video:
        assert (video.info.codec, video.info.layout) == (codec, info.layout)
        for before, after in zip(frames_on("cpu", path), video, strict=True):
            assert before.seconds == pytest.approx(after.seconds, abs=1e-3)
            for a, b in zip(before.planes.data, after.planes.data, strict=True):
                error = (a.float() - b.float()) / (65536 if pixels.endswith("10le") else 256)
                assert error.square().mean().sqrt() < 0.02
