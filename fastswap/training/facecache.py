"""Decoded faces on disk, so that a second start decodes nothing: one file a face set, in the user's cache folder.

A file is a header of one page and the raw bytes of uint8 [M, S, S, 4]. Its name and header hold the key: a hash of all
that the bytes depend on, the names, sizes and times of the face set's files among it. The header that a file must have
is known before it is opened, so it is compared, not read: a stale, truncated or foreign file is one that differs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from fastswap.errors import InputError
from fastswap.faceset.format import META_NAME, TABLE_NAME
from fastswap.models import Objective
from fastswap.storage import atomic, user_cache
from fastswap.training.emphasis import shares
from fastswap.training.sides import Side

SCHEMA = 1
"""To be raised whenever the same face set is decoded to other bytes than before."""
LIMIT = 20 * 10**9
HEADER = 4096
"""Bytes before the faces: a page, so that mapped faces begin on one."""
_SPARE = 10**9
"""Bytes of the disk that are left to others."""
_PIECE = 64 << 20
_SUFFIX = ".faces"
_LOCK_NAME = ".lock"
Decode = Callable[[], Iterator[Tensor]]
_LOG = logging.getLogger(__name__)


def default_cache() -> Path:
    """Where decoded faces are kept unless the user says otherwise."""
    return user_cache() / "faces"


def content_key(side: Side, objective: Objective, size: int) -> str:
    """What the decoded faces of a side depend on, as 64 hex digits. Another key where a picture, mask or the table was
    edited, added or taken away: all their names, sizes and times count (5,000 of them take some 20 ms)."""
    with os.scandir(side.faces.path) as entries:
        files = sorted(_stamp(entry) for entry in entries if _counts(entry.name))
    depends = [SCHEMA, size, sorted(shares(objective).items()), side.rows.tolist(), files]
    return hashlib.sha256(json.dumps(depends).encode()).hexdigest()


def _counts(name: str) -> bool:
    return name in (META_NAME, TABLE_NAME) or (name.endswith((".png", ".jpg")) and not name.startswith("."))


def _stamp(entry: os.DirEntry[str]) -> tuple[str, int, int]:
    found = entry.stat()
    return entry.name, found.st_size, found.st_mtime_ns


class FaceCache:
    """The folder of decoded faces. `limit`: bytes that are kept in it, but what this process used is not deleted.
    `required`: the user named the folder, so that not to write it is an error and not a warning."""

    def __init__(self, folder: Path, limit: int = LIMIT, *, required: bool = False) -> None:
        self.folder, self.limit, self.required = folder, limit, required
        self._used: set[Path] = set()

    def pieces(self, key: str, shape: tuple[int, ...], decode: Decode) -> Iterator[Tensor]:
        """The faces of `key`, uint8 [n, S, S, 4] at a time, each piece to be used before the next is asked for: read
        where they are here, else what `decode` gives, which is kept on the way."""
        if found := self._find(key, shape):
            yield from _read(found, shape)
        elif refusal := self._refusal(math.prod(shape)):
            if self.required:
                raise InputError(f"--cache: {refusal}")
            _LOG.warning("decoded faces are not kept for the next start: %s (choose a place with --cache DIR)", refusal)
            yield from decode()
        else:
            with self._held():
                if found := self._find(key, shape):  # another process has just decoded them
                    yield from _read(found, shape)
                else:
                    yield from self._keep(key, shape, decode())

    def mapped(self, key: str, shape: tuple[int, ...], decode: Decode) -> Tensor:
        """The same as memory that the system reads from the file as it is touched: uint8 [M, S, S, 4]."""
        if found := self._find(key, shape):
            return map_file(found, shape, HEADER)
        if refusal := self._refusal(math.prod(shape)):
            raise InputError(f"the faces are to be mapped from disk, but {refusal}: give --cache DIR")
        with self._held():
            found = self._find(key, shape)
            if found is None:
                deque(self._keep(key, shape, decode()), maxlen=0)
                found = self._path(key).open("rb")
            return map_file(found, shape, HEADER)

    def _refusal(self, size: int) -> str | None:
        """Why `size` more bytes cannot be kept here; None where they can."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            return f"{self.folder} cannot be used ({error.strerror})"
        if not os.access(self.folder, os.W_OK):
            return f"{self.folder} cannot be written"
        if free < size + _SPARE:
            return f"{self.folder} has {free / 1e9:.1f} GB of disk left for {size / 1e9:.1f} GB"
        return None

    def _find(self, key: str, shape: tuple[int, ...]) -> BinaryIO | None:
        """The file of `key`, open at its first face, where it is there and whole."""
        path = self._path(key)
        try:
            if not path.is_file():  # a pipe of that name would keep us waiting
                return None
            file = path.open("rb")
        except OSError:
            return None
        if file.read(HEADER) == _header(key, shape) and os.fstat(file.fileno()).st_size == HEADER + math.prod(shape):
            self._used.add(path)
            with suppress(OSError):
                os.utime(path)  # the oldest are deleted first: those not used for longest
            return file
        file.close()
        _LOG.warning("%s is not what fastswap wrote: the faces are decoded again", path)
        return None

    def _keep(self, key: str, shape: tuple[int, ...], pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yields the pieces and writes them on the way; the file is there when the last was taken."""
        path = self._path(key)
        self._used.add(path)
        with atomic(path) as temporary, temporary.open("wb") as file:
            file.write(_header(key, shape))
            for piece in pieces:
                file.write(piece.numpy().data)
                yield piece
        _LOG.info(
            "decoded faces kept for the next start: %s, %.2f GB (the folder keeps %.0f GB at most; --no-cache: none)",
            *(path, math.prod(shape) / 1e9, self.limit / 1e9),
        )
        self._prune()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """While the block runs no other process writes here: of several that want the same faces, one decodes them.
        What a killed process left is deleted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK_NAME).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _LOG.info("another process decodes faces into %s: waiting for it", self.folder)
                fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in self.folder.glob(f".*.partial{_SUFFIX}"):
                leftover.unlink(missing_ok=True)
            yield

    def _prune(self) -> None:
        """Deletes files until those left are within the limit, the one not used for longest first."""
        found = [(path, path.stat()) for path in self.folder.glob(f"*{_SUFFIX}")]
        total, deleted = sum(stat.st_size for _, stat in found), 0
        for path, stat in sorted(found, key=lambda item: item[1].st_mtime_ns):
            if total - deleted > self.limit and path not in self._used:
                path.unlink(missing_ok=True)
                deleted += stat.st_size
        if deleted:
            _LOG.info(
                "deleted %.1f GB of decoded faces from %s, which keeps the newest %.0f GB",
                *(deleted / 1e9, self.folder, self.limit / 1e9),
            )

    def _path(self, key: str) -> Path:
        return self.folder / f"{key[:32]}{_SUFFIX}"


def _read(file: BinaryIO, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """The faces from where the file stands, in pieces that share their memory."""
    rows = max(_PIECE // math.prod(shape[1:]), 1)
    memory = np.empty((min(rows, shape[0]), *shape[1:]), dtype=np.uint8)
    with file:
        for start in range(0, shape[0], rows):
            piece = memory[: shape[0] - start]
            if file.readinto(piece.data.cast("B")) != piece.nbytes:  # type: ignore[attr-defined]
                raise OSError(f"{file.name} became shorter while it was read")
            yield torch.from_numpy(piece)


def map_file(file: BinaryIO, shape: tuple[int, ...], offset: int = 0) -> Tensor:
    """uint8 `shape` as memory backed by the file, which is closed. The tensor outlives the file's name; nothing that is
    written to it reaches the file."""
    with file:
        return torch.from_numpy(np.memmap(file, np.uint8, "c", offset, shape))


def _header(key: str, shape: tuple[int, ...]) -> bytes:
    content = {"fastswap": "decoded faces", "schema": SCHEMA, "key": key, "shape": list(shape)}
    return (json.dumps(content) + "\n").encode().ljust(HEADER)
