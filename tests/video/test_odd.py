"""Every odd file: it opens and every frame comes, or there is one line. What MANIFEST.csv knows of it is expected."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import pytest

from fastswap.errors import InputError
from fastswap.video import open_video

DAMAGED = {
    "i_appledouble_junk.jpg", "i_empty.jpg", "i_pillow_broken_data_stream.png", "i_pillow_decompression_bomb.gif",
    "i_pillow_truncated_image.png", "i_pillow_truncated_jpeg.jpg", "i_truncated.jpg", "v_audio_only.mp4", "v_empty.mp4",
    "v_text.mp4", "v_truncated_no_moov.mp4",
}  # fmt: skip
PAST_THE_DAMAGE = {"v_decord_corrupted.mp4": 45}
"""The manifest counts to the first error; what comes after decodes, too."""
LIMIT_S = 60


def rows(data: Path, *folders: str) -> list[dict[str, str]]:
    with (data / "MANIFEST.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["file"].split("/")[0] in folders]


def test_every_odd_file_works_or_ends_in_one_line(data: Path) -> None:
    assert len(rows(data, "odd")) > 50
    for row in rows(data, "odd"):
        path, began = data / row["file"], time.monotonic()
        if path.name in DAMAGED:
            with pytest.raises(InputError) as error:
                open_video(path)
            assert "\n" not in str(error.value)
        else:
            check(path, row)
        assert time.monotonic() - began < LIMIT_S


def check(path: Path, row: dict[str, str]) -> None:
    with open_video(path) as video:
        sizes, times = set(), []
        for frame in video:
            sizes.add((frame.planes.width, frame.planes.height))
            times.append(frame.pts)
    assert sizes == {(video.info.width, video.info.height)}
    expected = (int(row["width"]), int(row["height"]))
    assert (video.info.width, video.info.height) in (expected, expected[::-1])
    assert times == sorted(set(times))
    if path.name in PAST_THE_DAMAGE:
        assert len(times) > PAST_THE_DAMAGE[path.name]
    else:
        assert len(times) == int(row["frames"])
    if row["fps"]:
        assert float(video.info.fps) == pytest.approx(float(row["fps"]), abs=0.01)


@pytest.mark.slow
def test_every_ordinary_video_is_as_the_manifest_says(data: Path) -> None:
    for row in rows(data, "videos"):
        check(data / row["file"], row)


def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    with pytest.raises(InputError, match="may not be read"):
        open_video(tmp_path / "a.mp4")
