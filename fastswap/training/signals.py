"""Leaving well: a signal asks, a second one insists. And one training a model folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fastswap import signals
from fastswap.errors import InputError
from fastswap.signals import Stop

__all__ = ["Stop", "locked", "stop_on_signals"]

_LOCK_NAME = ".lock"


def stop_on_signals() -> AbstractContextManager[Stop]:
    """See `fastswap.signals`."""
    return signals.stop_on_signals("finishing this step and saving; again to leave at once")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the system lets go of it however the process ends. Raises InputError where
    another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK_NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another training writes {folder}: wait for it or choose another model folder") from error
        yield
