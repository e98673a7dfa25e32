"""What a second is: CPU time of this process, or time on the GPU between two CUDA events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

Clock = Callable[[], float]


class DeviceClock:
    """Seconds on the GPU's current stream, for pytest-benchmark's `timer`: every reading waits for the GPU.

    An event gives the time since another one in float32 milliseconds, which is exact for neighbouring events and rough
    for distant ones: so readings are summed from one to the next.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._last: Any = None

    def __call__(self) -> float:
        now = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        now.record()
        now.synchronize()
        if self._last is not None:
            self._seconds += self._last.elapsed_time(now) / 1000
        self._last = now
        return self._seconds


device_seconds = DeviceClock()


def clock(device: str) -> Clock:
    """`time.process_time` on the CPU: what other programs do to the machine counts less than in wall time."""
    return device_seconds if device == "cuda" else time.process_time


def one_thread() -> None:
    """Everything on the CPU is measured per core."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
