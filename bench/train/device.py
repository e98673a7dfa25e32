"""What a training leaves unused and what it takes: the share of time in which the device has nothing to do, and the
most memory that was taken."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

_BUSY = frozenset(("kernel", "gpu_memcpy", "gpu_memset"))
"""What the profiler calls the device's own work in its traces."""


def idle_share(run: Callable[[], None], steps: int, device: torch.device) -> float | None:
    """The part of `steps` calls in which no kernel runs and nothing is copied, from the first kernel's start to the
    last one's end. None on a CPU, whose idle cores are not ours alone to count."""
    if device.type != "cuda":
        return None
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(steps):
            run()
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return uncovered((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("cat") in _BUSY)


def uncovered(intervals: Iterable[tuple[float, float]]) -> float | None:
    """The share of the time from the first beginning to the last end that no interval covers; None without any."""
    ordered = sorted(intervals)
    if not ordered:
        return None
    begin = reached = ordered[0][0]
    gaps = 0.0
    for start, end in ordered:
        gaps += max(start - reached, 0.0)
        reached = max(reached, end)
    return gaps / (reached - begin) if reached > begin else None


def begin_memory(device: torch.device) -> None:
    """From here on `peak_memory` counts. A CPU's process has one peak for all its life: there every measurement has a
    process of its own."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Bytes: on a GPU what tensors took at most, on a CPU the most that was resident of this process, Python and
    libraries included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
