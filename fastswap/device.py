"""Which device runs the networks, and how much memory it has left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fastswap.errors import UsageError

if TYPE_CHECKING:
    import torch

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def resolve_device(name: str) -> str:
    """ "auto" is the GPU where torch can use one, else the CPU. Raises UsageError for "cuda" where torch cannot."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU here (see `fastswap doctor`); leave it out to use the CPU")
    return name


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU; on a CPU those that this process may still take without swapping: what the system
    has free or can free, within the limit of its control group."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    if not _MEMINFO.exists():  # not Linux: what the machine has is the best that can be had without a package
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    try:
        limit, used = ((_GROUP / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    return free if limit == "max" else min(free, int(limit) - int(used))
