"""Leaving well: a signal asks, a second one insists."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_LOG = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """True once a signal asked to stop. note: what is logged then, behind the signal's name ("" for nothing)."""

    def __init__(self, note: str = "") -> None:
        self.asked = False
        self.note = note

    def __bool__(self) -> bool:
        return self.asked

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. The second signal raises KeyboardInterrupt where the program is; files are renamed into
        place only when whole, so nothing half-written stays."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self.note:
            _LOG.warning("%s: %s", signal.Signals(number).name, self.note)


@contextmanager
def stop_on_signals(note: str = "") -> Iterator[Stop]:
    """While the block runs, Ctrl-C and SIGTERM set the Stop that it is given. Outside of the main thread, where Python
    delivers no signals, it is never set."""
    stop = Stop(note)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    earlier = {number: signal.signal(number, stop.handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
