"""Pictures out: named as they came, lossless, whole or absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastswap.errors import InputError
from fastswap.video import open_video, write_video

from .conftest import MakeClip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "in"
    source.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    for number, name in enumerate(("a.png", "a.tif", "b.jpg", "c ü.webp")):
        Image.fromarray(noise[: 24 - number]).save(source / name)
    return source


def copy(source: Path, target: Path, pictures: str = "png") -> None:
    with open_video(source) as video, write_video(target, video.info, pictures=pictures) as writer:
        for frame in video:
            writer.write(frame)
            for plane in frame.planes.data:  # the caller's again
                plane.zero_()


def shown(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_folder_keeps_its_names_and_lossless_pictures_their_pixels(folder: Path, tmp_path: Path) -> None:
    copy(folder, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "a.tif.png", "b.jpg", "c ü.png"]
    for before, after in (("a.png", "a.png"), ("a.tif", "a.tif.png"), ("c ü.webp", "c ü.png")):
        assert np.array_equal(shown(folder / before), shown(tmp_path / "out" / after))
    assert np.abs(shown(folder / "b.jpg").astype(int) - shown(tmp_path / "out" / "b.jpg")).mean() < 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_an_existing_folder_keeps_what_else_it_holds(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    copy(folder, tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_an_exception_leaves_no_folder(folder: Path, tmp_path: Path) -> None:
    def fail() -> None:
        with open_video(folder) as video, write_video(tmp_path / "out", video.info) as writer:
            writer.write(next(iter(video)))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ["x.png", "x.webp", "x.tif", "x.bmp"])
def test_a_single_picture_is_written_under_the_name_given(folder: Path, tmp_path: Path, name: str) -> None:
    copy(folder / "a.png", tmp_path / "new" / name)
    assert np.array_equal(shown(tmp_path / "new" / name), shown(folder / "a.png"))


def test_a_single_picture_into_a_folder(folder: Path, tmp_path: Path) -> None:
    copy(folder / "b.jpg", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.jpg"]


def test_the_source_is_not_written_over(folder: Path) -> None:
    for path in (folder, folder / "a.png"):
        with open_video(path) as video, pytest.raises(InputError, match="source itself"):
            write_video(path, video.info)
    with open_video(folder / "a.png") as video, pytest.raises(InputError, match="own folder"):
        write_video(folder, video.info)


def test_the_profile_is_written_again(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", icc_profile=profile)
    copy(tmp_path / "a.png", tmp_path / "b.jpg")
    with open_video(tmp_path / "b.jpg") as video:
        assert next(iter(video)).icc_profile == profile


def test_an_exif_turned_jpeg_is_written_upright_once(data: Path, tmp_path: Path) -> None:
    copy(data / "odd" / "i_exif6.jpg", tmp_path / "a.jpg")
    with open_video(data / "odd" / "i_exif6.jpg") as before, open_video(tmp_path / "a.jpg") as after:
        a, b = (next(iter(video)).planes.data[0].float() for video in (before, after))
    assert (a - b).abs().mean() < 2


def test_a_video_as_numbered_pictures_and_pictures_as_a_video(make_clip: MakeClip, tmp_path: Path) -> None:
    copy(make_clip("in.mp4"), tmp_path / "frames")
    assert [path.name for path in sorted((tmp_path / "frames").iterdir())][:2] == ["000000.png", "000001.png"]
    copy(tmp_path / "frames", tmp_path / "out.mp4")
    with open_video(tmp_path / "out.mp4") as video:
        assert (len(list(video)), float(video.info.fps), video.info.layout) == (6, 25.0, "nv12")


def test_a_videos_frames_are_jpegs_where_asked(make_clip: MakeClip, folder: Path, tmp_path: Path) -> None:
    copy(make_clip("in.mp4"), tmp_path / "frames", "jpg")
    pictures = sorted((tmp_path / "frames").iterdir())
    assert [path.name for path in pictures] == [f"{number:06d}.jpg" for number in range(6)]
    copy(make_clip("in.mp4"), tmp_path / "lossless", "png")
    for path in pictures:
        with Image.open(path) as image:
            assert image.format == "JPEG"
        difference = shown(path).astype(int) - shown(tmp_path / "lossless" / f"{path.stem}.png")
        assert np.abs(difference).mean() < 3
    copy(folder, tmp_path / "out", "jpg")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "a.tif.png", "b.jpg", "c ü.png"]


def test_a_picture_that_cannot_be_saved_ends_it(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are saved in threads: the error comes out all the same, and nothing is left."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastswap.video._picture_writer._save", full)
    with pytest.raises(InputError, match="No space left"):
        copy(make_clip("in.mp4"), tmp_path / "frames")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
