"""fastswap: two videos in, one out. Face swapping in which the GPU never waits.

The public names are imported when they are first used, so that `import fastswap` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "ConvertSettings": "fastswap.conversion",
    "FaceFinder": "fastswap.faces",
    "FaceSet": "fastswap.faceset",
    "FastswapError": "fastswap.errors",
    "Planes": "fastswap.ops",
    "ScanSettings": "fastswap.faceset.scan",
    "TrainSettings": "fastswap.training",
    "TrainedModel": "fastswap.models",
    "convert": "fastswap.conversion",
    "evaluate": "fastswap.evaluation",
    "extract": "fastswap.extraction",
    "open_video": "fastswap.video",
    "ops": "fastswap",
    "train": "fastswap.training",
    "write_video": "fastswap.video",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fastswap' has no attribute '{name}'")
    if _HOME[name] == "fastswap":
        return importlib.import_module(f"fastswap.{name}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
