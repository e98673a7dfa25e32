"""Compiles every GPU kernel for every target without a GPU, and prints registers and spills: `make kernels-report`.

The operations are called as users call them, on CPU tensors, with launches recorded in place of run: what is compiled
is what a GPU would be given, with the same constants and alignments. Triton compiles for NVIDIA's sm_60 to sm_120 and,
as a report, for AMD's gfx942; CUDA C goes through NVRTC, whose CUDA 13 starts at sm_75. A kernel that does not compile
for an NVIDIA target, or needs more registers than there are, ends with exit status 1.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from fastswap.bench.kernel_calls import calls
from fastswap.ops import OPERATIONS, _impl, implementations
from fastswap.workers import cores

TRITON_TARGETS = ("sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_103", "sm_120", "gfx942")
CUDA_TARGETS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_103", "sm_120")
_WARP, _WAVE = 32, 64  # threads that run in step on NVIDIA's and on AMD's GPUs


@dataclass(frozen=True, slots=True)
class Compiled:
    """One kernel for one target. spilled: bytes of local memory a thread, 0 where all of it stays in registers."""

    operation: str
    impl: str
    kernel: str
    target: str
    registers: int
    spilled: int
    shared: int
    error: str | None = None


def compile_all(operations: Sequence[str] = OPERATIONS, targets: Sequence[str] | None = None) -> list[Compiled]:
    """Every kernel of these operations for these targets (None: all), by as many processes as there are cores."""
    jobs = [("triton", target, tuple(operations)) for target in TRITON_TARGETS if targets is None or target in targets]
    jobs += [("cupy", target, tuple(operations)) for target in CUDA_TARGETS if targets is None or target in targets]
    with mock.patch.dict(os.environ), ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        os.environ.pop("TRITON_INTERPRET", None)  # the processes compile, and torch imports triton when it is imported
        return [row for rows in pool.map(_compile, jobs) for row in rows]


# How launches are recorded, and what is read off a compiled kernel


def _compile(job: tuple[str, str, tuple[str, ...]]) -> list[Compiled]:
    impl, target, operations = job
    rows: dict[tuple[Any, ...], Compiled] = {}
    with mock.patch.object(_impl, "emulated", return_value=True):
        for operation in operations:
            if impl in implementations(operation):
                recorder = _triton_launches if impl == "triton" else _cuda_launches
                with recorder(operation, target, rows):
                    for call in calls(operation, target):
                        call(impl)
    return list(rows.values())


@contextmanager
def _triton_launches(operation: str, target: str, rows: dict[tuple[Any, ...], Compiled]) -> Iterator[None]:
    from triton.backends.compiler import GPUTarget
    from triton.compiler.errors import CompilationError
    from triton.runtime import driver
    from triton.runtime.errors import PTXASError
    from triton.runtime.jit import KernelInterface

    cuda = target.startswith("sm_")
    arch: Any = int(target[3:]) if cuda else target
    active = mock.Mock()
    active.get_current_target.return_value = GPUTarget("cuda" if cuda else "hip", arch, _WARP if cuda else _WAVE)
    active.get_current_device.return_value, active.get_current_stream.return_value = target, 0

    def compile_instead(kernel: Any, grid: Any) -> Callable[..., None]:
        def launch(*arguments: Any, **named: Any) -> None:
            try:
                compiled = kernel.warmup(*arguments, grid=grid, **named)
            except (CompilationError, PTXASError, RuntimeError) as error:  # RuntimeError: a pass of the compiler's
                reason = str(error).strip().splitlines()[-1:] or [repr(error)]
                rows[operation, kernel.fn.__name__, "error"] = Compiled(
                    operation, "triton", kernel.fn.__name__, target, 0, 0, 0, f"{type(error).__name__}: {reason[0]}"
                )
                return
            if compiled.hash not in rows:
                use = _of_cubin(compiled.asm["cubin"]) if cuda else _of_amdgcn(compiled.asm["amdgcn"])
                row = Compiled(operation, "triton", kernel.fn.__name__, target, *use, int(compiled.metadata.shared))
                rows[compiled.hash] = row

        return launch

    driver.set_active(active)
    version = mock.patch.object(torch.version, "hip", None if cuda else target)  # what launchers tell AMD's GPUs by
    with version, mock.patch.object(KernelInterface, "__getitem__", compile_instead):
        yield


def _of_cubin(cubin: bytes) -> tuple[int, int]:
    """Registers, and bytes of local memory, a thread; read by the cuobjdump inside of Triton's wheel."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", text)
    if found is None:
        raise RuntimeError(f"cuobjdump prints no use of registers: {text}")
    return int(found[1]), int(found[2]) + int(found[3])


def _of_amdgcn(assembly: str) -> tuple[int, int]:
    registers = re.search(r"\.vgpr_count:\s+(\d+)", assembly)
    spilled = re.search(r"\.private_segment_fixed_size:\s+(\d+)", assembly)
    if registers is None or spilled is None:
        raise RuntimeError("the assembly for gfx942 says nothing of registers")
    return int(registers[1]), int(spilled[1])


@contextmanager
def _cuda_launches(operation: str, target: str, rows: dict[tuple[Any, ...], Compiled]) -> Iterator[None]:
    from fastswap.kernels.cuda import _cupy

    def compile_instead(source: str, kernel: str, defines: Any, grid: Any, block: Any, arguments: Any) -> None:
        if (source, kernel, defines) not in rows:
            rows[source, kernel, defines] = Compiled(
                operation, "cupy", kernel, target, *_nvrtc(source, kernel, defines, target)
            )

    with mock.patch.object(_cupy, "record", compile_instead):
        yield


def _nvrtc(source: str, kernel: str, defines: Any, target: str) -> tuple[int, int, int, str | None]:
    """Registers, bytes spilled, bytes of shared memory, and the first line of an error."""
    log, error = _nvrtc_log(source, defines, target)
    if error:
        return 0, 0, 0, error
    own = log[log.index(f"'{kernel}' for") :]  # a source may hold several kernels
    found = re.search(r"(\d+) bytes stack frame.*?Used (\d+) registers(?:.*?(\d+) bytes smem)?", own, re.DOTALL)
    if found is None:
        raise RuntimeError(f"ptxas prints no use of registers: {log}")
    smem = re.search(r"(\d+) bytes smem", own.split("Compiling entry")[0])
    return int(found[2]), int(found[1]), int(smem[1]) if smem else 0, None


@functools.cache
def _nvrtc_log(source: str, defines: Any, target: str) -> tuple[str, str | None]:
    """What ptxas says of all kernels of a source, and the first line of an error."""
    from cupy.cuda import nvrtc

    from fastswap.kernels.cuda import _cupy

    program = nvrtc.createProgram(_cupy.text(source), source, (), ())
    try:
        nvrtc.compileProgram(program, [*_cupy.options(defines), f"-arch={target}", "--ptxas-options=-v"])
    except nvrtc.NVRTCError:
        lines = nvrtc.getProgramLog(program).splitlines()
        return "", next((line for line in lines if "error" in line), "NVRTC failed and says nothing")
    return nvrtc.getProgramLog(program), None


# What is printed


def table(rows: Sequence[Compiled]) -> str:
    """A line a kernel, a column a target: the most registers of its variants, the bytes that the worst one spills."""
    targets = [target for target in TRITON_TARGETS if any(row.target == target for row in rows)]
    cells: dict[tuple[str, str, str], dict[str, list[Compiled]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        cells[row.operation, row.impl, row.kernel][row.target].append(row)
    lines = [f"{'operation':14}{'impl':8}{'kernel':26}{'variants':>9}" + "".join(f"{target:>9}" for target in targets)]
    for (operation, impl, kernel), by_target in cells.items():
        count = max(len(variants) for variants in by_target.values())
        line = f"{operation:14}{impl:8}{kernel:26}{count:9}"
        lines.append(line + "".join(f"{_cell(by_target.get(target, [])):>9}" for target in targets))
    return "\n".join(lines)


def _cell(variants: Sequence[Compiled]) -> str:
    if not variants:
        return "-"
    if any(row.error for row in variants):
        return "error"
    spilled = max(row.spilled for row in variants)
    return f"{max(row.registers for row in variants)}" + (f"+{spilled}B" if spilled else "")


def faults(rows: Sequence[Compiled]) -> list[str]:
    """What fails the build: a line for each kernel of an NVIDIA target that does not compile or spills."""
    return [
        f"{row.operation} {row.impl} {row.kernel} {row.target}: {row.error or f'{row.spilled} bytes spilled'}"
        for row in rows
        if row.target.startswith("sm_") and (row.error or row.spilled)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make kernels-report", description=__doc__)
    parser.add_argument("operations", nargs="*", default=OPERATIONS, help="all operations where none is named")
    parser.add_argument("--targets", nargs="+", help=f"of {', '.join(TRITON_TARGETS)}; all where none is named")
    parser.add_argument("--json", type=Path, help="write every variant to this file")
    given = parser.parse_args()
    rows = compile_all(given.operations, given.targets)
    print(table(rows))
    print("registers a thread, the most of a kernel's variants; +B: bytes of local memory a thread, which is a spill")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    for fault in faults(rows):
        print(fault, file=sys.stderr)
    return 1 if faults(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
