"""A Ray cluster of two workers, started here: the same frames, also when one of them is killed; errors in one line."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastswap.errors import InputError, UsageError

from .conftest import Single, crew_of

pytest.importorskip("ray")
from fastswap.cluster.ray_backend import RayBackend


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayBackend]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # Ray leaves the token of its clusters there
        backend = RayBackend("local", 2, gpu=False)
        started = _descendants()
        yield backend
        started |= _descendants()
        backend.close()
        assert not {pid for pid in started if _command(pid).startswith(("ray::", "raylet", "gcs_server"))}


def test_two_tasks_run_at_once(backend: RayBackend) -> None:
    assert backend.workers == 2


def test_a_killed_worker_changes_nothing_in_the_face_set(single: Single, backend: RayBackend, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_at_the_first_part(done: int, note: str = "") -> None:
        if note.startswith("1 "):
            killed.extend(pid for pid in _descendants() if _command(pid).startswith("ray::perform"))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    single.check_extraction(backend, tmp_path / "faces", kill_at_the_first_part)
    assert killed


def test_the_swapped_frames_are_those_of_one_process(single: Single, backend: RayBackend, tmp_path: Path) -> None:
    single.check_conversion(backend, tmp_path / "swapped.mkv")


def test_a_node_that_cannot_read_the_input_is_one_line(backend: RayBackend, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{socket.gethostname()} cannot read .*away\.mp4"):
        crew_of(backend).check(tmp_path / "away.mp4", tmp_path)


def test_a_dead_address_is_one_line_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--ray 127.0.0.1:{port}: nobody answers there .*ray start --head"):
            RayBackend(f"127.0.0.1:{port}", None, gpu=False)


@pytest.mark.parametrize("address", ["somewhere", "ray://10.0.0.2:10001", ":6379"])
def test_what_is_no_address_is_one_line(address: str) -> None:
    with pytest.raises(UsageError, match="host:port"):
        RayBackend(address, None, gpu=False)


def _descendants() -> set[int]:
    """The processes that this one started, and those that they did."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended meanwhile
                continue
    found = {os.getpid()}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found - {os.getpid()}


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return words[0].decode().rpartition("/")[2]
