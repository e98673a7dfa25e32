"""A folder of videos: each becomes its own output, and one that fails does not keep the others from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fastswap.cluster import convert, extract
from fastswap.conversion import ConvertSettings
from fastswap.errors import InputError, UsageError
from fastswap.faceset.scan import ScanSettings
from fastswap.video.videos import videos_in

from .conftest import MakeInput, frames_of


@pytest.fixture
def folder(make_input: MakeInput, tmp_path: Path) -> Path:
    """Two videos in `videos`, where their faces are in `faces`."""
    for name in ("videos", "faces"):
        (tmp_path / name).mkdir()
    for name in ("one", "two"):
        given = make_input(f"{name}.mp4", size=(96, 64))
        given.clip.rename(tmp_path / "videos" / given.clip.name)
        given.faces.rename(tmp_path / "faces" / name)
    return tmp_path


@pytest.mark.parametrize("jobs", [None, 2])
def test_every_video_is_converted_under_its_name(folder: Path, model: Path, jobs: int | None) -> None:
    (folder / "videos" / "notes.txt").write_text("no video")
    settings = ConvertSettings(
        folder / "videos", model, folder / "out", faces=folder / "faces", quality=0, occlusion=False, device="cpu"
    )
    summary = convert(settings, jobs=jobs, quiet=True)
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["one.mp4", "two.mp4"]
    assert [summary.videos[name].frames for name in ("one.mp4", "two.mp4")] == [24, 24]
    times = [time for time, _ in frames_of(folder / "videos" / "two.mp4")]
    assert [time for time, _ in frames_of(folder / "out" / "two.mp4")] == times


def test_a_video_that_fails_is_told_at_the_end(folder: Path, model: Path) -> None:
    shutil.rmtree(folder / "faces" / "one")
    settings = ConvertSettings(
        folder / "videos", model, folder / "out", faces=folder / "faces", occlusion=False, device="cpu"
    )
    with pytest.raises(InputError, match=r"1 of 2 videos could not be done: no face set at .*one"):
        convert(settings, quiet=True)
    assert [path.name for path in (folder / "out").iterdir()] == ["two.mp4"]


def test_a_folder_without_a_face_says_so_for_each(folder: Path) -> None:
    settings = ScanSettings(folder / "videos", folder / "found", size=64, device="cpu")
    with pytest.raises(InputError, match=r"2 of 2 videos .*no face found in .*one\.mp4.*no face found in .*two\.mp4"):
        extract(settings, quiet=True)


def test_options_for_one_video_are_refused(folder: Path, model: Path) -> None:
    with pytest.raises(UsageError, match="are for one video"):
        convert(ConvertSettings(folder / "videos", model, folder / "out", still=3), quiet=True)


def test_videos_and_pictures_do_not_mix(folder: Path, data: Path) -> None:
    assert [path.name for path in videos_in(folder / "videos")] == ["one.mp4", "two.mp4"]
    shutil.copy(data / "odd" / "i_1x1.png", folder / "videos")
    with pytest.raises(InputError, match=r"holds videos \(one\.mp4, \.\.\.\) and pictures \(i_1x1\.png, \.\.\.\)"):
        videos_in(folder / "videos")


def test_a_folder_of_pictures_is_no_folder_of_videos(tmp_path: Path, data: Path) -> None:
    shutil.copy(data / "odd" / "i_1x1.png", tmp_path)
    assert videos_in(tmp_path) == videos_in(data / "odd" / "i_1x1.png") == []
