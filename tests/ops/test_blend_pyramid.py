"""blend_pyramid: against OpenCV's pyramids and SciPy's filters, exact where there is nothing to mix, and that all
implementations agree."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fastswap.kernels.blend_pyramid.reference import level_sizes
from fastswap.ops import blend_pyramid

# An error budget. float32: some 30 operations on numbers up to 1 are rounded by 2^-24 each. 16 bits: the result is
# rounded (2^-12 for float16, 2^-9 for bfloat16), and so are the levels of a GPU: D and M of each level by 2^-12 of what
# is left of them there, all of it well under three such steps.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 4 * 2**-12, torch.bfloat16: 2**-9 + 3 * 2**-12}


def pictures(size: int, count: int = 1, seed: int = 0, dtype=torch.float32) -> tuple[torch.Tensor, ...]:
    """Noise, face and target [count, 3, size, size] and alpha [count, 1, size, size]."""
    noise = torch.rand(count, 7, size, size, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return noise[:, :3], noise[:, 3:6], noise[:, 6:]


def by_opencv(face: torch.Tensor, target: torch.Tensor, alpha: torch.Tensor, levels: int) -> torch.Tensor:
    """The textbook's way, with both pictures' own Laplacian pyramids, by cv2.pyrDown and cv2.pyrUp in float64."""
    stacks = [[picture[0].permute(1, 2, 0).double().numpy()] for picture in (face, target, alpha.expand_as(face))]
    for stack in stacks:
        for _ in range(levels):
            stack.append(cv2.pyrDown(stack[-1]))
    faces, targets, alphas = stacks
    blended = alphas[-1] * faces[-1] + (1 - alphas[-1]) * targets[-1]
    for k in range(levels - 1, -1, -1):
        up, size = cv2.pyrUp, alphas[k].shape[1::-1]
        of_face, of_target = faces[k] - up(faces[k + 1], dstsize=size), targets[k] - up(targets[k + 1], dstsize=size)
        blended = alphas[k] * of_face + (1 - alphas[k]) * of_target + up(blended, dstsize=size)
    return torch.from_numpy(blended).permute(2, 0, 1)[None]


def by_scipy(face: torch.Tensor, target: torch.Tensor, alpha: torch.Tensor, levels: int) -> torch.Tensor:
    """The same by ndimage's mirrored filter, which knows odd sizes and sides of two pixels as well."""
    taps = np.array([1, 4, 6, 4, 1]) / 16

    def filtered(picture):
        for axis in (1, 2):
            picture = ndimage.correlate1d(picture, taps, axis=axis, mode="mirror")
        return picture

    def up(picture, like):
        spread = np.zeros_like(like)
        spread[:, ::2, ::2] = picture
        return 4 * filtered(spread)

    def blended(face, target, alpha, levels):
        if not levels or face.shape[1] == 1:
            return alpha * face + (1 - alpha) * target
        face_below, target_below, alpha_below = (filtered(x)[:, ::2, ::2] for x in (face, target, alpha))
        below = blended(face_below, target_below, alpha_below, levels - 1)
        of_face, of_target = face - up(face_below, face), target - up(target_below, target)
        return alpha * of_face + (1 - alpha) * of_target + up(below, target)

    arrays = (x[0].double().numpy() for x in (face, target, alpha.expand_as(face)))
    return torch.from_numpy(blended(*arrays, levels))[None]


class TestDefinition:
    @pytest.mark.parametrize(("size", "levels"), [(32, 1), (32, 3), (64, 5), (64, 6), (48, 4), (160, 3)])
    def test_is_what_opencv_blends(self, impl, call, size, levels):
        face, target, alpha = pictures(size)
        face, target = 0.3 + face / 3, 0.3 + target / 3  # nothing to clamp
        blended = call(blend_pyramid, face, target, alpha, levels, impl=impl)
        expected = by_opencv(face, target, alpha, levels)
        torch.testing.assert_close(blended.double(), expected, atol=TOLERANCE[torch.float32], rtol=0)

    @pytest.mark.parametrize(("size", "levels"), [(1, 1), (2, 2), (3, 6), (5, 2), (17, 5), (31, 3), (75, 4), (133, 1)])
    def test_any_size_is_what_scipy_blends(self, impl, call, size, levels):
        face, target, alpha = pictures(size, seed=size)
        blended = call(blend_pyramid, face, target, alpha, levels, impl=impl)
        expected = by_scipy(face, target, alpha, levels).clamp(0, 1)
        torch.testing.assert_close(blended.double(), expected, atol=TOLERANCE[torch.float32], rtol=0)

    def test_levels_end_at_one_pixel(self, impl, call):
        assert level_sizes(512, 5) == [512, 256, 128, 64, 32, 16]
        assert level_sizes(9, 6) == [9, 5, 3, 2, 1]
        assert level_sizes(1, 3) == [1]
        given = pictures(9)
        assert torch.equal(call(blend_pyramid, *given, 4, impl=impl), call(blend_pyramid, *given, 6, impl=impl))

    def test_detail_changes_at_once_and_tone_slowly(self, impl, call):
        """Across a seam stripes of one pixel change within four, two tones over twice 2^levels."""
        size, levels = 128, 4
        seam = torch.arange(size) >= size // 2
        alpha = seam.float().expand(1, 1, size, size)
        stripes = torch.where(torch.arange(size) % 2 > 0, 0.6, 0.4)
        face, target = (x.expand(1, 3, size, size) for x in (stripes, 1 - stripes))
        row = call(blend_pyramid, face, target, alpha, levels, impl=impl)[0, 0, size // 2]
        apart = (row - torch.where(seam, stripes, 1 - stripes)).abs() > 0.01
        assert apart.sum() <= 4

        bright, dark = (torch.full((1, 3, size, size), tone) for tone in (0.7, 0.3))
        row = call(blend_pyramid, bright, dark, alpha, levels, impl=impl)[0, 0, size // 2]
        assert (row[1:] >= row[:-1] - 1e-6).all()
        rising = (row > 0.34) & (row < 0.66)  # from 10 to 90 %
        assert 1.5 * 2**levels <= rising.sum() <= 2.5 * 2**levels


class TestExactness:
    @pytest.mark.parametrize("size", [1, 2, 13, 64, 100])
    @pytest.mark.parametrize("dtype", list(TOLERANCE))
    def test_all_or_nothing_is_a_picture_itself(self, impl, call, size, dtype):
        face, target, _ = pictures(size, 2, dtype=dtype)
        alpha = torch.ones(2, 1, size, size, dtype=dtype)
        assert torch.equal(call(blend_pyramid, face, target, alpha, 5, impl=impl), face)
        assert torch.equal(call(blend_pyramid, face, target, 0 * alpha, 5, impl=impl), target)

    @pytest.mark.parametrize("levels", [1, 2, 3])
    def test_it_reaches_as_far_as_is_said(self, impl, call, levels):
        face, target, _ = pictures(80)
        alpha = torch.zeros(1, 1, 80, 80)
        alpha[..., 40, 40] = 1
        changed = (call(blend_pyramid, face, target, alpha, levels, impl=impl) != target).any(1)[0].nonzero()
        reach = 2 ** (levels + 2) - 4
        assert (changed - 40).abs().max() <= reach
        inside = call(blend_pyramid, face, target, 1 - alpha, levels, impl=impl) != face
        assert (inside.any(1)[0].nonzero() - 40).abs().max() <= reach

    def test_pictures_that_are_the_same(self, impl, call):
        face, _, alpha = pictures(50)
        blended = call(blend_pyramid, face, face, alpha, 5, impl=impl)
        torch.testing.assert_close(blended, face, atol=2**-23, rtol=0)

    def test_two_tones_stay_between_themselves(self, impl, call):
        """A constant difference has no detail: the result is alpha, smoothed, times it."""
        alpha = pictures(60, seed=3)[2]
        high, low = torch.full((1, 3, 60, 60), 0.75), torch.full((1, 3, 60, 60), 0.25)
        blended = call(blend_pyramid, high, low, alpha, 3, impl=impl)
        torch.testing.assert_close(blended[:, 0], blended[:, 2])
        assert blended.min() >= 0.25
        assert blended.max() <= 0.75
        assert blended.std() < 0.2 * 0.5 * alpha.std()


class TestLaws:
    def test_it_is_linear_in_the_pictures(self, impl, call):
        (f, t, alpha), (g, u, _) = pictures(37), pictures(37, seed=1)
        f, t, g, u = (0.35 + 0.1 * x for x in (f, t, g, u))
        one, other = (call(blend_pyramid, *pair, alpha, 4, impl=impl) for pair in ((f, t), (g, u)))
        both = call(blend_pyramid, 0.25 * f + 0.75 * g, 0.25 * t + 0.75 * u, alpha, 4, impl=impl)
        torch.testing.assert_close(both, 0.25 * one + 0.75 * other, atol=1e-6, rtol=0)

    def test_a_shift_by_the_coarsest_pixel_shifts_it(self, impl, call):
        levels, size, by = 3, 96, 8
        face, target, _ = pictures(size)
        alpha = torch.zeros(1, 1, size, size)
        alpha[..., 40:52, 36:60] = 0.8
        here = call(blend_pyramid, face, target, alpha, levels, impl=impl)
        shifted = [x.roll((by, -by), (-2, -1)) for x in (face, target, alpha)]
        there = call(blend_pyramid, *shifted, levels, impl=impl).roll((-by, by), (-2, -1))
        torch.testing.assert_close(there, here, atol=1e-6, rtol=0)

    def test_turned_faces_swap_their_roles(self, impl, call):
        face, target, alpha = pictures(29)
        face, target = 0.4 + 0.2 * face, 0.4 + 0.2 * target
        turned = call(blend_pyramid, target, face, 1 - alpha, 4, impl=impl)
        torch.testing.assert_close(turned, call(blend_pyramid, face, target, alpha, 4, impl=impl), atol=1e-6, rtol=0)


class TestContract:
    @pytest.mark.parametrize("dtype", [*TOLERANCE, torch.float64])
    def test_dtype_and_shape(self, impl, call, dtype):
        given = pictures(40, 3, dtype=dtype)
        blended = call(blend_pyramid, *given, 4, impl=impl)
        assert (blended.dtype, blended.shape) == (dtype, (3, 3, 40, 40))
        expected = blend_pyramid(*(x.double() for x in given), 4, impl="reference")
        torch.testing.assert_close(blended.double(), expected, atol=TOLERANCE.get(dtype, 2e-6), rtol=0)

    def test_extreme_pictures_stay_in_range(self, impl, call):
        """Black on white, black and white by turns: the sum of the levels overshoots, the result does not."""
        squares = (torch.arange(64)[:, None] // 8 + torch.arange(64) // 8) % 2
        face = squares.float().expand(1, 3, 64, 64)
        alpha = (torch.arange(64) > 30).float().expand(1, 1, 64, 64)
        overshoots = by_scipy(face, 1 - face, alpha, 5)
        assert overshoots.max() > 1.05
        blended = call(blend_pyramid, face, 1 - face, alpha, 5, impl=impl)
        assert blended.min() == 0
        assert blended.max() == 1
        torch.testing.assert_close(blended.double(), overshoots.clamp(0, 1), atol=2e-6, rtol=0)

    def test_faces_do_not_mix_and_runs_repeat(self, impl, call):
        given = pictures(70, 3)
        together = call(blend_pyramid, *given, 5, impl=impl)
        assert torch.equal(together, call(blend_pyramid, *given, 5, impl=impl))
        for n in range(3):
            alone = call(blend_pyramid, *(x[n : n + 1] for x in given), 5, impl=impl)
            assert torch.equal(together[n : n + 1], alone)

    def test_no_faces(self, impl, call):
        assert call(blend_pyramid, *(x[:0] for x in pictures(8, 1)), impl=impl).shape == (0, 3, 8, 8)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_strided_and_at_odd_addresses(self, impl, call, dtype):
        """Views whose rows are far apart, turned ones, and ones that start at an odd sample."""
        noise = pictures(45, 2, dtype=dtype)
        views = [x[..., 1::2, 2:24].mT for x in noise]
        expected = call(blend_pyramid, *(x.contiguous() for x in views), 3, impl=impl)
        assert torch.equal(call(blend_pyramid, *views, 3, impl=impl), expected)
        odd = [torch.cat((x.new_zeros(1), x.flatten()))[1:].view(x.shape) for x in (v.contiguous() for v in views)]
        assert torch.equal(call(blend_pyramid, *odd, 3, impl=impl), expected)

    @pytest.mark.parametrize(
        ("face", "target", "alpha", "levels", "error"),
        [
            ((1, 3, 8, 8), (1, 3, 8, 8), (1, 1, 8, 8), 0, ValueError),
            ((1, 3, 8, 8), (1, 3, 8, 8), (1, 1, 8, 8), 7, ValueError),
            ((1, 3, 8, 9), (1, 3, 8, 9), (1, 1, 8, 9), 3, ValueError),
            ((3, 8, 8), (3, 8, 8), (1, 8, 8), 3, ValueError),
            ((1, 3, 0, 0), (1, 3, 0, 0), (1, 1, 0, 0), 3, ValueError),
            ((1, 3, 8, 8), (2, 3, 8, 8), (1, 1, 8, 8), 3, ValueError),
            ((1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 8), 3, ValueError),
            ((2, 3, 8, 8), (2, 3, 8, 8), (1, 1, 8, 8), 3, ValueError),
        ],
    )
    def test_what_is_wrong_is_said(self, face, target, alpha, levels, error):
        with pytest.raises(error, match="got"):
            blend_pyramid(torch.zeros(face), torch.zeros(target), torch.zeros(alpha), levels)

    def test_types_are_floating_point_and_one(self):
        face, target, alpha = pictures(8)
        with pytest.raises(TypeError, match="got"):
            blend_pyramid(face.half(), target, alpha)
        with pytest.raises(TypeError, match="got"):
            blend_pyramid(*((255 * x).to(torch.uint8) for x in (face, target, alpha)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 90),
    levels=st.integers(1, 6),
    seed=st.integers(0, 9),
    dtype=st.sampled_from(list(TOLERANCE)),
)
def test_any_size_and_depth(fast_impl, call, size, levels, seed, dtype):
    given = pictures(size, 2, seed, dtype)
    expected = blend_pyramid(*(x.double() for x in given), levels, impl="reference")
    blended = call(blend_pyramid, *given, levels, impl=fast_impl)
    torch.testing.assert_close(blended.double(), expected, atol=TOLERANCE[dtype], rtol=0)


class TestAgreement:
    @pytest.mark.parametrize(("size", "levels"), [(256, 6), (271, 5)])
    def test_large_ones(self, fast_impl, call, size, levels):
        given = pictures(size)
        expected = blend_pyramid(*(x.double() for x in given), levels, impl="reference")
        blended = call(blend_pyramid, *given, levels, impl=fast_impl)
        torch.testing.assert_close(blended.double(), expected, atol=TOLERANCE[torch.float32], rtol=0)

    def test_no_order_of_threads_matters(self, call, monkeypatch):
        given = pictures(150)
        forwards = call(blend_pyramid, *given, 6, impl="cupy")
        monkeypatch.setenv("FASTSWAP_CUDA_EMULATE_ORDER", "backwards")
        assert torch.equal(call(blend_pyramid, *given, 6, impl="cupy"), forwards)

    def test_opcheck(self, impl, call):
        def check(*given, impl):
            torch.library.opcheck(torch.ops.fastswap.blend_pyramid.default, (*given, 2, impl))

        call(check, *pictures(12), impl=impl)

    def test_compiles_as_one_graph(self, impl, call):
        @torch.compile(fullgraph=True, backend="aot_eager")
        def step(face, target, alpha, impl):
            return blend_pyramid(face / 2, target, alpha, 3, impl=impl) + 1

        face, target, alpha = pictures(16)
        expected = call(blend_pyramid, face / 2, target, alpha, 3, impl=impl) + 1
        torch.testing.assert_close(call(step, face, target, alpha, impl=impl), expected)
