"""A timeline of the operations for Perfetto or chrome://tracing, and a run of one of them for Nsight Compute.

    python -m fastswap.bench.trace warp triton      # under ncu, which the profiler of torch would be in the way of

Every call stands in a range `fastswap.<operation>.<implementation>`: of the trace, and on a GPU of NVTX too.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from fastswap.bench.cases import Case
from fastswap.bench.contender import trials
from fastswap.ops import implementations

WARM_UP, CALLS = 3, 5


def trace(operations: Sequence[str], output: Path) -> None:
    """Traces the first shape of each operation by every usable implementation, on the GPU if there is one.

    What is built or compiled on first use is warmed up before.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    work = [(name, impl, case) for name in operations for impl, case in _work(name, device)]
    for _, impl, case in work:
        for _ in range(WARM_UP):
            case.call(impl)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    with profile(activities=activities) as profiler:
        for name, impl, case in work:
            calls(name, impl, case)
    output.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(output))


def calls(operation: str, impl: str, case: Case) -> None:
    for _ in range(CALLS):
        with _range(f"fastswap.{operation}.{impl}", case.device):
            case.call(impl)


@contextmanager
def _range(name: str, device: torch.device) -> Iterator[None]:
    with record_function(name):
        if device.type == "cuda":
            with torch.cuda.nvtx.range(name):
                yield
            torch.cuda.synchronize()  # so that a range holds what was launched in it
        else:
            yield


def _work(operation: str, device: str, *, shapes: int | None = 1) -> Iterator[tuple[str, Case]]:
    """Each usable implementation on the first `shapes` of an operation's bench (None: all)."""
    module = importlib.import_module(f"fastswap.bench.ops.bench_{operation}")
    for trial in trials(operation, {device: module.SHAPES[device][:shapes]}, (), [device]):
        if not trial.graph:
            yield trial.name, trial.case.fresh()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Calls one operation on every case of its bench a few times, each in an NVTX range."
    )
    parser.add_argument("operation")
    parser.add_argument("impl")
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = [case for impl, case in _work(asked.operation, device, shapes=None) if impl == asked.impl]
    if not found:
        why = implementations(asked.operation).get(asked.impl, "no such implementation")
        parser.error(f"{asked.impl} does not run here: {why}")
    for case in found:
        case.call(asked.impl)
        calls(asked.operation, asked.impl, case)


if __name__ == "__main__":
    main()
