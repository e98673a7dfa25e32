"""Which device runs the networks."""

from __future__ import annotations

from fastswap.errors import UsageError


def resolve_device(name: str) -> str:
    """ "auto" is the GPU where torch can use one, else the CPU. Raises UsageError for "cuda" where torch cannot."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU here (see `fastswap doctor`); leave it out to use the CPU")
    return name
