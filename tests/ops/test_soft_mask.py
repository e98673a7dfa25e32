"""soft_mask: distances against geometry, smooth edges, nothing on the border, and that all implementations agree."""

from __future__ import annotations

import importlib
import math
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastswap.kernels.soft_mask import reference
from fastswap.ops import soft_mask


@pytest.fixture(autouse=True)
def _whole_slices(request, monkeypatch):
    """Triton's interpreter scans one value after the other, 40 us each; here it combines whole slices along the axis,
    and a program has more lines."""
    parameters = request.node.callspec.params.values() if hasattr(request.node, "callspec") else ()
    if "triton" not in parameters or os.environ.get("TRITON_INTERPRET") != "1":
        return
    interpreter = importlib.import_module("triton.runtime.interpreter")

    def scan(self, arguments):
        (argument,) = arguments
        slices = [np.moveaxis(argument.handle.data, self.axis, 0)[0]]
        for here in np.moveaxis(argument.handle.data, self.axis, 0)[1:]:
            pair = (self.to_tensor(value, argument.dtype) for value in (slices[-1], here))
            slices.append(self.combine_fn.fn(*pair).handle.data)
        return [self.to_tensor(np.stack(slices, self.axis), argument.dtype)]

    monkeypatch.setattr(interpreter.ScanOps, "generic_scan", scan)
    kernels = importlib.import_module("fastswap.kernels.soft_mask._triton")
    monkeypatch.setattr(kernels, "LINES", 64)
    monkeypatch.setattr(kernels, "PIXELS", 64 * 256)


def disc(size: int, radius: float, x: float, y: float) -> torch.Tensor:
    """An anti-aliased disc, [1, 1, size, size]."""
    line = torch.arange(size)
    distance = radius - ((line - x) ** 2 + (line[:, None] - y) ** 2).sqrt()
    return (distance + 0.5).clamp(0, 1)[None, None]


def ellipse(size: int, axes: tuple[float, float], angle: float) -> torch.Tensor:
    """A rotated ellipse near the middle, the mean of 8 x 8 samples a pixel, [1, 1, size, size]."""
    line = (torch.arange(8 * size) + 0.5) / 8 - 0.5 - size / 2
    x, y = line + 0.3, line[:, None] - 0.2
    u, v = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    inside = ((u / axes[0]) ** 2 + (v / axes[1]) ** 2 <= 1).float()[None, None]
    return torch.nn.functional.avg_pool2d(inside, 8)


def level_set(alpha: torch.Tensor, level: float = 0.5) -> np.ndarray:
    """The points where `alpha` crosses `level` between two pixels of a row, float64 [K, 2] of (x, y)."""
    a, b = alpha[:, :-1].double(), alpha[:, 1:].double()
    y, x = torch.nonzero((a >= level) != (b >= level), as_tuple=True)
    part = (level - a[y, x]) / (b[y, x] - a[y, x])
    return torch.stack((x + part, y.double()), 1).numpy()


class TestShape:
    @pytest.mark.parametrize(("erode", "feather"), [(0, 8), (6, 10), (-6, 4), (3.5, 0), (0, 0.5)])
    def test_a_disc_has_the_ramp_of_its_radius(self, call, impl, erode, feather):
        radius, x, y = 30.4, 50.3, 47.8
        alpha = call(soft_mask, disc(100, radius, x, y), erode, feather, impl=impl)[0, 0]
        line = torch.arange(100)
        distance = radius - ((line - x) ** 2 + (line[:, None] - y) ** 2).sqrt()
        ramp = max(feather, 1)
        t = ((distance - erode) / ramp).clamp(0, 1)
        # a fifth of a pixel on a slope of 1.5 / ramp at most
        assert (alpha - t * t * (3 - 2 * t)).abs().max() < 0.2 * 1.5 / ramp

    def test_zero_outside_and_one_inside(self, call, impl):
        mask = disc(80, 30, 40, 40)
        alpha = call(soft_mask, mask, 4, 8, impl=impl)
        assert alpha[mask < 0.5].max() == 0
        assert (alpha[disc(80, 17, 40, 40) > 0] == 1).all()
        assert alpha[disc(80, 27, 40, 40) == 0].max() == 0

    @pytest.mark.parametrize("erode", [-40, -3, 0, 5])
    def test_the_border_is_zero_whatever_the_mask(self, call, impl, erode):
        alpha = call(soft_mask, torch.ones(1, 1, 40, 40), erode, 6, impl=impl)[0, 0]
        for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
            assert edge.max() == 0
        depth = max(erode, 0) + 6
        assert (alpha[depth:-depth, depth:-depth] == 1).all()
        assert alpha[: max(erode, 0) + 1].max() == 0

    def test_an_empty_mask_stays_empty(self, call, impl):
        assert call(soft_mask, torch.zeros(2, 1, 33, 33), -5, 6, impl=impl).max() == 0

    def test_a_dilated_mask_grows(self, call, impl):
        mask = disc(80, 20, 40, 40)
        area = [float(call(soft_mask, mask, erode, 0, impl=impl).sum()) for erode in (5, 0, -5)]
        for value, radius in zip(area, (15, 20, 25), strict=True):
            assert value == pytest.approx(math.pi * (radius - 0.5) ** 2, rel=0.02)  # the ramp of one pixel is inward

    def test_a_corner_erodes_as_by_a_disc(self, call, impl):
        """The dilation of a square has round corners."""
        mask = torch.zeros(1, 1, 60, 60)
        mask[..., 20:40, 20:40] = 1
        alpha = call(soft_mask, mask, -10, 0, impl=impl)[0, 0]
        assert alpha[30, 10] > 0.1
        assert alpha[11, 11] == 0
        assert alpha[14, 14] > 0


class TestSmoothness:
    @pytest.mark.parametrize(("erode", "feather"), [(0, 8), (4, 12), (-5, 6), (3, 0)])
    @pytest.mark.parametrize("angle", [0.1, 0.4, math.pi / 4, 1.2])
    def test_a_rotated_ellipse_has_no_steps(self, call, impl, erode, feather, angle):
        """The half-way contour of alpha lies on the ellipse's parallel, within .15 px all the way round (.2 where the
        ramp of one pixel leaves three samples to find it by)."""
        axes, size = (40.3, 55.7), 160
        alpha = call(soft_mask, ellipse(size, axes, angle), erode, feather, impl=impl)[0, 0]
        turn = np.linspace(0, 2 * np.pi, 20_000)
        edge = np.stack((axes[0] * np.cos(turn), axes[1] * np.sin(turn)), 1)
        points = level_set(alpha) - (size / 2 - 0.3, size / 2 + 0.2)
        cos, sin = math.cos(angle), math.sin(angle)
        points = points @ np.array([[cos, -sin], [sin, cos]])
        distance = np.sqrt(((points[:, None] - edge[None, ::10]) ** 2).sum(-1)).min(1)
        wanted = erode + max(feather, 1) / 2
        assert np.abs(distance - abs(wanted)).max() < (0.15 if feather else 0.2)


class TestContract:
    def test_dtype_and_shape(self, call, impl):
        mask = torch.stack([disc(24, 8, 12, 12)[0], disc(24, 6, 10, 12)[0]])
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            alpha = call(soft_mask, mask.to(dtype), 1, 4, impl=impl)
            assert alpha.shape == mask.shape
            assert alpha.dtype == dtype
            torch.testing.assert_close(alpha.float(), call(soft_mask, mask, 1, 4, impl=impl), atol=0.02, rtol=0)

    @pytest.mark.parametrize(("erode", "feather"), [(1e6, 0), (-1e6, 0), (0, 1e6), (-1e6, 1e6), (-20, 40)])
    def test_distances_beyond_the_square(self, call, impl, erode, feather):
        """Nothing but 0..1, nothing out of an empty mask, and the border is zero."""
        masks = torch.cat([torch.zeros(1, 1, 17, 17), torch.ones(1, 1, 17, 17), disc(17, 5, 8, 8)])
        alpha = call(soft_mask, masks, erode, feather, impl=impl)
        assert ((alpha >= 0) & (alpha <= 1)).all()
        assert alpha[0].max() == 0
        assert alpha[:, :, [0, -1]].max() == 0
        if erode == -1e6 and not feather:
            assert (alpha[1:, :, 1:-1, 1:-1] == 1).all()

    def test_the_same_twice(self, call, impl):
        masks = torch.rand(3, 1, 21, 21, generator=torch.Generator().manual_seed(2))
        assert torch.equal(call(soft_mask, masks, 1, 3, impl=impl), call(soft_mask, masks, 1, 3, impl=impl))

    def test_faces_do_not_mix(self, call, impl):
        masks = torch.cat([disc(24, 8, 12, 12), torch.zeros(1, 1, 24, 24), disc(24, 5, 9, 14)])
        together = call(soft_mask, masks, 1, 3, impl=impl)
        for n in range(3):
            assert torch.equal(together[n : n + 1], call(soft_mask, masks[n : n + 1], 1, 3, impl=impl))

    def test_no_faces_and_strided_ones(self, call, impl):
        assert call(soft_mask, torch.zeros(0, 1, 8, 8), 1, 1, impl=impl).shape == (0, 1, 8, 8)
        mask = disc(48, 20, 24, 20)
        strided = mask[..., ::2, 1::2].mT
        assert torch.equal(
            call(soft_mask, strided, 1, 3, impl=impl), call(soft_mask, strided.contiguous(), 1, 3, impl=impl)
        )

    @pytest.mark.parametrize(
        ("mask", "erode", "feather", "error"),
        [
            (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 0, 0, TypeError),
            (torch.zeros(1, 8, 8), 0, 0, ValueError),
            (torch.zeros(1, 2, 8, 8), 0, 0, ValueError),
            (torch.zeros(1, 1, 8, 9), 0, 0, ValueError),
            (torch.zeros(1, 1, 8, 8), math.nan, 0, ValueError),
            (torch.zeros(1, 1, 8, 8), 0, -1, ValueError),
            (torch.zeros(1, 1, 8, 8), 0, math.inf, ValueError),
            (torch.zeros(1, 1, 8, 8), -1e200, 0, ValueError),
        ],
    )
    def test_what_is_wrong_is_said(self, mask, erode, feather, error):
        with pytest.raises(error, match="got"):
            soft_mask(mask, erode, feather)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 60), erode=st.floats(-70, 70), feather=st.floats(0, 70), noise=st.booleans())
def test_any_size(call, fast_impl, size, erode, feather, noise):
    """Against float64. A distance from places of up to 60 px errs by 60 x 6e-8 in each of three steps, and the ramp's
    slope is 1.5 at most: 2e-5."""
    mask = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(size))
    if not noise:
        mask = torch.nn.functional.avg_pool2d(mask, 5, 1, 2)
    expected = soft_mask(mask.double(), erode, feather, impl="reference")
    got = call(soft_mask, mask, erode, feather, impl=fast_impl)
    torch.testing.assert_close(got.double(), expected, atol=2e-5, rtol=0)


class TestAgreement:
    def test_the_distance_is_that_to_the_nearest_crossing(self):
        """The separable search against all crossings of a noisy mask, one by one."""
        mask = torch.rand(1, 1, 23, 23, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        rows = level_set(mask[0, 0])
        points = np.concatenate([rows, level_set(mask[0, 0].T)[:, ::-1]])
        y, x = np.mgrid[:23, :23]
        nearest = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1]).min(-1)
        expected = np.where(mask[0, 0] >= 0.5, 1, -1) * np.minimum(nearest, 5)
        np.testing.assert_allclose(reference.signed_distance(mask, 5)[0, 0], expected, atol=1e-9)

    def test_the_tiles_of_a_gpu(self, call):
        """The sizes that are shipped, several programs a face, each of which looks as far as its own pixels need."""
        pytest.importorskip("triton")
        kernels = importlib.import_module("fastswap.kernels.soft_mask._triton")
        assert (kernels.BLOCK, kernels.LINES, kernels.PIXELS) == (256, 8, 4096)
        for erode, feather in ((0, 4), (-6, 3), (3, 9)):
            mask = disc(37, 11, 15, 18)
            expected = soft_mask(mask, erode, feather, impl="reference")
            got = call(soft_mask, mask, erode, feather, impl="triton")
            torch.testing.assert_close(got, expected, atol=2e-5, rtol=0)

    def test_opcheck(self, call, impl):
        def check(mask, *, impl):
            torch.library.opcheck(torch.ops.fastswap.soft_mask.default, (mask, 1.0, 3.0, impl))

        call(check, disc(16, 5, 8, 8), impl=impl)

    def test_compiles_as_one_graph(self, call, impl):
        @torch.compile(fullgraph=True, backend="aot_eager")
        def step(mask, *, impl):
            return soft_mask(mask * 2, 1, 3, impl=impl) + 1

        mask = disc(16, 5, 8, 8) / 2
        torch.testing.assert_close(call(step, mask, impl=impl), call(soft_mask, mask * 2, 1, 3, impl=impl) + 1)
