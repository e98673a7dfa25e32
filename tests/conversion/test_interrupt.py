"""Ctrl-C during `fastswap convert`, as a shell sends it: what is left on disk, what is said, and the exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import pytest

pytestmark = pytest.mark.timeout(120)
FRAMES = 400
START_S, END_S = 60, 30
_CODE = """
import time
from fastswap.cli import main
from fastswap.models import TrainedModel
generate = TrainedModel.generate
def slow(self, *arguments):
    time.sleep(0.3)
    return generate(self, *arguments)
TrainedModel.generate = slow
main()
"""
"""A network so slow that the signal comes while frames are written."""
_SLOW_END = """
import time
from fastswap.video import VideoWriter
finish = VideoWriter.__exit__
def late(self, *error):
    if error[0] is None:
        print("finishing", flush=True)
        time.sleep(30)
    return finish(self, *error)
VideoWriter.__exit__ = late
"""
"""Leaves time for a second signal while the file is being finished."""


def begin(given: Any, model: Path, output: Path, code: str = _CODE) -> subprocess.Popen[str]:
    """Starts a conversion in a process of its own and waits until frames are being written."""
    command = ["convert", "-i", given.clip, "-m", model, "-o", output, "--faces", given.faces, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + START_S
    while not any(part.stat().st_size for part in output.parent.glob(f".{output.stem}.*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no frame was written"
        time.sleep(0.05)
    return process


@pytest.fixture
def given(make_input: Any) -> Any:
    return make_input(frames=FRAMES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_playable_file_of_what_was_converted(
    given: Any, model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "swapped.mkv"
    process = begin(given, model, output)
    process.send_signal(number)
    printed, said = process.communicate(timeout=END_S)
    assert process.returncode == 130, said
    with av.open(str(output)) as container:
        frames = sum(1 for _ in container.decode(video=0))
        assert 0 < frames < FRAMES
        container.seek(0)
        sound = [float(p.pts * p.time_base) for p in container.demux(audio=0) if p.size]
        assert max(sound) <= frames / 25 + 0.1
    answer = json.loads(printed)
    assert answer["error"] == f"stopped: {output} holds the first {frames} of about {FRAMES} frames"
    assert said.strip().splitlines()[-1] == f"fastswap: {answer['error']}"
    assert not list(tmp_path.glob(".swapped*"))


def test_a_second_signal_ends_it_at_once_and_leaves_nothing(given: Any, model: Path, tmp_path: Path) -> None:
    output = tmp_path / "swapped.mkv"
    process = begin(given, model, output, _SLOW_END + _CODE)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "finishing\n"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=END_S)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert "interrupted" in said.strip().splitlines()[-1]
    assert not list(tmp_path.glob("*swapped*"))
