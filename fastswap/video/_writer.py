"""What every writer keeps: a whole output or none, and never over its own source."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from fastswap.errors import InputError
from fastswap.video._containers import reason
from fastswap.video._download import Download
from fastswap.video.frame import Frame, VideoInfo


class VideoWriter(ABC):
    """Takes the frames of a source in order. Leaving the `with` block well puts the output in place; leaving it by an
    exception leaves nothing behind. Nothing is created before the first frame."""

    takes_gpu = False
    """Whether `_put` takes frames that lie on a GPU; for others they are fetched, each while the one before is written.
    """

    def __init__(self, path: Path, source: VideoInfo) -> None:
        self.path = path
        self.source = source
        self._stack = ExitStack()
        self._frames = 0
        self._stopped = False
        self._download = Download()

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, frame: Frame) -> None:
        """Takes the next frame, which the caller may change afterwards. Raises ValueError where it is not of the
        source's layout and size, or comes after `stop`; InputError where the disk does not take it."""
        if self._stopped:
            raise ValueError("no frame can follow stop()")
        self._check(frame)
        with self._guarded():
            if self.takes_gpu:
                self._take(frame)
            else:
                for fetched in self._download.fetch(frame):
                    self._take(fetched)

    def _take(self, frame: Frame) -> None:
        if self._frames == 0:
            self._begin(frame)
        self._put(frame)
        self._frames += 1

    def stop(self) -> None:
        """Says that no more frames will come, although the source has more: leaving the `with` block well then puts a
        whole file of the frames so far in place, its sound and chapters no longer than they are. Where there was no
        frame yet, nothing is written."""
        self._stopped = True

    def _check(self, frame: Frame) -> None:
        expected = (self.source.layout, self.source.width, self.source.height)
        got = (frame.planes.layout, frame.planes.width, frame.planes.height)
        if got != expected:
            raise ValueError(f"a frame of {expected} expected, got {got}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._guarded(), self._stack:
            for fetched in self._download.drain():
                self._take(fetched)
            if self._frames == 0 and self._stopped:
                return
            if self._frames == 0:
                raise InputError(f"{self.path} is not written: {self.source.path} gave no frame")
            self._finish()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turns what the disk or an encoder refuses into one line."""
        import av

        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{self.path} cannot be written: {reason(error)}") from error

    @abstractmethod
    def _begin(self, first: Frame) -> None:
        """Opens the output for frames like the first, with what must be undone on `self._stack`."""

    @abstractmethod
    def _put(self, frame: Frame) -> None:
        """Writes one frame."""

    @abstractmethod
    def _finish(self) -> None:
        """Writes what is held back."""


def check_target(path: Path, source: Path) -> None:
    """Raises InputError where the output is the source itself, or its folder cannot be written to."""
    if path.exists() and source.exists() and path.samefile(source):
        raise InputError(f"{path} is the source itself: name another output")
    if path.is_dir() and source.is_file() and path.samefile(source.parent):
        raise InputError(f"{path} is the source's own folder: name another")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{path} cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: {folder} may not be written to")
