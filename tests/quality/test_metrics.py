"""The metrics against closed forms and published values."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fastswap.quality import metrics

# Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula" (2005), table 1: L a b, L a b, dE.
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.49 -0.0010 50 -2.49 0.0009 7.1792
50 2.49 -0.0010 50 -2.49 0.0010 7.1792
50 2.49 -0.0010 50 -2.49 0.0011 7.2195
50 2.49 -0.0010 50 -2.49 0.0012 7.2195
50 -0.0010 2.49 50 0.0009 -2.49 4.8045
50 -0.0010 2.49 50 0.0010 -2.49 4.8045
50 -0.0010 2.49 50 0.0011 -2.49 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000
50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def flat(level: int, side: int = 32) -> metrics.Picture:
    return np.full((side, side, 3), level, np.uint8)


def noise(seed: int, side: int = 48) -> metrics.Picture:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def left_half(side: int) -> metrics.Array:
    mask = np.zeros((side, side))
    mask[:, : side // 2] = 1
    return mask


@pytest.mark.parametrize("row", SHARMA.strip().splitlines())
def test_ciede2000_gives_the_published_differences_both_ways(row: str) -> None:
    values = np.asarray(row.split(), np.float64)
    one, other, expected = values[:3], values[3:6], values[6]
    assert metrics.ciede2000(one, other) == pytest.approx(expected, abs=6e-5)
    assert metrics.ciede2000(other, one) == pytest.approx(expected, abs=6e-5)


def test_lab_of_white_grey_and_red() -> None:
    colours = np.asarray([[255, 255, 255], [119, 119, 119], [255, 0, 0], [0, 0, 0]], np.uint8)
    expected = [[100, 0, 0], [50.03, 0, 0], [53.24, 80.09, 67.20], [0, 0, 0]]
    np.testing.assert_allclose(metrics.lab(colours), expected, atol=0.02)


def test_psnr_of_a_constant_offset_is_closed_form_and_looks_inside_the_mask_only() -> None:
    one, other = flat(100), flat(110)
    other[:, 16:] = 255
    expected = 10 * np.log10(255**2 / 100)
    assert metrics.psnr(one, other, left_half(32)) == pytest.approx(expected)
    assert metrics.psnr(one, one, left_half(32)) == metrics.BEST_PSNR
    assert np.isnan(metrics.psnr(one, other, np.zeros((32, 32))))


def test_ssim_of_flat_pictures_is_the_luminance_term() -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 140 + c1) / (100**2 + 140**2 + c1)
    assert metrics.ssim(flat(100), flat(140), np.ones((32, 32))) == pytest.approx(expected, abs=1e-6)
    picture = noise(1)
    assert metrics.ssim(picture, picture, np.ones((48, 48))) == pytest.approx(1)
    assert metrics.ssim(picture, 255 - picture, np.ones((48, 48))) < -0.9


def test_sharpness_is_one_of_the_same_and_falls_with_blur() -> None:
    picture, mask = noise(2), np.ones((48, 48))
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (0.6, 1.2, 2.4)]
    ratios = [metrics.sharpness(other, picture, mask) for other in blurred]
    assert metrics.sharpness(picture, picture, mask) == 1
    assert 1 > ratios[0] > ratios[1] > ratios[2] > 0
    assert np.isnan(metrics.sharpness(picture, flat(9, 48), mask))


def test_gradient_of_a_ramp_is_its_slope() -> None:
    ramp = np.repeat((3 * np.arange(40, dtype=np.uint8))[None, :, None], 40, axis=0).repeat(3, axis=2)
    np.testing.assert_allclose(metrics.gradient(ramp)[5:-5, 5:-5], 3)


def test_correlation_leaves_out_what_was_not_measured() -> None:
    x = np.asarray([0.0, 1, 2, 3, np.nan, 5])
    assert metrics.correlation(x, 7 - 2 * x) == pytest.approx(-1)
    assert metrics.correlation(x, np.asarray([0.0, 1, 2, np.nan, 4, 5])) == pytest.approx(1)
    assert np.isnan(metrics.correlation(x, np.ones(6)))
    assert np.isnan(metrics.correlation(x[:2], x[:2]))
