"""warp: the gradient with respect to a float source, against PyTorch's own bilinear sampler in float64."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from fastswap.ops import Planes, _impl, warp

MATRICES = [(1, 0, 0, 0), (0.4, 0.3, 10.3, -4), (2.5, 0.5, 0, 20), (-1.7, 0, 30, 30), (1.2, 3, -200, 400)]
COLOUR = ("bt709", False, [0.0, 0.5])


def similarities() -> Tensor:
    rows = [[[s * math.cos(a), -s * math.sin(a), x], [s * math.sin(a), s * math.cos(a), y]] for s, a, x, y in MATRICES]
    return torch.tensor(rows)


@pytest.fixture(autouse=True)
def _large_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        for operation in ("warp", "warp_backward"):
            monkeypatch.setattr(_impl.kernel(operation, "triton"), "BLOCK", 2048)


def device_of(impl: str) -> str:
    return "cuda" if impl in ("triton", "cupy") and torch.cuda.is_available() else "cpu"


def oracle(src: Tensor, matrix: Tensor, frame: Tensor, size: int) -> Tensor:
    """`warp` of a float64 source by grid_sample, whose corners of -1 and 1 are the outermost pixel centres."""
    height, width = src.shape[2:]
    crops = []
    for m, which in zip(matrix.double(), frame, strict=True):
        n = max(1, math.ceil(torch.linalg.matrix_norm(m[:, :2], 2).item() - 1e-3))
        fine = (torch.arange(size * n, dtype=torch.float64) + 0.5) / n - 0.5  # all taps of all pixels are one fine grid
        y, x = torch.meshgrid(fine, fine, indexing="ij")
        at = torch.stack([x, y, torch.ones_like(x)], -1) @ m.T
        grid = at / torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64) - 1
        sampled = torch.nn.functional.grid_sample(
            src[which][None], grid[None], padding_mode="border", align_corners=True
        )
        crops.append(avg_pool2d(sampled, n)[0])
    return torch.stack(crops)


def gradients(call, impl: str, dtype: torch.dtype, out_dtype: torch.dtype, *, last: bool = False):
    """Of the same weighted sum of crops: by `impl`, and by the oracle in float64."""
    torch.manual_seed(0)
    src, frame = torch.rand(3, 4, 31, 43).to(dtype), torch.tensor([0, 1, 2, 0, 1])
    weight = torch.rand(5, 4, 20, 20).to(out_dtype)
    own = src.clone().requires_grad_()
    out = call(warp, own, similarities(), 20, frame=frame, mean=0.3, std=0.5, dtype=out_dtype, channels_last=last,
               impl=impl)  # fmt: skip
    assert out.requires_grad
    out.backward(weight.to(memory_format=torch.channels_last) if last else weight)
    exact = src.double().requires_grad_()
    ((oracle(exact, similarities(), frame, 20) - 0.3) / 0.5).backward(weight.double())
    return own.grad, exact.grad


@pytest.mark.parametrize("last", [False, True])
def test_against_grid_sample_in_float64(call, impl, last):
    """A source pixel gathers up to a few hundred shares, each to 2^-22 of itself and places to 1e-5 px."""
    got, expected = gradients(call, impl, torch.float32, torch.float32, last=last)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), expected, atol=1e-4, rtol=2e-5)


def test_many_tiles_and_steps(call, impl, monkeypatch):
    monkeypatch.setattr(_impl.kernel("warp_backward", "triton"), "BLOCK", 256)
    matrix, weight = torch.tensor([[[0.9, -0.2, 15.0], [0.2, 0.9, -3.0]]]), torch.rand(1, 1, 71, 71)
    src = torch.rand(1, 1, 90, 80, requires_grad=True)
    call(warp, src, matrix, 71, impl=impl).backward(weight)
    exact = src.detach().double().requires_grad_()
    oracle(exact, matrix, torch.tensor([0]), 71).backward(weight.double())
    torch.testing.assert_close(src.grad.double(), exact.grad, atol=1e-4, rtol=2e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_in_float32(call, impl, dtype):
    got, expected = gradients(call, impl, dtype, dtype)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), expected, atol=1e-4, rtol=4 * torch.finfo(dtype).eps)


def test_float64_source(call, impl):
    got, expected = gradients(call, impl, torch.float64, torch.float32)
    assert got.dtype == torch.float64
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=2e-5)


def test_the_gradient_of_the_gradient(call, impl):
    """The result is linear in the source: <ddg, warp(src)> is all there is."""
    src = torch.rand(1, 2, 12, 12, requires_grad=True)
    weight = torch.rand(1, 2, 8, 8, requires_grad=True)
    matrix = similarities()[1:2]
    (first,) = torch.autograd.grad(
        call(warp, src, matrix, 8, std=0.5, mean=0.3, impl=impl), src, weight, create_graph=True
    )
    probe = torch.rand(1, 2, 12, 12)
    first.backward(probe)
    torch.testing.assert_close(weight.grad, call(warp, probe, matrix, 8, std=0.5, impl=impl))


def test_neither_bytes_nor_matrices_get_a_gradient(call, impl):
    frame = Planes("rgb", (torch.zeros(1, 8, 8, 3, dtype=torch.uint8),))
    matrix = similarities()[:1].requires_grad_()
    src = torch.rand(1, 3, 8, 8, requires_grad=True)
    call(warp, src, matrix, 8, impl=impl).sum().backward()
    assert matrix.grad is None
    call(warp, frame, matrix, 8, impl=impl).sum().backward()
    assert matrix.grad is None


@pytest.mark.parametrize("name", ["triton", "cupy"])
def test_atomics_are_refused_where_determinism_is_asked_for(name):
    device = device_of(name)
    src = torch.rand(1, 1, 8, 8, device=device, requires_grad=True)
    crop = warp(src, similarities()[:1], 8, impl=name)
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError, match="not deterministic; use impl='reference'"):
            crop.sum().backward(retain_graph=True)
        torch.use_deterministic_algorithms(True, warn_only=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            crop.sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert any("not deterministic" in str(w.message) for w in caught)


def test_numba_sums_in_one_order(call):
    first, second = (gradients(call, "numba", torch.float32, torch.float32)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_no_faces_give_no_gradient(call, impl):
    src = torch.rand(2, 3, 8, 8, requires_grad=True)
    call(warp, src, torch.zeros(0, 2, 3), 8, frame=torch.zeros(0, dtype=torch.int64), impl=impl).sum().backward()
    assert torch.equal(src.grad, torch.zeros_like(src))


def test_opcheck(impl):
    src, frame = torch.rand(2, 3, 9, 8, requires_grad=True), torch.tensor([1, 0, 1, 1, 0])
    device = device_of(impl)
    src = src.detach().to(device).requires_grad_()
    numbers = (*COLOUR, 0.1, 0.5, torch.float32, True, impl)
    torch.library.opcheck(torch.ops.fastswap.warp.default, ([src], similarities(), frame, 6, *numbers))
    gradient = torch.rand(5, 3, 6, 6, device=device, requires_grad=True)
    arguments = (gradient, similarities(), frame, [2, 3, 9, 8], 0.5, torch.float32, impl)
    torch.library.opcheck(torch.ops.fastswap.warp_backward.default, arguments)


def test_compiles_without_a_break(call, impl):
    @torch.compile(fullgraph=True, backend="aot_eager")
    def compiled(x: Tensor) -> Tensor:
        return (warp(x * 2, similarities()[1:2], 6, impl=impl) ** 2).sum()

    own = torch.rand(1, 3, 9, 8, requires_grad=True)
    there = own.detach().to(device_of(impl)).requires_grad_()
    compiled(there).backward()
    (call(warp, own * 2, similarities()[1:2], 6, impl=impl) ** 2).sum().backward()
    torch.testing.assert_close(there.grad.cpu(), own.grad)
