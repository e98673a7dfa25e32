"""A disk that takes no more: one line, and nothing is left, whatever is written.

The disk is played by the system's limit of a file's size (RLIMIT_FSIZE), in a process of its own, since a limit that
was lowered stays so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import STEP, MakeClip

OUTPUTS = ("out.mp4", "out.mkv", "out.webm", "out.avi", "out.gif", "frames", "new/out.mp4")
SCRIPT = """
import json, resource, sys
from pathlib import Path
from fastswap.errors import InputError
from fastswap.video import open_video, write_video

source, folder, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
with open_video(source) as video:
    frames = list(video)
limit = 1 << 12
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for name in names:
    said = "nothing"
    try:
        with write_video(folder / name, video.info, quality=1) as writer:
            for frame in frames:
                writer.write(frame)
    except InputError as error:
        said = str(error)
    left = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.name == name]
    print(json.dumps([name, said, left]), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
def test_a_full_disk_is_one_line_and_leaves_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip("in.mp4", size=(320, 240), times=range(0, 12 * STEP, STEP))
    folder = tmp_path / "disk"
    folder.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(source), str(folder), *OUTPUTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in told] == list(OUTPUTS)
    for name, said, left in told:
        assert "cannot be written: File too large" in said, name
        assert "\n" not in said
        assert left == []
    assert done.stderr == ""
