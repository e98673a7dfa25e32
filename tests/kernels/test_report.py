"""Every GPU kernel compiles for every GPU that we name, and none needs more registers than there are."""

from __future__ import annotations

import pytest

from fastswap.bench.kernels_report import (
    CUDA_TARGETS,
    TRITON_TARGETS,
    Compiled,
    compile_all,
    faults,
    table,
)
from fastswap.ops import OPERATIONS, implementations

pytest.importorskip("triton", reason="the kernels compile with triton, which is not installed")
pytest.importorskip("cupy", reason="the kernels compile with cupy's NVRTC, which is not installed")

EXPECTED = {"triton": TRITON_TARGETS, "cupy": CUDA_TARGETS}
FINE = Compiled("warp", "triton", "kernel", "sm_90", 40, 0, 0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_kernel_compiles_everywhere_and_spills_nothing():
    rows = compile_all()
    assert faults(rows) == []
    done = {(row.operation, row.impl, row.target) for row in rows}
    for operation in OPERATIONS:
        for impl in EXPECTED.keys() & implementations(operation).keys():
            missing = [target for target in EXPECTED[impl] if (operation, impl, target) not in done]
            assert not missing, f"{operation} on {impl} was not compiled for {missing}"
    assert all(row.registers > 0 for row in rows if row.error is None)


def test_what_spills_or_does_not_compile_is_a_fault():
    spills = Compiled("warp", "cupy", "kernel", "sm_75", 255, 16, 0)
    broken = Compiled("warp", "triton", "other", "sm_90", 0, 0, 0, "CompilationError: no")
    amd = Compiled("warp", "triton", "kernel", "gfx942", 100, 32, 0)
    assert faults([FINE, amd]) == []
    assert faults([FINE, spills, broken]) == [
        "warp cupy kernel sm_75: 16 bytes spilled",
        "warp triton other sm_90: CompilationError: no",
    ]


def test_the_table_shows_the_worst_variant():
    more = Compiled("warp", "triton", "kernel", "sm_90", 96, 8, 0)
    lines = table([FINE, more]).splitlines()
    assert lines[0].split() == ["operation", "impl", "kernel", "variants", "sm_90"]
    assert lines[1].split() == ["warp", "triton", "kernel", "2", "96+8B"]
