"""What opening a store takes of memory: store_child.py FACES CACHE. Prints the bytes of the faces, and by how much the
resident memory peaked over what it was before, without a cache file and with one."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import torch
from synthetic import TINY

from fastswap.faceset import FaceSet
from fastswap.training import decoding, facecache
from fastswap.training.facecache import FaceCache
from fastswap.training.sides import choose_side
from fastswap.training.store import Store

SIZE = 192
CPU = torch.device("cpu")


def _resident(name: str) -> int:
    """VmRSS or VmHWM (its peak since it was last reset), bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


def main() -> None:
    decoding.CHUNK, facecache._PIECE = 4, 1 << 20
    side = choose_side("A", FaceSet.open(Path(sys.argv[1])), None)
    Store.open([replace(side, rows=side.rows[:20])], TINY.objective, SIZE, CPU)  # what is loaded once
    print(math.prod((len(side.rows), SIZE, SIZE, 4)))
    for _ in range(2):
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
        opened = Store.open([side], TINY.objective, SIZE, CPU, cache=FaceCache(Path(sys.argv[2])))
        print(_resident("VmHWM") - before)
        del opened


if __name__ == "__main__":
    main()
