"""DSSIM and MS-SSIM against the textbook's formulas, window by window, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import Tensor

from fastswap.training import losses
from fastswap.training.losses import similarity

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def _noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _photo(seed: int, size: int, count: int = 2) -> Tensor:
    """Smooth pictures: most of what SSIM sees in a face is low contrast."""
    return torch.nn.functional.interpolate(_noise(seed, count, 3, 9, 9), size, mode="bicubic").clamp(0, 1)


def _terms(a: np.ndarray, b: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Luminance and contrast-structure of two planes, by five means."""
    line = np.exp(-((np.arange(window) - window // 2) ** 2) / (2 * (1.5 * window / 11) ** 2))
    kernel = np.outer(line, line) / line.sum() ** 2
    mean_a, mean_b, square_a, square_b, product = (
        convolve2d(x, kernel, mode="valid") for x in (a, b, a * a, b * b, a * b)
    )
    luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    variance = square_a - mean_a**2 + square_b - mean_b**2
    return luminance, (2 * (product - mean_a * mean_b) + 9e-4) / (variance + 9e-4)


def _dssim(output: Tensor, target: Tensor, weight: Tensor, window: int) -> float:
    a, b, w = (x.double().numpy() for x in (output, target, weight))
    margin, errors, weights = window // 2, [], []
    for n in range(a.shape[0]):
        for c in range(a.shape[1]):
            luminance, contrast = _terms(a[n, c], b[n, c], window)
            errors.append((1 - luminance * contrast) / 2)
            weights.append(w[n, 0, margin:-margin, margin:-margin])
    return float(np.average(errors, weights=weights))


def _halved(x: np.ndarray) -> np.ndarray:
    rows, columns = x.shape[0] // 2, x.shape[1] // 2
    return x[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3))


def _ms_ssim(output: Tensor, target: Tensor, weight: Tensor, scales: int) -> float:
    """1 - MS-SSIM of one example."""
    planes = [(a.double().numpy(), b.double().numpy()) for a, b in zip(output[0], target[0], strict=True)]
    w, product = weight[0, 0].double().numpy(), 1.0
    for scale in range(scales):
        terms = [_terms(a, b, 11) for a, b in planes]
        values = [luminance * contrast if scale == scales - 1 else contrast for luminance, contrast in terms]
        mean = np.average(values, weights=[w[5:-5, 5:-5]] * len(values))
        product *= max(mean, 0.01) ** (EXPONENTS[scale] / sum(EXPONENTS[:scales]))
        planes, w = [(_halved(a), _halved(b)) for a, b in planes], _halved(w)
    return 1 - float(product)


@pytest.mark.parametrize("window", [11, 23, 45])
def test_dssim_is_the_textbooks_whatever_the_window(window: int) -> None:
    target = _photo(0, 64)
    output, weight = (target + 0.05 * _noise(1, 2, 3, 64, 64)).clamp(0, 1), _noise(2, 2, 1, 64, 64)
    expected = _dssim(output, target, weight, window)
    assert losses.dssim(output, target, weight, window=window).item() == pytest.approx(expected, rel=1e-4)


def test_two_windows_from_256_pixels_on() -> None:
    assert [similarity.windows(size) for size in (64, 96, 128, 255)] == [(11,)] * 4
    assert similarity.windows(256) == (23, 11)
    assert similarity.windows(512) == (45, 23)


@pytest.mark.parametrize(("size", "scales"), [(11, 1), (32, 2), (64, 3), (96, 4), (176, 5)])
def test_ms_ssim_is_the_papers_on_as_many_scales_as_fit(size: int, scales: int) -> None:
    target = _photo(3, size)
    output, weight = (target + 0.1 * _noise(4, 2, 3, size, size)).clamp(0, 1), _noise(5, 2, 1, size, size)
    assert similarity.scales(size) == scales
    expected = [_ms_ssim(*(x[n : n + 1] for x in (output, target, weight)), scales) for n in range(2)]
    assert losses.ms_ssim(output, target, weight).item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_the_exponents_of_all_scales_are_the_papers() -> None:
    assert sum(EXPONENTS) == pytest.approx(1, abs=1e-3)
    assert similarity._SCALES == EXPONENTS


def test_gradients_are_those_of_the_formulas() -> None:
    output, target, weight = (_noise(seed, 1, c, 22, 22).double() for seed, c in ((6, 1), (7, 1), (8, 1)))
    output = (0.5 * target + 0.5 * output).requires_grad_()
    for loss in (losses.dssim, losses.ms_ssim):
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, target, weight), (output,))


def test_identical_and_constant_pictures_are_exactly_alike() -> None:
    whole = torch.ones(1, 1, 32, 32)
    for picture in (_noise(9, 1, 3, 32, 32), torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)):
        assert losses.dssim(picture, picture.clone(), whole).item() == 0
        assert losses.ms_ssim(picture, picture.clone(), whole).item() == pytest.approx(0, abs=1e-6)


def test_the_opposite_picture_has_a_finite_gradient() -> None:
    target = _noise(10, 1, 3, 32, 32)
    output = (1 - target).requires_grad_()
    loss = losses.ms_ssim(output, target, torch.ones(1, 1, 32, 32))
    loss.backward()
    assert 0.9 < loss.item() <= 1
    assert output.grad is not None
    assert output.grad.isfinite().all()


def test_an_example_without_weight_costs_nothing_on_any_scale() -> None:
    output, target = _noise(11, 2, 3, 32, 32), _noise(12, 2, 3, 32, 32)
    weight = torch.stack((torch.ones(1, 32, 32), torch.zeros(1, 32, 32)))
    alone = losses.ms_ssim(output[:1], target[:1], weight[:1])
    assert losses.ms_ssim(output, target, weight).item() == pytest.approx(alone.item() / 2)


class _Tf32(torch.autograd.Function):
    """What a tensor core makes of a float32: 10 bits of the mantissa."""

    @staticmethod
    def forward(_: object, x: Tensor) -> Tensor:
        return ((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return _Tf32.forward(None, gradient)


def test_products_in_tf32_are_exact_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The textbook's formula errs by several hundred per cent here: it takes small variances as differences."""
    target = _photo(13, 64, 1)
    output = (target + 0.02 * _noise(14, 1, 3, 64, 64)).clamp(0, 1)
    results = []
    for rounded in (False, True):
        if rounded:
            matrix = similarity._window_matrix
            monkeypatch.setattr(similarity, "_window_matrix", lambda *a, m=matrix: _Tf32.apply(m(*a)))
            monkeypatch.setattr(similarity, "_blur", _rounded_blur)
        x = output.clone().requires_grad_()
        loss = losses.dssim(x, target, torch.ones(1, 1, 64, 64))
        loss.backward()
        results.append((loss.item(), x.grad))
    (exact, slope), (near, near_slope) = results
    assert near == pytest.approx(exact, rel=0.02)
    assert (near_slope - slope).norm() < 0.05 * slope.norm()


def _rounded_blur(x: Tensor, window: int) -> Tensor:
    rows, columns = (similarity._window_matrix(size, window, x.device, x.dtype) for size in x.shape[-2:])
    return rows @ _Tf32.apply(_Tf32.apply(x) @ columns.T)
