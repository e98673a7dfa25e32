"""Pictures in: whatever the mode, upright RGB; folders in natural order; traps and damage in one line."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastswap.errors import InputError
from fastswap.video import open_video


def pixels(path: Path) -> np.ndarray:
    """The single picture, [H, W, 3]."""
    with open_video(path) as video:
        (frame,) = list(video)
        assert video.info.is_pictures
        assert (video.info.width, video.info.height) == (frame.planes.width, frame.planes.height)
    assert frame.name == path.name
    return frame.planes.data[0][0].numpy()


@pytest.fixture
def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def test_rgb_is_exact_and_alpha_is_dropped(tmp_path: Path, colours: np.ndarray) -> None:
    Image.fromarray(colours).save(tmp_path / "a.png")
    assert np.array_equal(pixels(tmp_path / "a.png"), colours)
    alpha = np.concatenate([colours, np.arange(600, dtype=np.uint8).reshape(20, 30, 1)], axis=2)
    Image.fromarray(alpha).save(tmp_path / "b.png")
    assert np.array_equal(pixels(tmp_path / "b.png"), colours), "the colour beneath alpha is what shows"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, colours: np.ndarray, orientation: int) -> None:
    upright = Image.fromarray(colours)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the Pillow transposition that stores an upright picture so
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(pixels(tmp_path / "a.png"), colours)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    samples = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    Image.fromarray(samples).save(tmp_path / "a.tif")
    got = pixels(tmp_path / "a.tif")
    assert np.array_equal(got[..., 0], np.rint(samples / 257).astype(np.uint8))
    assert (got[..., 0] == got[..., 2]).all()


def test_sixteen_bit_portrait_agrees_with_its_eight_bit_twin(data: Path) -> None:
    sixteen = pixels(data / "odd" / "i_rgb16.png").astype(float)
    eight = pixels(data / "odd" / "i_progressive.jpg").astype(float)
    assert np.abs(sixteen - eight).mean() < 4
    grey = pixels(data / "odd" / "i_gray16.tif").astype(float)
    assert np.abs(grey[..., 0] - eight @ [0.299, 0.587, 0.114]).mean() < 4


@pytest.mark.parametrize("name", ["i_cmyk.jpg", "i_palette.png", "i_exif3.jpg", "i_exif6.jpg", "i_rgba.png"])
def test_every_storage_of_one_portrait_shows_the_portrait(data: Path, name: str) -> None:
    reference = pixels(data / "odd" / "i_progressive.jpg").astype(float)
    assert np.abs(pixels(data / "odd" / name).astype(float) - reference).mean() < 12


def test_one_bit_and_grey_become_rgb(data: Path) -> None:
    assert set(np.unique(pixels(data / "odd" / "i_pillow_hopper_bw_500.png"))) == {0, 255}
    grey = pixels(data / "odd" / "i_gray.jpg")
    assert (grey[..., 0] == grey[..., 1]).all()


def test_the_content_decides_not_the_ending(data: Path) -> None:
    with open_video(data / "odd" / "i_wrong_extension.jpg") as video:
        assert video.info.codec == "png"


@pytest.mark.parametrize(("name", "frames"), [("i_animated.gif", 20), ("i_animated.png", 20), ("i_animated.webp", 20)])
def test_an_animation_is_a_clip(data: Path, name: str, frames: int) -> None:
    with open_video(data / "odd" / name) as video:
        times = [frame.seconds for frame in video]
        assert not video.info.is_pictures
        assert video.info.layout == "rgb"
        assert float(video.info.fps) == pytest.approx(25 / 3)
    assert times == pytest.approx([0.12 * n for n in range(frames)])


def test_three_animations_of_one_talker_agree(data: Path) -> None:
    shown = []
    for name in ("i_animated.gif", "i_animated.png", "i_animated.webp"):
        with open_video(data / "odd" / name) as video:
            shown.append([frame.planes.data[0].float() for frame in video][10])
    assert (shown[0] - shown[1]).abs().mean() < 8
    assert (shown[1] - shown[2]).abs().mean() < 8


def test_a_folder_in_natural_order(tmp_path: Path, colours: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("10.png", "2.png", "1 ü.jpg", "x.JPG"):
        Image.fromarray(colours).save(tmp_path / name)
    Image.fromarray(colours[:10]).save(tmp_path / "3.png")
    (tmp_path / "._2.png").write_bytes(b"junk")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "inner").mkdir()
    (tmp_path / "4.png").write_bytes(b"no picture")
    with caplog.at_level(logging.INFO, "fastswap"), open_video(tmp_path) as video:
        frames = list(video)
        assert (video.info.is_pictures, video.info.frames) == (True, 6)
    assert [frame.name for frame in frames] == ["1 ü.jpg", "2.png", "3.png", "10.png", "x.JPG"]
    assert [frame.pts for frame in frames] == list(range(5))
    assert frames[2].planes.height == 10
    assert sum("4.png" in record.message for record in caplog.records) == 1
    assert all("\n" not in record.message for record in caplog.records)


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        open_video(tmp_path)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match="none of its 1"):
        open_video(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["i_truncated.jpg", "i_pillow_broken_data_stream.png", "i_pillow_truncated_image.png", "i_appledouble_junk.jpg"],
)
def test_damaged_pictures_are_one_line(data: Path, name: str) -> None:
    with pytest.raises(InputError) as error:
        open_video(data / "odd" / name)
    assert "\n" not in str(error.value)


def test_a_decompression_bomb_is_not_opened(data: Path) -> None:
    with pytest.raises(InputError, match="too large"):
        open_video(data / "odd" / "i_pillow_decompression_bomb.gif")


def test_broken_exif_does_not_cost_the_picture(data: Path) -> None:
    assert pixels(data / "odd" / "i_pillow_hopper_bad_exif.jpg").shape == (500, 500, 3)


def test_a_heic_picture_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    with pytest.raises(InputError, match="HEIC"):
        open_video(tmp_path / "a.heic")


def test_a_profile_travels_with_the_picture(tmp_path: Path, colours: np.ndarray) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(colours).save(tmp_path / "a.png", icc_profile=profile)
    with open_video(tmp_path / "a.png") as video:
        assert next(iter(video)).icc_profile == profile
