"""Which device runs the networks, how much memory it has left, and how tensors get there and back without waiting."""

from __future__ import annotations

import os
from collections.abc import Sequence
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


def is_apart(tensor: torch.Tensor) -> bool:
    """Whether reading a tensor's values means waiting for a device."""
    return tensor.is_cuda


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """On `device`; from the host to a GPU through page-locked memory, in the order of the current stream: nobody
    waits."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Coming:
    """Tensors on their way to the host: of a GPU they are copied in the order of the current stream, into page-locked
    memory, while the caller goes on."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        import torch

        self._tensors = [_to_host(tensor) for tensor in tensors]
        self._copied: torch.cuda.Event | None = None
        if any(tensor.is_cuda for tensor in tensors):
            self._copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._copied.record()

    def wait(self) -> list[torch.Tensor]:
        """The tensors, on the CPU. Any thread may wait for them."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._tensors


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    if not tensor.is_cuda:
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)
