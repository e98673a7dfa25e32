"""Every ordinary and every odd clip: it converts to a file with its frames, their times and its sound, or there is one
line. Where the faces are is made up, so that decoding and encoding are all that costs."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from fastswap.conversion import ConvertSettings, convert
from fastswap.errors import InputError
from fastswap.video import open_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
DATA = Path(os.environ.get("FASTSWAP_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
UNREADABLE = {"v_audio_only.mp4", "v_empty.mp4", "v_text.mp4", "v_truncated_no_moov.mp4"}
WRITTEN = {".mp4", ".mov", ".mkv", ".webm", ".gif", ".avi"}
TICK_S = {".gif": 0.01, ".avi": 0.04}
"""How far a frame may move: GIF counts hundredths of a second, AVI frames."""
MILLISECOND = 0.001
QUALITY = 40  # coarse: cheap


def clips() -> list[str]:
    listing = DATA / "MANIFEST.csv"
    if not listing.exists():
        return []
    with listing.open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    return [name for name in names if name.startswith(("videos/", "odd/v_"))]


def times(path: Path) -> list[float]:
    with open_video(path) as video:
        found = [frame.seconds for frame in video]
    return [time - found[0] for time in found]


def sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size] if container.streams.audio else []


@pytest.mark.parametrize("name", clips() or ["no data"])
def test_it_converts_with_all_its_frames_or_ends_with_one_line(
    data: Path, name: str, model: Path, faces_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    clip = data / name
    output = tmp_path / f"swapped{clip.suffix if clip.suffix in WRITTEN else '.mkv'}"
    if clip.name in UNREADABLE:
        with pytest.raises(InputError) as error:
            convert(ConvertSettings(clip, model, output), quiet=True)
        assert "\n" not in str(error.value)
        assert not list(tmp_path.iterdir())
        return
    quality = None if clip.suffix == ".gif" else QUALITY
    summary = convert(ConvertSettings(clip, model, output, faces=faces_of(clip), quality=quality), quiet=True)
    expected = times(clip)
    assert times(output) == pytest.approx(expected, abs=TICK_S.get(output.suffix, MILLISECOND))
    assert summary.frames == summary.frames_swapped == len(expected)
    assert sound(output) == sound(clip)
