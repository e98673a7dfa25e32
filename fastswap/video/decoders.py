"""Which decoder reads a file: DALI on the GPU's video unit, or PyAV on the CPU, and why the one and not the other."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from typing import Literal

from fastswap.errors import MissingDependencyError, UsageError

DecoderName = Literal["auto", "dali", "av"]
DECODERS: tuple[DecoderName, ...] = ("auto", "dali", "av")

_DRIVER, _NVDEC = "libcuda.so.1", "libnvcuvid.so.1"
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
    if _loaded(_DRIVER) is None:
        return "there is no NVIDIA driver here, and no NVDEC"
    library = _loaded(_NVDEC)
    if library is None:
        return (
            f"the driver's video library ({_NVDEC}) is missing, and NVDEC with it: in a container, set "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
        )
    return None if hasattr(library, _FUNCTION) else f"{_NVDEC} is not NVIDIA's: there is no NVDEC"


def _loaded(library: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(library)
    except OSError:
        return None


def decoding() -> str:
    """What this machine has to decode videos with, in one line."""
    here = [name for name, reason in (("DALI", missing_dali()), ("NVDEC", missing_nvdec())) if reason is None]
    reasons = [reason for reason in (missing_dali(), missing_nvdec()) if reason]
    return "; ".join([f"PyAV{''.join(f', {name}' for name in here)}", *reasons])


def need_dali(*, cuda: bool) -> None:
    """Raises MissingDependencyError where DALI, or on a GPU its NVDEC, is not here."""
    reason = missing_dali() or (missing_nvdec() if cuda else None)
    if reason:
        raise MissingDependencyError(f"--decoder dali: {reason}, or leave the flag out to decode on the CPU")
