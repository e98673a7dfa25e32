"""The CUDA C that runs on the CPU: storage types, barriers, shuffles, and the mistakes that it must tell.

With a GPU the same sources go through NVRTC, and these tests of the emulator have nothing to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fastswap.kernels.cuda import _cupy

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: CUDA C is not emulated")

SOURCE = r"""
#include "cuda/storage.cuh"

extern "C" __global__ void convert(const float* in, TYPE* out, float* back, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  put(&out[i], in[i]);
  back[i] = from(out[i]);
}

extern "C" __global__ void __launch_bounds__(96) sum(const float* in, float* out) {
  __shared__ float part[3];
  float x = in[blockIdx.x * blockDim.x + threadIdx.x];
  for (int by = 16; by; by /= 2) x += __shfl_xor_sync(~0u, x, by);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x == 0) out[blockIdx.x] = part[0] + part[1] + part[2];
}

extern "C" __global__ void race(float* out) {
  __shared__ float shared[32];
  shared[threadIdx.x] = threadIdx.x + 1;
  out[threadIdx.x] = shared[31 - threadIdx.x];
}

extern "C" __global__ void stuck(int* out) {
  if (threadIdx.x % 2) __syncthreads();
  else __syncwarp();
  out[threadIdx.x] = 1;
}

extern "C" __global__ void where(int* out) {
  int width = gridDim.x * blockDim.x, x = blockIdx.x * blockDim.x + threadIdx.x;
  int y = blockIdx.y * blockDim.y + threadIdx.y, z = blockIdx.z * blockDim.z + threadIdx.z;
  out[(z * gridDim.y * blockDim.y + y) * width + x] = 10000 * z + 100 * y + x;
}
"""


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """`launch` of the source above."""
    (tmp_path / "cuda").mkdir()
    for header in ("storage.cuh", "emulate.h"):
        (tmp_path / "cuda" / header).write_text((_cupy.KERNELS / "cuda" / header).read_text())
    (tmp_path / "t.cu").write_text(SOURCE)
    monkeypatch.setattr(_cupy, "KERNELS", tmp_path)
    _cupy.text.cache_clear()

    def run(kernel, grid, block, *arguments, type_="float"):
        _cupy.launch("t.cu", kernel, grid, block, *arguments, defines={"TYPE": type_})

    yield run
    _cupy.text.cache_clear()


@pytest.mark.parametrize(
    ("type_", "dtype"), [("float", torch.float32), ("__half", torch.float16), ("__nv_bfloat16", torch.bfloat16)]
)
def test_storage_types_round_as_torch_does(launch, type_, dtype):
    """Every number of sixteen bits, the midpoints between them and their neighbours, and what does not fit."""
    if dtype == torch.float32:
        values = torch.randn(1000)
    else:
        exact = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype).float()
        middle = (exact[:-1].double() + exact[1:].double()).float() / 2
        values = torch.cat(
            [exact, middle, torch.nextafter(middle, torch.tensor(1e38)), torch.tensor([65519.0, 65521.0])]
        )
        values = values[~values.isnan()]
    out, back = torch.empty(len(values), dtype=dtype), torch.empty(len(values))
    launch("convert", (-(-len(values) // 128),), (128,), values, out, back, len(values), type_=type_)
    assert torch.equal(out, values.to(dtype))
    assert torch.equal(back, values.to(dtype).float())


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_barriers_and_shuffles(launch, monkeypatch, order):
    monkeypatch.setenv("FASTSWAP_CUDA_EMULATE_ORDER", order)
    values = torch.arange(480.0)
    out = torch.empty(5)
    launch("sum", (5,), (96,), values, out)
    assert torch.equal(out, values.view(5, 96).sum(1))


def test_a_race_gives_another_result_backwards(launch, monkeypatch):
    results = []
    for order in ("forwards", "backwards"):
        monkeypatch.setenv("FASTSWAP_CUDA_EMULATE_ORDER", order)
        out = torch.zeros(32)
        launch("race", (1,), (32,), out)
        results.append(out)
    assert not torch.equal(*results)


def test_threads_that_wait_for_each_other_are_told(launch):
    with pytest.raises(RuntimeError, match="wait for each other"):
        launch("stuck", (1,), (32,), torch.zeros(32, dtype=torch.int32))


def test_three_dimensions(launch):
    out = torch.empty(4, 6, 10, dtype=torch.int32)
    launch("where", (5, 2, 2), (2, 3, 2), out)
    z, y, x = torch.meshgrid(torch.arange(4), torch.arange(6), torch.arange(10), indexing="ij")
    assert torch.equal(out, (10000 * z + 100 * y + x).int())


def test_arguments_of_another_type_are_told(launch):
    x = torch.zeros(4)
    with pytest.raises(RuntimeError, match="another type for argument 3"):
        launch("convert", (1,), (4,), x, x.clone(), x.clone(), np.int64(4))
    with pytest.raises(RuntimeError, match="another number of arguments than 3"):
        launch("convert", (1,), (4,), x, x, x)
    with pytest.raises(OverflowError):
        launch("convert", (1,), (4,), x, x.clone(), x.clone(), 2**40)


def test_an_empty_grid_launches_nothing(launch):
    launch("stuck", (0,), (32,), torch.zeros(0))


def test_what_does_not_compile_is_said(launch):
    with pytest.raises(RuntimeError, match="g\\+\\+ does not compile"):
        launch("convert", (1,), (1,), torch.zeros(1), type_="nothing")
