"""match_colour: the statistics inside the mask, its limits, and that all implementations agree.

Error budget, in 0..1. reinhard: the polynomial curves err by 2e-6 each, and gamma's slope near black and a gain of 2
make 1e-4 of it. covariance: sums of 2^-24 relative, on gains of at most 2 and colours of at most 1: 1e-5. histogram:
counts are whole numbers and exact, and so is a bin; 2^-24 of a place in 256 bins, on slopes of at most 256: 2e-5.
"""

from __future__ import annotations

import importlib

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastswap.kernels.lab.reference import lab_from_rgb
from fastswap.kernels.match_colour.reference import LEAST_DEVIATION, MAX_GAIN, monge_kantorovich
from fastswap.ops import match_colour
from fastswap.ops.match_colour import METHODS

TOLERANCE = {"reinhard": 1e-4, "covariance": 1e-5, "histogram": 2e-5}
EXAMPLES = {"numba": 30, "cupy": 12, "triton": 3, "reference": 30}  # the interpreter takes half a second for one
every_method = pytest.mark.parametrize("method", METHODS)


def faces(size: int = 32, low: float = 0.3, high: float = 0.6, seed: int = 0, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, 3, size, size, generator=generator)
    return low + (high - low) * torch.nn.functional.avg_pool2d(noise, 3, 1, 1, count_include_pad=False)


def masks(size: int = 32, count: int = 2) -> torch.Tensor:
    line = torch.linspace(-1, 1, size)
    return (4 * (0.8 - (line**2 + line[:, None] ** 2).sqrt())).clamp(0, 1).expand(count, 1, -1, -1)


def statistics(picture: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean [N, 3] and covariance [N, 3, 3] of the channels inside the mask, float64."""
    share = mask.double() / mask.double().sum((2, 3), keepdim=True)
    mean = (picture.double() * share).sum((2, 3))
    centred = picture.double() - mean[..., None, None]
    return mean, torch.einsum("nihw,njhw->nij", centred * share, centred)


def lab_statistics(rgb: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, covariance = statistics(lab_from_rgb(rgb.double()), mask)
    return mean, covariance.diagonal(dim1=1, dim2=2).sqrt()


def assert_agrees(call, impl: str, method: str, *arguments: torch.Tensor) -> None:
    expected = match_colour(*(x.double() for x in arguments), method, impl="reference").float()
    got = call(match_colour, *arguments, method, impl=impl)
    torch.testing.assert_close(got, expected, atol=TOLERANCE[method], rtol=0)


class TestMethods:
    def test_reinhard_takes_mean_and_deviation(self, call, impl):
        face, target = faces(), faces(low=0.35, high=0.75, seed=1) * torch.tensor([1.1, 0.9, 0.8])[:, None, None]
        matched = call(match_colour, face, target, masks(), impl=impl)
        for got, wanted in zip(lab_statistics(matched, masks()), lab_statistics(target, masks()), strict=True):
            torch.testing.assert_close(got, wanted, atol=0.05, rtol=0.01)

    def test_covariance_takes_mean_and_covariance(self, call, impl):
        mix = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
        face, target = faces(), torch.einsum("ij,njhw->nihw", mix, faces(low=0.2, high=0.65, seed=1))
        matched = call(match_colour, face, target, masks(), "covariance", impl=impl)
        (mean, covariance), (wanted, wanted_covariance) = statistics(matched, masks()), statistics(target, masks())
        torch.testing.assert_close(mean, wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(covariance, wanted_covariance, atol=LEAST_DEVIATION**2, rtol=0)
        assert (wanted_covariance[:, 0, 1] > 5 * LEAST_DEVIATION**2).all()  # what Reinhard does not look at

    def test_histogram_takes_the_distribution(self, call, impl):
        face, target = faces(48, seed=3), 0.2 + 0.6 * faces(48, low=0, high=1, seed=1) ** 2
        mask = torch.ones(2, 1, 48, 48)
        matched = call(match_colour, face, target, mask, "histogram", impl=impl)
        got, wanted = (x.flatten(2).sort(-1).values for x in (matched, target))
        assert (got - wanted).abs()[..., 100:-100].max() < 1.5 / 256
        assert (torch.argsort(matched[0, 0].flatten()) != torch.argsort(target[0, 0].flatten())).any()

    @every_method
    def test_a_face_matched_to_itself_is_itself(self, call, impl, method):
        matched = call(match_colour, faces(), faces(), masks(), method, impl=impl)
        torch.testing.assert_close(matched, faces(), atol=TOLERANCE[method], rtol=0)

    def test_the_map_of_covariances(self):
        generator = torch.Generator().manual_seed(0)
        roots = torch.randn(2, 50, 3, 3, generator=generator, dtype=torch.float64) * 0.02 + 0.1 * torch.eye(3)
        have, want = roots @ roots.mT
        gain = monge_kantorovich(have, want)
        assert (torch.linalg.eigvalsh(gain) > 0).all()
        least = LEAST_DEVIATION**2 * torch.eye(3)
        inside = ((torch.linalg.eigvalsh(gain) - 1).abs() < 0.49).all(1)
        assert inside.any()
        moved = gain @ (have + least) @ gain
        torch.testing.assert_close(moved[inside], (want + least)[inside], atol=1e-12, rtol=0)


class TestMask:
    @every_method
    def test_only_what_is_inside_counts(self, call, impl, method):
        face, target, mask = faces(), faces(seed=1), (masks() > 0.5).float()
        outside = mask.expand(-1, 3, -1, -1) == 0
        spoilt_face, spoilt_target = face.clone(), target.clone()
        spoilt_face[outside], spoilt_target[outside] = 1.0, 0.0
        expected = call(match_colour, face, target, mask, method, impl=impl)
        got = call(match_colour, spoilt_face, spoilt_target, mask, method, impl=impl)
        torch.testing.assert_close(got[~outside], expected[~outside], atol=1e-5, rtol=0)

    @every_method
    def test_a_constant_weighs_as_ones(self, call, impl, method):
        ones = torch.ones(2, 1, 32, 32)
        expected = call(match_colour, faces(), faces(seed=1), ones, method, impl=impl)
        got = call(match_colour, faces(), faces(seed=1), ones * 0.3, method, impl=impl)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)

    @every_method
    def test_each_face_has_its_own_statistics_and_an_empty_one_stays(self, call, impl, method):
        face, target, mask = faces(count=3), faces(count=3, seed=1), masks(count=3).clone()
        mask[2] = 0.9 / 32**2
        together = call(match_colour, face, target, mask, method, impl=impl)
        alone = call(match_colour, face[1:2], target[1:2], mask[1:2], method, impl=impl)
        torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=0)
        assert torch.equal(together[2], face[2])
        assert not torch.equal(together[0], face[0])


class TestLimits:
    @pytest.mark.parametrize("method", ["reinhard", "covariance"])
    def test_a_flat_face_is_shifted_and_not_blown_up(self, call, impl, method):
        flat = 0.5 + 0.001 * (faces() - 0.5)
        matched = call(match_colour, flat, faces(low=0.1, high=0.9, seed=1), masks(), method, impl=impl)
        deviation, own = (statistics(x, masks())[1].diagonal(dim1=1, dim2=2).sqrt() for x in (matched, flat))
        assert (deviation <= 1.1 * MAX_GAIN * own + 2e-5).all()

    @pytest.mark.parametrize("contrast", [0.05, 20])
    def test_no_direction_is_stretched_or_squeezed_more(self, call, impl, contrast):
        face = faces(low=0.45, high=0.55) if contrast > 1 else faces(low=0.1, high=0.9)
        target = (0.5 + contrast * (faces(low=0.45, high=0.55, seed=1) - 0.5)).clamp(0, 1)
        matched = call(match_colour, face, target, masks(), "covariance", impl=impl)
        gain = torch.linalg.solve(*(statistics(x, masks())[1] for x in (face, matched)))
        for value in torch.linalg.eigvals(gain).real.flatten().sqrt():
            assert abs(float(value) - (MAX_GAIN if contrast > 1 else 1 / MAX_GAIN)) < 0.01

    @every_method
    def test_one_colour_becomes_another(self, call, impl, method):
        grey = torch.full((1, 3, 16, 16), 0.5)
        warm = torch.tensor([0.7, 0.5, 0.4])[:, None, None].expand(1, 3, 16, 16)
        matched = call(match_colour, grey, warm, masks(16, 1), method, impl=impl)
        torch.testing.assert_close(matched, warm.contiguous(), atol=1 / 256 if method == "histogram" else 1e-3, rtol=0)

    @every_method
    def test_extremes_stay_in_range_and_agree(self, call, impl, method):
        """Black, white, checkers, and pictures without colour, whose covariance has rank one."""
        checkers = (torch.arange(24) + torch.arange(24)[:, None]).remainder(2).float().expand(3, 24, 24)
        grey = faces(24, low=0, high=1, count=1)[:, :1].expand(-1, 3, -1, -1)
        sepia = faces(24, low=0, high=1, seed=5, count=1)[:, :1] * torch.tensor([1.0, 0.8, 0.5])[:, None, None]
        black, white = torch.zeros(1, 3, 24, 24), torch.ones(1, 3, 24, 24)
        face = torch.cat([black, white, checkers[None], grey, sepia, faces(24, low=0, high=1, count=1)])
        target = torch.cat([white, checkers[None], sepia, sepia, grey, 0.9 + 0.1 * grey])
        arguments = face, target, masks(24, 6).contiguous()
        matched = call(match_colour, *arguments, method, impl=impl)
        assert matched.min() >= 0
        assert matched.max() <= 1
        assert_agrees(call, impl, method, *arguments)

    @every_method
    def test_a_small_deviation_on_a_large_mean(self, call, fast_impl, method):
        """Sums of squares in float32 would miss the deviation by a twentieth here."""
        face, target = 0.95 + 0.004 * faces(64, low=0, high=1), 0.9 + 0.005 * faces(64, low=0, high=1, seed=1)
        expected = match_colour(*(x.double() for x in (face, target, masks(64))), method, impl="reference").float()
        got = call(match_colour, face, target, masks(64), method, impl=fast_impl)
        torch.testing.assert_close(got, expected, atol=1.5e-5, rtol=0)


class TestContract:
    @every_method
    def test_dtypes_strides_and_no_faces(self, call, impl, method):
        arguments = (faces(), faces(seed=1), masks())
        expected = match_colour(*arguments, method, impl="reference")
        for dtype, tolerance in ((torch.float64, 2e-4), (torch.float16, 0.01), (torch.bfloat16, 0.05)):
            matched = call(match_colour, *(x.to(dtype) for x in arguments), method, impl=impl)
            assert matched.dtype == dtype
            torch.testing.assert_close(matched.float(), expected, atol=tolerance, rtol=0)
        strided = [x.to(memory_format=torch.channels_last)[..., ::2, ::2].mT for x in arguments]
        packed = [x.contiguous() for x in strided]
        results = [call(match_colour, *x, method, impl=impl) for x in (strided, packed)]
        torch.testing.assert_close(*results, atol=1e-6, rtol=0)
        assert call(match_colour, *(x[:0] for x in arguments), method, impl=impl).shape == (0, 3, 32, 32)
        with pytest.raises(ValueError, match="s, s"):
            call(match_colour, *(x[..., :0, :0] for x in arguments), method, impl=impl)

    @pytest.mark.parametrize(
        ("change", "error", "words"),
        [
            ({"method": "histograms"}, ValueError, "use one of reinhard, covariance, histogram"),
            ({"face": torch.zeros(2, 3, 32, 32, dtype=torch.uint8)}, TypeError, "uint8"),
            ({"target": torch.zeros(2, 3, 32, 32, dtype=torch.float64)}, TypeError, "float64"),
            ({"target": torch.zeros(2, 3, 16, 16)}, ValueError, "face and target"),
            ({"mask": torch.zeros(2, 3, 32, 32)}, ValueError, "mask"),
            ({"mask": torch.zeros(1, 1, 32, 32)}, ValueError, "mask"),
        ],
    )
    def test_what_is_wrong_is_said(self, change, error, words):
        arguments = {"face": faces(), "target": faces(seed=1), "mask": masks(), **change}
        with pytest.raises(error, match=words):
            match_colour(**arguments)


class TestAgreement:
    @every_method
    def test_any_size(self, call, fast_impl, method):
        @settings(max_examples=EXAMPLES[fast_impl], deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(size=st.integers(1, 70), seed=st.integers(0, 1000), low=st.floats(0, 0.5), span=st.floats(0.001, 0.5))
        def agrees(size, seed, low, span):
            generator = torch.Generator().manual_seed(seed)
            face, target = torch.rand(2, 2, 3, size, size, generator=generator)
            mask = torch.rand(2, 1, size, size, generator=generator)
            assert_agrees(call, fast_impl, method, face, low + span * target, mask)

        agrees()

    @every_method
    def test_many_parts_give_one_result(self, call, fast_impl, method, monkeypatch):
        """Several parts a face and chunks a part, in halves that differ; a third is outside of the mask."""
        if fast_impl == "triton":
            monkeypatch.setattr(importlib.import_module("fastswap.kernels.match_colour._triton"), "BLOCK", 16)
        size = {"triton": 24, "cupy": 90, "numba": 90}[fast_impl]
        face, target, mask = faces(size, count=1), faces(size, seed=1, count=1), masks(size, 1).clone()
        face[..., : size // 2, :] += 0.3
        mask[..., : size // 3, :] = 0
        results = [call(match_colour, face, target, mask, method, impl=fast_impl) for _ in range(2)]
        assert torch.equal(*results)
        expected = match_colour(*(x.double() for x in (face, target, mask)), method, impl="reference").float()
        torch.testing.assert_close(results[0], expected, atol=TOLERANCE[method], rtol=0)

    @every_method
    def test_opcheck(self, impl, there, method):
        if impl == "triton" and method == "histogram":
            pytest.skip("forty calls of the slowest kernels in the interpreter; the operation is the same")
        arguments = there((faces(8), faces(8, seed=1), masks(8).contiguous()))
        torch.library.opcheck(torch.ops.fastswap.match_colour.default, (*arguments, method, impl))

    def test_compiles_as_one_graph(self, impl, there):
        @torch.compile(fullgraph=True, backend="aot_eager")
        def step(face, target, mask):
            return match_colour(face * 0.9, target, mask, impl=impl) * mask

        arguments = there((faces(), faces(seed=1), masks()))
        expected = match_colour(arguments[0] * 0.9, *arguments[1:], impl=impl) * arguments[2]
        torch.testing.assert_close(step(*arguments), expected)
