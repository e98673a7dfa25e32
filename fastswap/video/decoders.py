"""Which decoder reads a file: DALI on the GPU's video unit, or PyAV on the CPU, and why the one and not the other."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from typing import Literal

from fastswap.errors import MissingDependencyError, UsageError

Decoder = Literal["auto", "dali", "av"]
DECODERS: tuple[Decoder, ...] = ("auto", "dali", "av")

_NVDEC = "libnvcuvid.so.1"
_FUNCTION = "cuvidGetDecoderCaps"
"""A function of NVDEC's library, without which it is no decoder."""


def check_decoder(name: str) -> None:
    """Raises UsageError for the name of no decoder."""
    if name not in DECODERS:
        raise UsageError(f"--decoder {name}: choose one of {', '.join(DECODERS)}")


def missing_dali() -> str | None:
    """None where NVIDIA DALI is installed, else what is missing. Imports nothing."""
    if find_spec("nvidia") is not None and find_spec("nvidia.dali") is not None:
        return None
    return 'NVIDIA DALI is not installed: pip install "fastswap[cuda]"'


def missing_nvdec() -> str | None:
    """None where the GPU's video decoder can be called, else what is missing. A driver may come without its video
    libraries: in containers they are a capability of its own."""
    try:
        library = ctypes.CDLL(_NVDEC)
    except OSError:
        return (
            f"NVDEC is out of reach ({_NVDEC} cannot be loaded): in a container give the driver's `video` capability, "
            "elsewhere install the driver's decode library"
        )
    return None if hasattr(library, _FUNCTION) else f"NVDEC is out of reach ({_NVDEC} is not NVIDIA's)"


def need_dali(*, cuda: bool) -> None:
    """Raises MissingDependencyError where DALI, or on a GPU its NVDEC, is not here."""
    reason = missing_dali() or (missing_nvdec() if cuda else None)
    if reason:
        raise MissingDependencyError(f"--decoder dali: {reason}, or leave the flag out to decode on the CPU")
