"""Two workers on this machine make what one process makes, whatever happens to one of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastswap.cluster.local import LocalBackend
from fastswap.errors import InputError, UsageError, WorkerLostError

from .conftest import PARTS, Single, crew_of


@pytest.fixture
def backend() -> Iterator[LocalBackend]:
    backend = LocalBackend(2)
    yield backend
    backend.close()
    assert all(process.poll() is not None for process in backend._processes)


def test_a_killed_worker_changes_nothing_in_the_face_set(
    single: Single, backend: LocalBackend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes: list[str] = []

    def kill_at_the_first_part(done: int, note: str = "") -> None:
        notes.append(note)
        if len(notes) == 2:  # the first says that nothing is done yet
            for process in backend._processes:
                process.kill()

    with caplog.at_level(logging.WARNING, "fastswap"):
        single.check_extraction(backend, tmp_path / "faces", kill_at_the_first_part)
    assert notes == [f"{number} of {PARTS} parts" for number in range(PARTS + 1)]
    assert "a worker was lost (exit status -9): its part is done again" in caplog.messages


def test_the_swapped_frames_are_those_of_one_process(single: Single, backend: LocalBackend, tmp_path: Path) -> None:
    single.check_conversion(backend, tmp_path / "swapped.mkv")


def test_an_interrupted_extraction_keeps_its_parts(single: Single, backend: LocalBackend, tmp_path: Path) -> None:
    def interrupt(done: int, note: str = "") -> None:
        if note.startswith("2 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        single.check_extraction(backend, tmp_path / "faces", interrupt)
    notes: list[str] = []
    single.check_extraction(backend, tmp_path / "faces", lambda done, note="": notes.append(note))
    assert notes[0][0] in "23", "what was looked at is not looked at again"


def test_a_worker_that_is_lost_again_and_again_is_one_line(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(WorkerLostError, match="lost 4 times on the same part"):
        backend.run(["{}"], lambda number: None)


def test_a_worker_that_cannot_read_the_input_is_one_line(backend: LocalBackend, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*away\.mp4: put it on a file system that every node has"):
        crew_of(backend).check(tmp_path / "away.mp4", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_defect_in_a_worker_is_told_with_its_traceback(backend: LocalBackend) -> None:
    with pytest.raises(RuntimeError, match=r"KeyError\('sing'\) on .*\nTraceback"):
        backend.run(['{"do": "sing"}'], lambda number: None)


def test_no_workers_are_refused() -> None:
    from fastswap.cluster.run import _crew

    with pytest.raises(UsageError, match="--jobs 0"), _crew(None, 0, "cpu"):
        pass
