"""Where the decoded faces are kept: on the device where they fit beside the step, else in the host's memory, else on
disk."""

from __future__ import annotations

import logging

import torch

from fastswap.device import free_memory
from fastswap.errors import UsageError

DEVICE, PINNED, MAPPED = "device", "pinned", "mapped"
PLACES = ("auto", DEVICE, PINNED, MAPPED)
_HOST_PART = 0.75
"""The part of the host's available memory that faces may take: the rest is for what the run and others still need."""
_LOG = logging.getLogger(__name__)


def choose_place(
    asked: str,
    size: int,  # bytes of the faces
    device: torch.device,
    reserve: int | None = None,  # bytes of the device's memory that the step needs; None: half of what is free
    sharing: int = 1,  # processes on this host, each with its own copy in the host's memory
) -> str:
    """One of PLACES but auto. `auto` takes the first that fits and says in one line what it could not take; any other
    is taken as it is. Raises UsageError where that cannot be."""
    host = free_memory(torch.device("cpu")) // sharing
    free = free_memory(device) if device.type == "cuda" else host
    if asked != "auto":
        return _insist(asked, size, device, free, host)
    room = free - (free // 2 if reserve is None else reserve)
    if size <= room:
        return DEVICE
    place = PINNED if device.type == "cuda" and size <= host * _HOST_PART else MAPPED
    _LOG.warning(
        "the faces (%.1f GB) do not fit on %s, which has %.1f GB for them beside the training: they stay %s, and their "
        "batches are %s (--store device insists; fewer faces or a smaller --size would fit)",
        *(size / 1e9, device, max(room, 0) / 1e9),
        *(
            ("in the host's memory", "uploaded through page-locked buffers")
            if place == PINNED
            else ("on disk", "read as they come")
        ),
    )
    return place


def _insist(asked: str, size: int, device: torch.device, free: int, host: int) -> str:
    if asked == PINNED and device.type != "cuda":
        raise UsageError("--store pinned is for a GPU: on the CPU choose device (its memory) or mapped (the disk)")
    has = {DEVICE: free, PINNED: host}.get(asked, size)
    if size > has:
        raise UsageError(
            f"--store {asked}: the faces take {size / 1e9:.1f} GB and {has / 1e9:.1f} GB are free there: "
            "choose auto, or mapped, which keeps them on disk"
        )
    return asked
