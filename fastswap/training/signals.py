"""Leaving well: a signal asks, a second one insists. And one training a model folder."""

from __future__ import annotations

import fcntl
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from fastswap.errors import InputError

_LOG = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOCK_NAME = ".lock"


class Stop:
    """True once a signal asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. The second signal raises KeyboardInterrupt where the program is; files are renamed into
        place only when whole, so nothing half-written stays."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        _LOG.warning("%s: finishing this step and saving; again to leave at once", signal.Signals(number).name)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """While the block runs, Ctrl-C and SIGTERM set the Stop that it is given. Outside of the main thread, where Python
    delivers no signals, it is never set."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    earlier = {number: signal.signal(number, stop.handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


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
