"""sharpen: its formula against OpenCV's filters, what it leaves alone, and that all implementations agree.

Tolerance between implementations, on values of 0..1: a blur adds 2 r + 1 products twice, whose weights sum to one, each
with a rounding of 6e-8 at most, and `amount` times that counts: 2 x 9 x 6e-8 x 3 = 3.2e-6 for r = 4 and an amount of 3.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastswap.ops import sharpen
from fastswap.ops.sharpen import METHODS

TOLERANCE = 5e-6


def picture(size: int = 20, count: int = 1, channels: int = 2, seed: int = 0) -> torch.Tensor:
    """Blurred noise between 0.2 and 0.8."""
    noise = torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))
    return 0.2 + 0.6 * torch.nn.functional.avg_pool2d(noise, 3, 1, 1, count_include_pad=False)


def by_opencv(image: torch.Tensor, method: str, amount: float, radius: int, threshold: float) -> torch.Tensor:
    """The formula of the docstring on OpenCV's filters, in float64: image [H, W]."""
    values, side = image.double().numpy(), 2 * radius + 1
    if method == "box":
        blur = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
    else:
        deviation = 0.3 * (radius - 1) + 0.8
        blur = cv2.GaussianBlur(values, (side, side), deviation, borderType=cv2.BORDER_REPLICATE)
    difference = values - blur
    if method == "unsharp":
        difference = np.sign(difference) * np.maximum(np.abs(difference) - threshold, 0)
    strength = amount / 2 if method == "gaussian" else amount
    return torch.from_numpy(np.clip(values + strength * difference, 0, 1))


class TestDefinition:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("radius", [1, 2, 3])
    def test_the_formula_on_opencvs_filters(self, call, impl, method, radius):
        image = picture()
        got = call(sharpen, image, method, amount=1.5, radius=radius, threshold=0.01, impl=impl)
        for channel in range(2):
            expected = by_opencv(image[0, channel], method, 1.5, radius, 0.01)
            torch.testing.assert_close(got[0, channel].double(), expected, atol=TOLERANCE, rtol=0)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_flat_picture_stays_flat(self, call, impl, method):
        flat = torch.full((1, 1, 12, 12), 0.37)
        got = call(sharpen, flat, method, amount=3.0, radius=2, impl=impl)
        torch.testing.assert_close(got, flat, atol=1e-6, rtol=0)

    @pytest.mark.parametrize("method", METHODS)
    def test_an_edge_becomes_steeper_and_stays_in_range(self, call, impl, method):
        step = torch.full((1, 1, 16, 16), 0.1)
        step[..., 8:] = 0.8
        got = call(sharpen, step, method, amount=5.0, radius=2, impl=impl)[0, 0]
        assert got.min() == 0
        assert got.max() == 1
        assert (got[:, :8] <= 0.1 + 1e-6).all()
        assert (got[:, 8:] >= 0.8 - 1e-6).all()
        torch.testing.assert_close(got[:, [0, 15]], step[0, 0][:, [0, 15]], atol=1e-6, rtol=0)

    def test_no_amount_changes_nothing(self, call, impl):
        for method in METHODS:
            assert torch.equal(call(sharpen, picture(8), method, amount=0.0, impl=impl), picture(8))

    def test_what_is_below_the_threshold_is_left_alone(self, call, impl):
        """Grain stays as it is to the bit, and an edge gets `amount` times what is above the threshold."""
        threshold = 5 / 255
        grain = 0.4 + 0.9 * threshold * (torch.rand(1, 1, 14, 14, generator=torch.Generator().manual_seed(1)) - 0.5)
        assert torch.equal(call(sharpen, grain, amount=5.0, threshold=threshold, impl=impl), grain)
        grain[..., 7:] += 0.3
        got = call(sharpen, grain, amount=1.0, threshold=threshold, impl=impl)
        plain = call(sharpen, grain, amount=1.0, threshold=0.0, impl=impl)
        moved = got[..., 6:8] != grain[..., 6:8]
        assert moved.all()
        assert (got[..., 7] - plain[..., 7] + threshold).abs().max() < 1e-6


class TestContract:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_dtypes(self, call, impl, dtype):
        """Computed in float32: only the result is rounded (bfloat16 cut off, by Triton's interpreter)."""
        image = picture(10).to(dtype)
        got = call(sharpen, image, radius=2, impl=impl)
        assert got.dtype == dtype
        expected = call(sharpen, image.float(), radius=2, impl=impl)
        step = {torch.float16: 2.5e-4, torch.bfloat16: 4e-3, torch.float64: TOLERANCE}[dtype]
        torch.testing.assert_close(got.float(), expected, atol=step, rtol=0)

    def test_planes_do_not_mix_and_the_same_is_the_same(self, call, impl):
        images = torch.cat([picture(9), 1 - picture(9, seed=2), picture(9, seed=3)])
        together = call(sharpen, images, impl=impl)
        assert torch.equal(together, call(sharpen, images, impl=impl))
        for n in range(3):
            assert torch.equal(together[n : n + 1], call(sharpen, images[n : n + 1], impl=impl))

    def test_nothing_and_strided_ones(self, call, impl):
        assert call(sharpen, torch.zeros(0, 3, 8, 8), impl=impl).shape == (0, 3, 8, 8)
        assert call(sharpen, torch.zeros(2, 0, 8, 8), impl=impl).shape == (2, 0, 8, 8)
        strided = picture(24)[..., ::2, 1::2].mT
        assert torch.equal(call(sharpen, strided, impl=impl), call(sharpen, strided.contiguous(), impl=impl))
        channels_last = picture(9, channels=3).contiguous(memory_format=torch.channels_last)
        assert torch.equal(
            call(sharpen, channels_last, impl=impl), call(sharpen, channels_last.contiguous(), impl=impl)
        )

    def test_the_input_stays_as_it_is(self, call, impl):
        image = picture(9)
        before = image.clone()
        call(sharpen, image, impl=impl)
        assert torch.equal(image, before)

    @pytest.mark.parametrize(
        ("picture", "named", "error"),
        [
            (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), {}, TypeError),
            (torch.zeros(3, 8, 8), {}, ValueError),
            (torch.zeros(1, 3, 8, 9), {}, ValueError),
            (torch.zeros(1, 3, 0, 0), {}, ValueError),
            (torch.zeros(1, 3, 8, 8), {"radius": 1.5}, TypeError),
            (torch.zeros(1, 3, 8, 8), {"radius": 0}, ValueError),
            (torch.zeros(1, 3, 8, 8), {"radius": 33}, ValueError),
            (torch.zeros(1, 3, 8, 8), {"amount": math.nan}, ValueError),
            (torch.zeros(1, 3, 8, 8), {"amount": -1.0}, ValueError),
            (torch.zeros(1, 3, 8, 8), {"threshold": math.inf}, ValueError),
        ],
    )
    def test_what_is_wrong_is_said(self, picture, named, error):
        with pytest.raises(error, match="got"):
            sharpen(picture, **named)

    def test_an_unknown_method_lists_the_known(self):
        with pytest.raises(ValueError, match="'median': use one of unsharp, box, gaussian"):
            sharpen(picture(), "median")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 21),
    channels=st.integers(1, 3),
    method=st.sampled_from(METHODS),
    radius=st.integers(1, 4),
    amount=st.floats(0, 3),
    threshold=st.floats(0, 0.3),
)
def test_any_size(call, fast_impl, size, channels, method, radius, amount, threshold):
    """Also pictures smaller than the window."""
    image = torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(size))
    named = {"amount": amount, "radius": radius, "threshold": threshold}
    expected = sharpen(image.double(), method, **named, impl="reference")
    got = call(sharpen, image, method, **named, impl=fast_impl)
    torch.testing.assert_close(got.double(), expected, atol=TOLERANCE, rtol=0)


class TestAgreement:
    def test_the_largest_radius_and_the_strongest_amount(self, call, fast_impl):
        """2 x 65 roundings of the blur, times the amount."""
        image = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(5))
        expected = sharpen(image.double(), "box", amount=50.0, radius=32, impl="reference")
        got = call(sharpen, image, "box", amount=50.0, radius=32, impl=fast_impl)
        torch.testing.assert_close(got.double(), expected, atol=50 * 130 * 6e-8, rtol=0)

    def test_opcheck(self, call, impl):
        def check(image, *, impl):
            torch.library.opcheck(torch.ops.fastswap.sharpen.default, (image, "unsharp", 1.5, 1, 0.02, impl))

        call(check, picture(8), impl=impl)

    def test_compiles_as_one_graph(self, call, impl):
        @torch.compile(fullgraph=True, backend="aot_eager")
        def step(image, *, impl):
            return sharpen(image * 0.5, impl=impl) + 1

        expected = call(sharpen, picture(8) * 0.5, impl=impl) + 1
        torch.testing.assert_close(call(step, picture(8), impl=impl), expected)
