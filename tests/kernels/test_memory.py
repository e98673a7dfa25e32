"""What compute-sanitizer does on a GPU, without one: no kernel reads or writes outside of its tensors, and none depends
on the order in which its threads run.

CUDA C is compiled with g++'s address and alignment sanitizers (a misaligned vector load is a fault on a GPU). Triton's
interpreter reads through plain pointers, so its inputs end where a page begins that nobody may touch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastswap.bench.cases import CASES
from fastswap.ops import OPERATIONS, implementations

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: compute-sanitizer looks there")

CUDA_C = [name for name in OPERATIONS if "cupy" in implementations(name)]
TRITON = [name for name in OPERATIONS if "triton" in implementations(name)]
SMALL = {
    "warp": {"frame": (48, 64), "pixels": 50},
    "paste": {"frame": (48, 64), "pixels": 50},
    "augment": {"stored": 40},
}
VARIANTS = {
    "warp": [{"layout": layout} for layout in ("rgb", "nv12", "p010", "float")],
    "paste": [{"layout": layout} for layout in ("rgb", "nv12", "p010")],
    "match_colour": [{"method": method} for method in ("reinhard", "covariance", "histogram")],
    "sharpen": [{"method": method} for method in ("unsharp", "box", "gaussian")],
    "blend_poisson": [{"mode": mode} for mode in ("normal", "mixed")],
}
SIZE, BATCH = 33, 2  # an odd side: no row but the first begins at a whole vector

SANITIZED = f"""
import sys, torch
from fastswap.bench.cases import CASES
small, variants = {SMALL!r}, {VARIANTS!r}
for operation in sys.argv[1:]:
    for variant in variants.get(operation, [{{}}]):
        for dtype in (torch.float32, torch.float16):
            given = {{**small.get(operation, {{}}), **variant, "dtype": dtype}}
            CASES[operation]({SIZE}, {BATCH}, "cpu", **given).call("cupy")
"""

GUARDED = f"""
import ctypes, dataclasses, importlib, mmap, sys, torch
from fastswap.bench.cases import CASES
from fastswap.ops import Planes
libc = ctypes.CDLL(None)
kept = []

def guarded(value):
    "The same tensor, ending at a page that may not be touched."
    if isinstance(value, Planes):
        return dataclasses.replace(value, data=tuple(guarded(plane) for plane in value.data))
    if not isinstance(value, torch.Tensor) or value.ndim == 0 or value.numel() == 0:
        return value
    pages = -(-value.nbytes // mmap.PAGESIZE)
    room = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    kept.append(room)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    if libc.mprotect(ctypes.c_void_p(start + pages * mmap.PAGESIZE), mmap.PAGESIZE, 0):
        raise OSError("mprotect")
    bytes_ = torch.frombuffer(room, dtype=torch.uint8, count=value.nbytes, offset=pages * mmap.PAGESIZE - value.nbytes)
    copy = bytes_.view(value.dtype).view(value.shape)
    copy.copy_(value)
    return copy

small, variants = {SMALL!r}, {VARIANTS!r}
for operation in sys.argv[1:]:
    importlib.import_module(f"fastswap.kernels.{{operation}}._triton").BLOCK = 8192
    for variant in variants.get(operation, [{{}}]):
        case = CASES[operation]({SIZE}, {BATCH}, "cpu", **{{**small.get(operation, {{}}), **variant}})
        case = dataclasses.replace(case, arguments=tuple(guarded(value) for value in case.arguments))
        case.call("triton")
        print("ran", operation, variant, flush=True)
"""


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def sanitizer() -> dict[str, str]:
    """The variables under which CUDA C is compiled with the sanitizers and Python loads their library."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile CUDA C for the CPU")
    found = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    library = found.stdout.strip()
    if not Path(library).is_absolute():
        pytest.skip("g++ has no address sanitizer here")
    flags = "-fsanitize=address,alignment -fno-sanitize-recover=alignment"
    return {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
        "FASTSWAP_CUDA_EMULATE": "1",
        "FASTSWAP_CUDA_EMULATE_FLAGS": flags,
    }


@pytest.mark.parametrize("operation", CUDA_C)
def test_cuda_stays_inside_of_its_tensors(operation, sanitizer):
    done = run(SANITIZED, operation, **sanitizer)
    assert done.returncode == 0, done.stderr[-3000:]


OUT_OF_RANGE = """
import torch
from pathlib import Path
from fastswap.kernels.cuda import _cupy
body = "{ b[threadIdx.x] = a[threadIdx.x + 1]; }"
_cupy.text = lambda source: 'extern "C" __global__ void k(const float* a, float* b) ' + body
_cupy.launch("k.cu", "k", (1,), (100,), torch.zeros(100), torch.zeros(100))
"""


def test_the_sanitizer_sees_a_read_past_the_end(sanitizer):
    done = run(OUT_OF_RANGE, **sanitizer)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


@pytest.mark.parametrize("operation", TRITON)
def test_triton_stays_inside_of_its_inputs(operation):
    done = run(GUARDED, operation, TRITON_INTERPRET="1")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("operation", CUDA_C)
def test_results_do_not_depend_on_the_order_of_threads(operation, monkeypatch):
    for variant in VARIANTS.get(operation, [{}]):
        results = []
        for order in ("forwards", "backwards"):
            monkeypatch.setenv("FASTSWAP_CUDA_EMULATE_ORDER", order)
            case = CASES[operation](SIZE, BATCH, "cpu", **{**SMALL.get(operation, {}), **variant})
            results.append(case.results("cupy"))
        for forwards, backwards in zip(*results, strict=True):
            assert torch.equal(forwards, backwards), variant
