"""What finding faces costs: CPU milliseconds a frame of each network and of the whole finder, one thread.

python -m bench.faces.bench_find CLIP. CPU time, best of several runs: other processes on the machine disturb it least.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from fastswap.faces import FaceFinder, networks
from fastswap.ops.planes import Planes
from fastswap.video import open_video

_BATCH = 16
_INPUTS = {"short": 128, "full": 192, "mesh": 192}


def cpu_ms(work: Callable[[], object], runs: int) -> float:
    """The least CPU time of several runs, in milliseconds, after one to warm up."""
    work()
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, size in _INPUTS.items():
        network, pixels = networks.load(name), torch.rand(_BATCH, 3, size, size)
        print(f"{name} network: {cpu_ms(partial(network, pixels), given.runs) / _BATCH:.2f} CPU-ms")
    with open_video(given.clip) as video:
        planes = Planes.stack([frame.planes for frame in islice(video, _BATCH)])
    finder = FaceFinder()
    print(f"finder: {cpu_ms(partial(finder.find, planes), given.runs) / planes.frames:.2f} CPU-ms a frame")


if __name__ == "__main__":
    main()
