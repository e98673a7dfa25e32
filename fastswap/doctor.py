"""doctor: what is on this machine, what is missing, and the command that installs it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from fastswap.faces.networks import cache_folder
from fastswap.ops import OPERATIONS, implementations
from fastswap.video.decoders import decoding
from fastswap.video.encoders import nvenc
from fastswap.workers import cores

_CORE = ("torch", "numpy", "numba", "opencv-python-headless", "av", "pillow", "pyarrow", "safetensors", "tflite")
_EXTRAS = {
    "cuda": ("triton", "cupy-cuda13x", "nvidia-dali-cuda130"),
    "identity": ("dlib-bin", "face_recognition_models"),
    "demo": ("scikit-image",),
}
_ENOUGH_DISK = 10 << 30


@dataclass
class Diagnosis:
    """One machine. packages: name -> version, None where absent; implementations: operation -> name -> None where
    usable, else why not; decoding: what decodes videos here, and what is missing for more; nvenc: codec -> None where
    the GPU encodes it, else why not; advice: what to do, a line each; ok: whether extract, train and convert can run
    here."""

    python: str
    system: str
    cpu: str
    cores: int
    memory_gib: float
    disk_free_gib: float
    gpus: list[str]
    driver: str | None
    networks: str | None
    packages: dict[str, str | None]
    implementations: dict[str, dict[str, str | None]]
    decoding: str = ""
    nvenc: dict[str, str | None] = field(default_factory=dict)
    advice: list[str] = field(default_factory=list)
    ok: bool = True


def diagnose() -> Diagnosis:
    """Looks at this machine. Downloads and changes nothing."""
    packages = {name: _version(name) for name in (*_CORE, *(n for names in _EXTRAS.values() for n in names))}
    diagnosis = Diagnosis(
        python=platform.python_version(),
        system=platform.platform(),
        cpu=_cpu(),
        cores=cores(),
        memory_gib=_memory_gib(),
        disk_free_gib=round(shutil.disk_usage(Path.cwd()).free / (1 << 30), 1),
        gpus=_gpus(packages),
        driver=_driver(),
        networks=_networks(),
        packages=packages,
        implementations={name: implementations(name) for name in OPERATIONS},
        decoding=decoding(),
        nvenc=nvenc() if packages["av"] else {},
    )
    _advise(diagnosis)
    return diagnosis


def _advise(found: Diagnosis) -> None:
    missing = [name for name in _CORE if found.packages[name] is None]
    if missing:
        found.ok = False
        found.advice.append(f"missing: {', '.join(missing)}. Install: pip install fastswap -c constraints.txt")
    for extra, names in _EXTRAS.items():
        absent = [name for name in names if found.packages[name] is None]
        if absent and (extra != "cuda" or found.driver):
            found.advice.append(
                f'optional: {", ".join(absent)}. Install: pip install "fastswap[{extra}]" -c constraints.txt'
            )
    if found.networks is None:
        found.advice.append("the face networks come with the first extract (35 MB, needs a package index once)")
    if found.driver and not found.gpus:
        found.advice.append(
            "an NVIDIA driver is here, and torch cannot use it: install a CUDA build of torch for this driver"
        )
    if not found.driver:
        found.advice.append("no NVIDIA driver: everything runs on the CPU, with Numba")
    if found.disk_free_gib < _ENOUGH_DISK / (1 << 30):
        found.advice.append(f"{found.disk_free_gib} GiB of disk are free here: 10 or more are advised")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _networks() -> str | None:
    given = os.environ.get("FASTSWAP_NETWORKS")
    folder = Path(given) if given else cache_folder()
    return str(folder) if folder.is_dir() and any(folder.iterdir()) else None


def _gpus(packages: dict[str, str | None]) -> list[str]:
    if packages["torch"] is None:
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    properties = (torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count()))
    return [
        f"{p.name}, {p.total_memory / (1 << 30):.0f} GiB, compute capability {p.major}.{p.minor}" for p in properties
    ]


def _driver() -> str | None:
    path = Path("/proc/driver/nvidia/version")
    return path.read_text(encoding="utf-8").splitlines()[0] if path.exists() else None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    if "SC_PHYS_PAGES" in os.sysconf_names:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30), 1)
    return 0.0
