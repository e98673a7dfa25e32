"""match_colour: the statistics inside the mask, its limits, and that all implementations agree."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastswap.kernels.lab.reference import lab_from_rgb
from fastswap.ops import match_colour


def faces(size: int = 32, low: float = 0.3, high: float = 0.6, seed: int = 0, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, 3, size, size, generator=generator)
    return low + (high - low) * torch.nn.functional.avg_pool2d(noise, 3, 1, 1, count_include_pad=False)


def masks(size: int = 32, count: int = 2) -> torch.Tensor:
    line = torch.linspace(-1, 1, size)
    return (4 * (0.8 - (line**2 + line[:, None] ** 2).sqrt())).clamp(0, 1).expand(count, 1, -1, -1)


def statistics(rgb: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of L, a, b inside the mask, float64 [N, 3] each."""
    lab, share = lab_from_rgb(rgb.double()), mask.double() / mask.double().sum((2, 3), keepdim=True)
    mean = (lab * share).sum((2, 3))
    return mean, ((lab - mean[..., None, None]) ** 2 * share).sum((2, 3)).sqrt()


def test_the_face_takes_the_targets_mean_and_deviation(impl):
    face, target = faces(), faces(low=0.35, high=0.75, seed=1) * torch.tensor([1.1, 0.9, 0.8])[:, None, None]
    matched = match_colour(face, target, masks(), impl=impl)
    for got, wanted, tolerance in zip(
        statistics(matched, masks()), statistics(target, masks()), (0.05, 0.05), strict=True
    ):
        torch.testing.assert_close(got, wanted, atol=tolerance, rtol=0.01)


def test_a_face_matched_to_itself_is_itself(impl):
    torch.testing.assert_close(match_colour(faces(), faces(), masks(), impl=impl), faces(), atol=2e-4, rtol=0)


def test_only_what_is_inside_the_mask_counts(impl):
    face, target, mask = faces(), faces(seed=1), (masks() > 0.5).float()
    outside = mask.expand(-1, 3, -1, -1) == 0
    spoilt_face, spoilt_target = face.clone(), target.clone()
    spoilt_face[outside], spoilt_target[outside] = 1.0, 0.0
    expected = match_colour(face, target, mask, impl=impl)
    got = match_colour(spoilt_face, spoilt_target, mask, impl=impl)
    torch.testing.assert_close(got[~outside], expected[~outside], atol=1e-5, rtol=0)


def test_soft_masks_weigh(impl):
    """A mask of a constant gives the same as a mask of ones."""
    ones = torch.ones(2, 1, 32, 32)
    expected = match_colour(faces(), faces(seed=1), ones, impl=impl)
    torch.testing.assert_close(match_colour(faces(), faces(seed=1), ones * 0.3, impl=impl), expected, atol=1e-5, rtol=0)


def test_each_face_has_its_own_statistics(impl):
    face, target = faces(count=3), faces(count=3, seed=1)
    together = match_colour(face, target, masks(count=3), impl=impl)
    alone = match_colour(face[1:2], target[1:2], masks(count=1), impl=impl)
    torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=0)


def test_an_empty_mask_leaves_the_face(impl):
    mask = torch.cat([masks(count=1), torch.zeros(1, 1, 32, 32)])
    matched = match_colour(faces(), faces(seed=1), mask, impl=impl)
    assert torch.equal(matched[1], faces()[1])
    assert not torch.equal(matched[0], faces()[0])


def test_a_flat_face_is_shifted_and_not_blown_up(impl):
    flat = 0.5 + 0.001 * (faces() - 0.5)
    matched = match_colour(flat, faces(low=0.1, high=0.9, seed=1), masks(), impl=impl)
    assert torch.isfinite(matched).all()
    _, deviation = statistics(matched, masks())
    assert (deviation <= 2.05 * statistics(flat, masks())[1] + 1e-3).all()
    grey = torch.full((1, 3, 16, 16), 0.5)
    warm = torch.tensor([0.7, 0.5, 0.4])[:, None, None].expand(1, 3, 16, 16)
    torch.testing.assert_close(match_colour(grey, warm, masks(16, 1), impl=impl), warm.contiguous(), atol=1e-3, rtol=0)


def test_colours_stay_in_range(impl):
    matched = match_colour(faces(low=0, high=1), faces(low=0.9, high=1.0, seed=1), masks(), impl=impl)
    assert matched.min() >= 0
    assert matched.max() <= 1


def test_dtypes_strides_and_no_faces(impl):
    arguments = (faces(), faces(seed=1), masks())
    expected = match_colour(*arguments, impl=impl)
    for dtype, tolerance in ((torch.float64, 2e-4), (torch.float16, 0.03)):
        matched = match_colour(*(x.to(dtype) for x in arguments), impl=impl)
        assert matched.dtype == dtype
        torch.testing.assert_close(matched.float(), expected, atol=tolerance, rtol=0)
    strided = [x.to(memory_format=torch.channels_last)[..., ::2, ::2].mT for x in arguments]
    packed = [x.contiguous() for x in strided]
    torch.testing.assert_close(match_colour(*strided, impl=impl), match_colour(*packed, impl=impl), atol=1e-6, rtol=0)
    assert match_colour(*(x[:0] for x in arguments), impl=impl).shape == (0, 3, 32, 32)


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
def test_what_is_wrong_is_said(change, error, words):
    arguments = {"face": faces(), "target": faces(seed=1), "mask": masks(), **change}
    with pytest.raises(error, match=words):
        match_colour(**arguments)


class TestAgreement:
    @settings(max_examples=25, deadline=None)
    @given(size=st.integers(1, 70), seed=st.integers(0, 1000), low=st.floats(0, 0.5), span=st.floats(0.001, 0.5))
    def test_any_size(self, size, seed, low, span):
        generator = torch.Generator().manual_seed(seed)
        face, target = torch.rand(2, 2, 3, size, size, generator=generator)
        mask = torch.rand(2, 1, size, size, generator=generator)
        arguments = (face, low + span * target, mask)
        expected = match_colour(*(x.double() for x in arguments), impl="reference").float()
        torch.testing.assert_close(match_colour(*arguments, impl="numba"), expected, atol=5e-4, rtol=0)

    def test_opcheck(self, impl):
        arguments = (faces(8), faces(8, seed=1), masks(8).contiguous(), "reinhard", impl)
        torch.library.opcheck(torch.ops.fastswap.match_colour.default, arguments)

    def test_compiles_as_one_graph(self, impl):
        @torch.compile(fullgraph=True, backend="aot_eager")
        def step(face, target, mask):
            return match_colour(face * 0.9, target, mask, impl=impl) * mask

        arguments = (faces(), faces(seed=1), masks())
        expected = match_colour(arguments[0] * 0.9, *arguments[1:], impl=impl) * masks()
        torch.testing.assert_close(step(*arguments), expected)
