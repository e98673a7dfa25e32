"""Memory does not grow with the length of a video."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fastswap.conversion import ConvertSettings, convert
from fastswap.video import Frame, VideoWriter

pytestmark = pytest.mark.timeout(120)
FRAMES, SIZE = 480, (640, 360)
WARM = 200  # frames after which every buffer is full: the encoder holds some fifty, the stages about as many
MOST_MB = 40
_STATM = Path("/proc/self/statm")


@pytest.mark.skipif(not _STATM.exists(), reason="no /proc: nothing tells what memory this process has")
def test_a_long_conversion_takes_no_more_memory_than_a_short_one(
    make_input: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, memory = make_input(frames=FRAMES, size=SIZE), []
    write = VideoWriter.write

    def watched(writer: VideoWriter, frame: Frame) -> None:
        memory.append(int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
        write(writer, frame)

    monkeypatch.setattr(VideoWriter, "write", watched)
    settings = ConvertSettings(given.clip, model, tmp_path / "swapped.mkv", faces=given.faces, quality=45)
    convert(settings, quiet=True)
    kept = (FRAMES - WARM) * SIZE[0] * SIZE[1] * 1.5 / 1e6
    assert kept > 2 * MOST_MB, "frames that are kept would be seen"
    assert max(memory[WARM:]) - max(memory[:WARM]) < MOST_MB
