"""DALI in place of PyAV: the same frames, in the same order, at the same times; and a reason where it will not do.

The CPU half of DALI runs the same code as the GPU's; what only the GPU hands out is made here as its kernel makes it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fastswap.errors import InputError
from fastswap.video import Frame, _av_reader, _dali_reader, decoders, open_video
from fastswap.video.segments import Part, split

from .conftest import film, packets_of

NEAR = 0.999
"""The share of samples that DALI's CPU half gives to within one level."""
KINDS = {"vp9": ("clip.webm", "libvpx-vp9"), "vp8": ("clip.mkv", "libvpx"), "mjpeg": ("clip.avi", "mjpeg")}
TURNED = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]

needs_dali = pytest.mark.skipif(decoders.missing_dali() is not None, reason="no DALI")


def kept(path: Path, decoder: str, part: Part | None = None) -> list[Frame]:
    with open_video(path, decoder=decoder, part=part) as video:
        return list(video)


def assert_same(got: list[Frame], wanted: list[Frame]) -> None:
    """Everything is equal but the samples, which are near."""
    assert [(f.index, f.pts, f.duration, f.time_base) for f in got] == [
        (f.index, f.pts, f.duration, f.time_base) for f in wanted
    ]
    for mine, theirs in zip(got, wanted, strict=True):
        assert mine.planes.stacks_with(theirs.planes)
        for a, b in zip(mine.planes.data, theirs.planes.data, strict=True):
            assert ((a.int() - b.int()).abs() <= 1).float().mean() >= NEAR


@needs_dali
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 8, 19])
def test_frames_times_and_colours_are_pyavs(tmp_path: Path, kind: str, count: int) -> None:
    """One frame, a whole batch, and a last batch that DALI fills up from the beginning."""
    path = film(tmp_path / KINDS[kind][0], KINDS[kind][1], range(count))
    got, wanted = kept(path, "dali"), kept(path, "av")
    assert len(got) == count
    assert_same(got, wanted)


@needs_dali
def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mkv", "libvpx-vp9", (0, 1, 4, 5, 15, 16, 17))
    assert [round(frame.seconds * 25) for frame in kept(path, "dali")] == [0, 1, 4, 5, 15, 16, 17]
    assert_same(kept(path, "dali"), kept(path, "av"))


@needs_dali
def test_a_turned_video_stands_upright(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", "libvpx-vp9", range(3), matrix=TURNED)
    got = kept(path, "dali")
    assert (got[0].planes.width, got[0].planes.height) == (96, 160)
    assert_same(got, kept(path, "av"))


@needs_dali
def test_a_part_is_numbered_and_timed_as_in_the_whole(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.webm", "libvpx-vp9", range(30), g="10")
    whole = kept(path, "av")
    part = Part(20, 29, key=whole[20].pts, start=whole[20].pts, stop=whole[29].pts)
    assert_same(kept(path, "dali", part), whole[20:29])


@needs_dali
def test_a_part_that_is_the_whole_is_no_part(tmp_path: Path) -> None:
    """As of a file that cannot be split: its frames were not counted."""
    path = film(tmp_path / "clip.webm", "libvpx-vp9", range(5))
    assert_same(kept(path, "dali", Part(0, 1, 0, 0, None)), kept(path, "av"))


@needs_dali
def test_another_file_under_the_same_name_is_read_anew(tmp_path: Path) -> None:
    """DALI remembers a path's frames as long as the process lives."""
    path = film(tmp_path / "clip.webm", "libvpx-vp9", range(9))
    assert len(kept(path, "dali")) == 9
    film(path, "libvpx-vp9", range(5))
    assert_same(kept(path, "dali"), kept(path, "av"))


@needs_dali
@pytest.mark.parametrize("name", ["a clip 0 3.webm", "file:clip.webm", "-ünï 顔.webm"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    shutil.move(film(tmp_path / "plain.webm", "libvpx-vp9", range(3)), path)
    assert len(kept(path, "dali")) == 3


@needs_dali
def test_frames_belong_to_the_reader_of_them(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.webm", "libvpx-vp9", range(4))
    with open_video(path, decoder="dali") as video:
        for frame in video:
            for plane in frame.planes.data:
                plane.zero_()
        assert_same(list(video), kept(path, "av"))


@needs_dali
def test_leaving_early_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_video(film(tmp_path / "clip.webm", "libvpx-vp9", range(20)), decoder="dali") as video:
        next(iter(video))
        assert list(tmp_path.glob("fastswap-*"))
    assert not list(tmp_path.glob("fastswap-*"))


def doubled(chroma: Tensor) -> Tensor:  # uint8 [n, h, w, 2]
    """[n, 2 h, 2 w, 2], as DALI's kernel for GPUs makes it: bilinear between middles, borders held, rounded."""
    twice = interpolate(chroma.permute(0, 3, 1, 2).float(), scale_factor=2, mode="bilinear", align_corners=False)
    return twice.round().to(torch.uint8).permute(0, 2, 3, 1)


def test_chroma_that_the_gpu_doubled_is_had_back_to_one_level() -> None:
    generator = torch.Generator().manual_seed(1)
    luma = torch.randint(0, 256, (2, 64, 96), dtype=torch.uint8, generator=generator)
    chroma = torch.randint(0, 256, (2, 32, 48, 2), dtype=torch.uint8, generator=generator)
    got_luma, got_chroma = _dali_reader.nv12(torch.cat((luma[..., None], doubled(chroma)), dim=-1))
    assert torch.equal(got_luma, luma)
    wrong = (got_chroma.int() - chroma.int()).abs()
    assert wrong.max() <= 1
    assert (wrong == 0).float().mean() > 0.8


@needs_dali
def test_the_gpus_pipeline_is_one_that_dali_accepts(tmp_path: Path) -> None:
    """Built for no device it cannot run, but wrong operators and arguments are refused."""
    listing = tmp_path / "list.txt"
    listing.write_text("clip 0 0 7\n")
    built = [_dali_reader.pipeline(listing, 4, cuda=cuda, device_id=None).serialize() for cuda in (False, True)]
    assert [b"video[0]\x12\x03gpu" in serialized for serialized in built] == [False, True]
    image_type = b"image_type\x12\x05int64 "
    assert [serialized.split(image_type)[1][0] for serialized in built] == [0, 3]  # DALI_RGB, DALI_YCbCr


@needs_dali
def test_dali_that_gives_up_is_one_line(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.webm", "libvpx-vp9", range(24))
    content, spoilt = path.read_bytes(), packets_of(path)[12]
    assert content.count(spoilt) == 1
    path.write_bytes(content.replace(spoilt, bytes(byte ^ 0x5A for byte in spoilt)))
    with pytest.raises(InputError, match=r"DALI gives up .*: use --decoder av") as error:
        kept(path, "dali")
    assert "\n" not in str(error.value)


@pytest.fixture
def nvdec(cuda: str) -> str:
    """A GPU whose video decoder can be called: a driver may come without it."""
    missing = decoders.missing_dali() or decoders.missing_nvdec()
    if missing:
        pytest.skip(missing)
    return cuda


@pytest.mark.gpu
@pytest.mark.parametrize(
    "name",
    [
        "odd/v_vfr.mp4", "odd/v_rot90_meta.mp4", "odd/v_59_94fps.mkv", "odd/v_one_frame.mp4",
        "odd/v_torchcodec_bt709_full_range.mp4", "videos/hard_face_leaves.mov",
    ],
)  # fmt: skip
def test_frames_of_the_gpu_are_pyavs(nvdec: str, data: Path, name: str) -> None:
    compare(data / name, nvdec)


@pytest.mark.gpu
def test_a_small_video_and_its_parts_on_a_gpu_are_pyavs(nvdec: str, tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", "libx264", range(60), g="12")
    parts = split(path, 12)
    assert len(parts) > 2
    for part in (None, *parts):
        compare(path, nvdec, part)


@pytest.mark.gpu
def test_damage_inside_of_packets_ends_no_reading_on_a_gpu(nvdec: str, data: Path) -> None:
    with open_video(data / "odd" / "v_decord_corrupted.mp4", device=nvdec) as video:
        times = [frame.pts for frame in video]
    assert len(times) > 40
    assert times == sorted(set(times))


def compare(path: Path, device: str, part: Part | None = None) -> None:
    """Luma to the bit, chroma to one level, everything else equal."""
    with open_video(path, device=device, decoder="dali", part=part) as video:
        count = 0
        for got, wanted in zip(video, _av_reader.frames(video.info, part), strict=True):
            pairs = zip(got.planes.data, wanted.planes.data, strict=True)
            luma, chroma = ((mine.cpu().int() - theirs.int()).abs() for mine, theirs in pairs)
            assert not luma.any()
            assert chroma.max() <= 1
            assert got.planes.device.type == "cuda"
            assert (got.index, got.pts, got.duration) == (wanted.index, wanted.pts, wanted.duration)
            assert got.planes.colour == wanted.planes.colour
            count += 1
    assert count
