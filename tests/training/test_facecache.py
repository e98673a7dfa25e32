"""Decoded faces are kept on disk, and never used where anything about the face set or the file is not as it was."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import TINY, draw, make_faces
from torch import Tensor

from fastswap.errors import InputError
from fastswap.faceset import FaceSet
from fastswap.training.facecache import HEADER, FaceCache, content_key
from fastswap.training.sides import Side, choose_side

SHAPE = (5, 4, 4, 4)
FACES = torch.arange(5 * 64, dtype=torch.int64).remainder(251).to(torch.uint8).reshape(SHAPE)
KEY = "0123456789abcdef" * 4


def decode() -> Iterator[Tensor]:
    yield FACES[:3]
    yield FACES[3:]


def forbidden() -> Iterator[Tensor]:
    raise AssertionError("decoded what the cache has")


def fetch(cache: FaceCache, decode: Callable[[], Iterator[Tensor]] = decode, key: str = KEY) -> Tensor:
    return torch.cat([piece.clone() for piece in cache.pieces(key, SHAPE, decode)])


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.faces"))


def test_the_second_start_decodes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert torch.equal(fetch(FaceCache(tmp_path)), FACES)
    assert "the folder keeps 20 GB at most; --no-cache: none" in caplog.text
    assert torch.equal(fetch(FaceCache(tmp_path), forbidden), FACES)
    assert torch.equal(FaceCache(tmp_path).mapped(KEY, SHAPE, forbidden), FACES)
    header = json.loads(kept(tmp_path)[0].read_bytes()[:HEADER])
    assert (header["schema"], header["key"], header["shape"]) == (1, KEY, list(SHAPE))


def test_faces_larger_than_a_piece_are_read_in_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(FaceCache(tmp_path))
    monkeypatch.setattr("fastswap.training.facecache._PIECE", 130)
    pieces = [piece.clone() for piece in FaceCache(tmp_path).pieces(KEY, SHAPE, forbidden)]
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert torch.equal(torch.cat(pieces), FACES)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[: HEADER // 2],
        lambda content: b"",
        lambda content: content.replace(b'"shape": [5', b'"shape": [9'),
        lambda content: content.replace(b'"schema": 1', b'"schema": 2'),
        lambda content: content.replace(KEY.encode(), KEY[::-1].encode()),
        lambda content: b"[" * HEADER + content[HEADER:],
        lambda content: b'{"shape": [1e99, -1, null]}'.ljust(HEADER) + content[HEADER:],
        lambda content: b"\xff" * len(content),
    ],
    ids=["short", "long", "half a header", "empty", "shape", "schema", "key", "nested", "numbers", "not text"],
)
def test_a_file_that_is_not_as_we_write_it_is_written_again(
    tmp_path: Path, spoil: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    fetch(FaceCache(tmp_path))
    (path,) = kept(tmp_path)
    good = path.read_bytes()
    path.write_bytes(spoil(good))
    assert torch.equal(fetch(FaceCache(tmp_path)), FACES)
    assert "decoded again" in caplog.text
    assert path.read_bytes() == good
    path.write_bytes(spoil(good))
    assert torch.equal(FaceCache(tmp_path).mapped(KEY, SHAPE, decode), FACES)


def test_a_pipe_in_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    fetch(FaceCache(tmp_path))
    (path,) = kept(tmp_path)
    path.unlink()
    os.mkfifo(path)
    assert torch.equal(fetch(FaceCache(tmp_path)), FACES)
    assert path.is_file()


def test_what_was_not_decoded_to_the_end_is_not_kept(tmp_path: Path) -> None:
    def breaks() -> Iterator[Tensor]:
        yield FACES[:3]
        raise RuntimeError("a damaged picture")

    with pytest.raises(RuntimeError):
        fetch(FaceCache(tmp_path), breaks)
    leaves = FaceCache(tmp_path).pieces(KEY, SHAPE, decode)
    next(leaves)
    leaves.close()  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_a_killed_process_left_is_deleted(tmp_path: Path) -> None:
    (tmp_path / ".abc.1.partial.faces").write_bytes(b"half")
    fetch(FaceCache(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_the_folder_stays_below_its_limit_and_keeps_what_is_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    size = HEADER + FACES.numel()
    for age, key in enumerate("abc"):
        fetch(FaceCache(tmp_path), key=key * 64)
        os.utime(tmp_path / f"{key * 32}.faces", (1000 + age, 1000 + age))
    fetch(FaceCache(tmp_path), key="a" * 64)  # read again: no longer the oldest
    with caplog.at_level(logging.INFO):
        fetch(FaceCache(tmp_path, limit=2 * size), key="d" * 64)
    assert [path.name[0] for path in kept(tmp_path)] == ["a", "d"]
    assert "deleted" in caplog.text
    both = FaceCache(tmp_path, limit=1)
    fetch(both, key="e" * 64)
    fetch(both, key="f" * 64)
    assert [path.name[0] for path in kept(tmp_path)] == ["e", "f"], "both sides of this run"


def test_a_folder_that_cannot_be_written_is_said_or_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "cache"
    assert torch.equal(fetch(FaceCache(folder)), FACES)
    assert "not kept for the next start" in caplog.text
    with pytest.raises(InputError, match=r"--cache: .* cannot be used"):
        fetch(FaceCache(folder, required=True))
    with pytest.raises(InputError, match="give --cache DIR"):
        FaceCache(folder).mapped(KEY, SHAPE, decode)


def test_a_full_disk_is_seen_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**9 + FACES.numel() - 1}))
    assert torch.equal(fetch(FaceCache(tmp_path)), FACES)
    assert "1.0 GB of disk left" in caplog.text
    assert kept(tmp_path) == []


def test_of_two_processes_one_decodes_and_the_other_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = (
        "import fcntl, sys, time\n"
        "lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX); print('held', flush=True); time.sleep(0.5)"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path / ".lock"], stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        with caplog.at_level(logging.INFO):
            fetch(FaceCache(tmp_path))
    assert "waiting for it" in caplog.text


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return choose_side("A", FaceSet.open(make_faces(tmp_path / "a", (200, 150, 120))), None)


def _edit(folder: Path) -> None:
    import cv2

    path = folder / "000003_0.png"
    cv2.imwrite(str(path), draw((10, 20, 30), 0.3, 64))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))


def _mask(folder: Path) -> None:
    import cv2

    cv2.imwrite(str(folder / "000003_0.mask.png"), np.zeros((64, 64), np.uint8))


@pytest.mark.parametrize(
    "change",
    [
        _edit,
        _mask,
        lambda folder: (folder / "000003_0.png").unlink(),
        lambda folder: (folder / "000003_1.png").write_bytes(b"new"),
        lambda folder: os.utime(folder / "faces.parquet", (1, 1)),
        lambda folder: os.utime(folder / "faceset.json", (1, 1)),
    ],
    ids=["edited", "a mask", "deleted", "added", "table", "settings"],
)
def test_a_face_set_that_changed_has_another_key(side: Side, change: Callable[[Path], object]) -> None:
    before = content_key(side, TINY.objective, 48)
    assert content_key(side, TINY.objective, 48) == before
    change(side.faces.path)
    assert content_key(side, TINY.objective, 48) != before


def test_the_key_holds_all_that_the_bytes_depend_on_and_no_more(side: Side) -> None:
    before = content_key(side, TINY.objective, 48)
    assert content_key(side, TINY.objective, 40) != before
    assert content_key(side, replace(TINY.objective, eyes=1.5), 48) != before
    assert content_key(replace(side, rows=side.rows[::2]), TINY.objective, 48) != before
    assert content_key(side, replace(TINY.objective, l1=9.0), 48) == before
    (side.faces.path / "Thumbs.db").write_bytes(b"of a file manager")
    assert content_key(side, TINY.objective, 48) == before
    moved = side.faces.path.rename(side.faces.path.with_name("moved"))
    assert content_key(choose_side("B", FaceSet.open(moved), None), TINY.objective, 48) == before
