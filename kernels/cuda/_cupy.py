"""How a CUDA C source becomes a launch: by NVRTC through CuPy on a GPU, by g++ where there is none.

A source is a file under `kernels/`; what it includes with quotes is put in its place here, so that one text is all that
a compiler's cache has to compare. Under FASTSWAP_CUDA_EMULATE=1 the same text is compiled by g++ with `emulate.h` and
run on CPU tensors: what a kernel computes is then tested, and can be stepped through, on any machine.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

KERNELS = Path(__file__).resolve().parents[1]
OPTIONS = ("-std=c++17",)
TYPES = {torch.float32: "float", torch.float16: "__half", torch.bfloat16: "__nv_bfloat16"}  # of pictures, as stored
_INCLUDE = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)
_CUDA_INCLUDE = re.compile(r"^#include <cuda_\w+\.h>$", re.MULTILINE)
_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")

Defines = tuple[tuple[str, str], ...]
Shape = tuple[int, ...]

record: Callable[[str, str, Defines, Shape, Shape, Sequence[Any]], None] | None = None
"""Takes launches in place of a device, where set: how the kernels' report sees which kernels there are."""


def launch(
    source: str,  # a path under kernels/: "warp/warp.cu"
    kernel: str,  # the name of an extern "C" __global__ function in it
    grid: Shape,  # blocks
    block: Shape,  # threads a block
    *arguments: Tensor | int | float | np.generic,
    defines: Mapping[str, str | int] | None = None,  # what is chosen at compile time, as -Dname=value
) -> None:
    """Launches on the current stream. A tensor goes as its data pointer, int as a 32-bit int, float as a float, a NumPy
    scalar as itself. Nothing is launched for an empty grid. Raises OverflowError for an int of more than 32 bits."""
    if 0 in grid:
        return
    given = tuple(sorted((name, str(value)) for name, value in (defines or {}).items()))
    if record is not None:
        record(source, kernel, given, grid, block, arguments)
    elif os.environ.get("FASTSWAP_CUDA_EMULATE") == "1":
        _emulate(_emulated(text(source), given), kernel, grid, block, arguments)
    else:
        _launch_on_gpu(_module(source, given), kernel, grid, block, arguments)


@functools.cache
def text(source: str) -> str:
    """A source under kernels/ with its own headers put in their places, each once."""
    seen: set[str] = set()

    def expand(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        return _INCLUDE.sub(lambda match: expand(match[1]), (KERNELS / name).read_text(encoding="utf-8"))

    return expand(source)


def options(defines: Defines) -> tuple[str, ...]:
    """NVRTC's options: the toolkit's own headers lie in a wheel beside CuPy where no toolkit is installed."""
    spec = importlib.util.find_spec("nvidia")
    homes = [Path(home) / "cu13" / "include" for home in (spec.submodule_search_locations or [])] if spec else []
    return (
        *OPTIONS,
        *(f"-I{home}" for home in homes if home.is_dir()),
        *(f"-D{name}={value}" for name, value in defines),
    )


@functools.cache
def _module(source: str, defines: Defines) -> Any:
    import cupy

    return cupy.RawModule(code=text(source), options=options(defines))


def _launch_on_gpu(module: Any, kernel: str, grid: Shape, block: Shape, arguments: Sequence[Any]) -> None:
    import cupy

    device = next(value.device for value in arguments if isinstance(value, Tensor))
    stream = cupy.cuda.Stream.from_external(torch.cuda.current_stream(device))
    with cupy.cuda.Device(device.index), stream:
        module.get_function(kernel)(grid, block, tuple(_scalar(value) for value in arguments))


def _scalar(value: Tensor | int | float | np.generic) -> np.generic:
    if isinstance(value, Tensor):
        return np.uint64(value.data_ptr())
    if isinstance(value, np.generic):
        return value
    return np.float32(value) if isinstance(value, float) else np.int32(value)


# On the CPU

_one_at_a_time = threading.Lock()  # threadIdx and shared memory are global variables there


@functools.cache
def _emulated(code: str, defines: Defines) -> ctypes.CDLL:
    """The source as a shared library, compiled once for each text and set of defines."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise RuntimeError("FASTSWAP_CUDA_EMULATE=1 compiles CUDA C with g++, and there is none: apt install g++")
    kernels = _KERNEL.findall(code)
    body = _CUDA_INCLUDE.sub("", code)
    whole = f'#include "{KERNELS / "cuda" / "emulate.h"}"\n{body}\n' + "".join(f"EMULATE({k})\n" for k in kernels)
    header = (KERNELS / "cuda" / "emulate.h").read_bytes()
    flags = [
        *OPTIONS,
        "-O2",
        "-shared",
        "-fPIC",
        "-w",
        *_extra_flags(),
        *(f"-D{name}={value}" for name, value in defines),
    ]
    key = hashlib.sha256(header + repr((whole, flags)).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / f"fastswap-emulated-{os.getuid()}"
    library = folder / f"{key}.so"
    if not library.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        source, built = folder / f"{key}-{os.getpid()}.cpp", folder / f"{key}-{os.getpid()}.so"
        source.write_text(whole, encoding="utf-8")
        done = subprocess.run(
            [compiler, *flags, str(source), "-o", str(built)], capture_output=True, text=True, check=False
        )
        source.unlink()
        if done.returncode:
            raise RuntimeError(f"g++ does not compile the CUDA C:\n{done.stderr}")
        built.replace(library)
    return ctypes.CDLL(str(library))


def _extra_flags() -> list[str]:
    """FASTSWAP_CUDA_EMULATE_FLAGS for g++: "-g -O0" to step through a kernel, "-fsanitize=address" to check it."""
    return os.environ.get("FASTSWAP_CUDA_EMULATE_FLAGS", "").split()


def _emulate(library: ctypes.CDLL, kernel: str, grid: Shape, block: Shape, arguments: Sequence[Any]) -> None:
    values = [np.asarray(_scalar(value)) for value in arguments]
    pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
    sizes = (ctypes.c_int * len(values))(*(value.itemsize for value in values))
    shape = (ctypes.c_uint * 6)(*_three(grid), *_three(block))
    backwards = os.environ.get("FASTSWAP_CUDA_EMULATE_ORDER") == "backwards"
    with _one_at_a_time:
        problem = getattr(library, f"emulate_{kernel}")(shape, pointers, sizes, len(values), int(backwards))
    if problem:
        reasons = {
            -1: f"takes another number of arguments than {len(values)}",
            -2: "has threads that wait for each other",
        }
        raise RuntimeError(f"{kernel} {reasons.get(problem, f'has another type for argument {problem - 1}')}")


def _three(shape: Shape) -> Shape:
    return (*shape, 1, 1)[:3]
