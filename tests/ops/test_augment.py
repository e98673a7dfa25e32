"""augment: what it draws, where it samples, what it does to colours, and that all implementations do the same."""

from __future__ import annotations

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastswap.kernels.augment import reference
from fastswap.ops import GAN_2018, Jitter, augment

STILL = Jitter(rotation=0, zoom=0, shift=0, flip=0, grid=0, lightness=0, ab=0)
SIZES = {"size_in": 32, "size_out": 48, "coverage": 0.8}


def smooth_faces(count: int = 3, size: int = 64) -> torch.Tensor:
    """Pictures with something at every place, and a disc as mask: uint8 [count, size, size, 4]."""
    line = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    k = torch.arange(1, count + 1)[:, None, None]
    red, green, blue = 0.5 + 0.4 * torch.sin(3 * x + k), 0.5 + 0.4 * torch.cos(4 * y * k), 0.5 + 0.3 * x * y
    mask = (10 * (0.6 - (x * x + y * y).sqrt()) + 0.5).clamp(0, 1).expand(count, -1, -1)
    return (torch.stack([red.expand(count, -1, -1), green, blue.expand(count, -1, -1), mask], -1) * 255).byte()


def numbers(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def on_device(impl: str, *tensors: torch.Tensor) -> list[torch.Tensor]:
    return [tensor.cuda() if impl == "triton" and torch.cuda.is_available() else tensor for tensor in tensors]


def draws(count: int, jitter: Jitter | None = None, seed: int = 7) -> reference.Draw:
    return reference.draw(torch.arange(count), seed, astuple(jitter or Jitter()))


class TestGeometry:
    def test_without_jitter_it_is_a_plain_copy(self, call, impl):
        faces = smooth_faces(size=48)
        sizes = {"size_in": 48, "size_out": 48, "coverage": 1.0}
        warped, target, mask = call(augment, faces, numbers(2), numbers(0), seed=0, jitter=STILL, impl=impl, **sizes)
        expected = faces[2].permute(2, 0, 1).float() / 255
        torch.testing.assert_close(warped[0], expected[:3], atol=1e-5, rtol=0)
        torch.testing.assert_close(target[0], expected[:3], atol=1e-5, rtol=0)
        torch.testing.assert_close(mask[0], expected[3:], atol=1e-5, rtol=0)

    def test_shrinking_by_two_averages_the_pixels(self, call, impl):
        faces = torch.randint(0, 256, (1, 32, 32, 4), dtype=torch.uint8)
        sizes = {"size_in": 16, "size_out": 16, "coverage": 1.0}
        _, target, mask = call(augment, faces, numbers(0), numbers(0), seed=0, jitter=STILL, impl=impl, **sizes)
        expected = torch.nn.functional.avg_pool2d(faces.permute(0, 3, 1, 2).float() / 255, 2)
        torch.testing.assert_close(torch.cat([target, mask], 1), expected, atol=1e-5, rtol=0)

    def test_the_crop_is_the_central_part(self, call, impl):
        faces = smooth_faces(size=40)
        sizes = {"size_in": 20, "size_out": 20, "coverage": 0.5}
        _, target, _ = call(augment, faces, numbers(0), numbers(0), seed=0, jitter=STILL, impl=impl, **sizes)
        expected = faces[0, 10:30, 10:30, :3].permute(2, 0, 1).float() / 255
        torch.testing.assert_close(target[0], expected, atol=1e-5, rtol=0)

    def test_a_flip_mirrors_target_and_warped(self, call, impl):
        faces, arguments = smooth_faces(), {"seed": 3, "impl": impl, **SIZES}
        plain = Jitter(flip=0, grid=0)
        straight = call(augment, faces, numbers(1), numbers(5), jitter=plain, **arguments)
        flipped = call(augment, faces, numbers(1), numbers(5), jitter=Jitter(flip=1, grid=0), **arguments)
        for a, b in zip(straight, flipped, strict=True):
            torch.testing.assert_close(a.flip(-1), b, atol=1e-4, rtol=0)

    def test_without_a_grid_warped_is_the_target(self, call, impl):
        jitter = Jitter().without(warp=True)
        arguments = {"seed": 1, "size_in": 40, "size_out": 40, "coverage": 0.8, "jitter": jitter}
        warped, target, _ = call(augment, smooth_faces(), numbers(0, 1), numbers(4, 5), impl=impl, **arguments)
        torch.testing.assert_close(warped, target, atol=1e-5, rtol=0)  # places are rounded to 1e-5 px on two ways

    def test_the_affine_is_faceswaps(self, call, impl):
        """Rotate and zoom about the centre, shift, mirror: a coloured point lands where those four put it."""
        size, place = 64, (20, 35)  # x, y
        faces = torch.zeros(1, size, size, 4, dtype=torch.uint8)
        line = torch.arange(size)
        blob = torch.exp(-((line - place[0]) ** 2 + (line[:, None] - place[1]) ** 2) / (2 * 2.0**2))
        faces[0, ..., 3] = (255 * blob).round().byte()
        jitter = Jitter(rotation=10, zoom=0.2, shift=0.1, grid=0)
        for sample in range(4):
            arguments = {"seed": 2, "size_in": 8, "size_out": size, "coverage": 1.0, "jitter": jitter}
            _, _, mask = call(augment, faces, numbers(0), numbers(sample), impl=impl, **arguments)
            drawn = reference.draw(numbers(sample), 2, astuple(jitter))
            angle, zoom = float(drawn.angle), float(drawn.zoom)
            x, y = ((c + 0.5) / size - 0.5 for c in place)
            cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
            x, y = cos * x - sin * y + drawn.shift[0, 0], sin * x + cos * y + drawn.shift[0, 1]
            expected = torch.stack([x * drawn.mirror[0], y]) * size + size / 2 - 0.5
            weight = mask[0, 0].double() / mask.sum()
            centroid = torch.stack([(weight.sum(0) * line).sum(), (weight.sum(1) * line).sum()])
            torch.testing.assert_close(centroid, expected, atol=0.02, rtol=0)

    def test_the_grid_moves_its_nodes_as_drawn(self):
        """On the nodes the displacement is the drawn one, half way between two nodes their mean."""
        nodes = draws(2).nodes
        line = torch.tensor([0, 0.25, 0.375, 0.5, 1], dtype=torch.float64)
        moved = reference.displace(nodes, line)
        y, x = torch.meshgrid(line - 0.5, line - 0.5, indexing="ij")
        moved = moved - torch.stack((x, y), -1)
        torch.testing.assert_close(moved[:, 0, 0], nodes[:, 0, 0])
        torch.testing.assert_close(moved[:, 4, 3], nodes[:, 4, 2])
        torch.testing.assert_close(moved[:, 1, 2], (nodes[:, 1, 1] + nodes[:, 1, 2]) / 2)

    def test_borders_replicate(self, call, impl):
        faces = torch.full((1, 16, 16, 4), 200, dtype=torch.uint8)
        jitter = Jitter(shift=0.5, grid=0.1, lightness=0, ab=0)
        for picture in call(augment, faces, numbers(0), numbers(1), seed=0, jitter=jitter, impl=impl, **SIZES):
            torch.testing.assert_close(picture, torch.full_like(picture, 200 / 255), atol=1e-5, rtol=0)


class TestColour:
    def test_it_is_faceswaps_shift_of_8_bit_lab(self, call, impl):
        """A flat face, against the same shift of OpenCV's 8-bit CIELAB."""
        cv2 = pytest.importorskip("cv2")
        rgb = np.array([[[180, 120, 100]]], np.uint8)
        faces = torch.from_numpy(np.concatenate([rgb, [[[255]]]], 2).astype(np.uint8)).expand(1, 8, 8, 4)
        for sample in range(8):
            drawn = reference.draw(numbers(sample), 0, astuple(Jitter())).colour[0].numpy()
            lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float64)
            lab = np.where(drawn >= 0, (255 - lab) * drawn + lab, lab * (1 + drawn))
            expected = cv2.cvtColor(lab.round().astype(np.uint8), cv2.COLOR_LAB2RGB)[0, 0] / 255
            _, target, _ = call(augment, faces, numbers(0), numbers(sample), seed=0, impl=impl, **SIZES)
            np.testing.assert_allclose(target[0, :, 4, 4].numpy(), expected, atol=0.015)

    def test_the_mask_and_no_colour_leave_values_alone(self, call, impl):
        faces = smooth_faces()
        arguments = {"seed": 3, "impl": impl, **SIZES}
        coloured = call(augment, faces, numbers(0), numbers(9), **arguments)
        plain = call(augment, faces, numbers(0), numbers(9), jitter=Jitter().without(colour=True), **arguments)
        assert torch.equal(coloured[2], plain[2])
        assert (coloured[1] - plain[1]).abs().max() > 0.01

    def test_warped_and_target_get_the_same_colour(self, call, impl):
        faces = torch.full((1, 16, 16, 4), 90, dtype=torch.uint8)
        warped, target, _ = call(augment, faces, numbers(0), numbers(2), seed=0, impl=impl, **SIZES)
        torch.testing.assert_close(warped[0, :, 0, 0], target[0, :, 0, 0], atol=1e-6, rtol=0)


class TestContract:
    def test_an_example_depends_on_seed_sample_and_face_alone(self, call, impl):
        faces, arguments = smooth_faces(), {"seed": 11, "impl": impl, **SIZES}
        batch = call(augment, faces, numbers(0, 1, 2, 1), numbers(7, 8, 9, 10**12), **arguments)
        alone = call(augment, faces, numbers(1), numbers(10**12), **arguments)
        for many, one in zip(batch, alone, strict=True):
            assert torch.equal(many[3:], one)
        again = call(augment, faces, numbers(0, 1, 2, 1), numbers(7, 8, 9, 10**12), **arguments)
        assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))
        other = call(augment, faces, numbers(1), numbers(10**12), **{**arguments, "seed": 12})
        assert not torch.equal(other[0], alone[0])

    def test_shapes_and_range(self, call, impl):
        warped, target, mask = call(augment, smooth_faces(), numbers(0, 2), numbers(1, 2), seed=0, impl=impl, **SIZES)
        assert warped.shape == (2, 3, 32, 32)
        assert target.shape == (2, 3, 48, 48)
        assert mask.shape == (2, 1, 48, 48)
        for picture in (warped, target, mask):
            assert picture.dtype == torch.float32
            assert picture.min() >= 0
            assert picture.max() <= 1

    def test_no_examples(self, call, impl):
        outputs = call(augment, smooth_faces(), numbers(), numbers(), seed=0, impl=impl, **SIZES)
        assert [len(picture) for picture in outputs] == [0, 0, 0]

    def test_strided_faces(self, call, impl):
        faces = smooth_faces(6)
        arguments = {"seed": 0, "impl": impl, **SIZES}
        strided = call(augment, faces[::2].flip(2), numbers(0, 2, 1)[::2], numbers(1, 2, 3)[::2], **arguments)
        packed = call(augment, faces[::2].flip(2).contiguous(), numbers(0, 1), numbers(1, 3), **arguments)
        assert all(torch.equal(a, b) for a, b in zip(strided, packed, strict=True))

    @pytest.mark.parametrize("index", [-1, 3])
    def test_an_index_out_of_range(self, call, impl, index):
        if impl == "triton" and torch.cuda.is_available():
            pytest.skip("on a GPU nobody waits to look")
        with pytest.raises(IndexError, match="there are 3 faces"):
            call(augment, smooth_faces(), numbers(0, index), numbers(0, 1), seed=0, impl=impl, **SIZES)

    @pytest.mark.parametrize(
        ("change", "error", "words"),
        [
            ({"faces": torch.zeros(1, 8, 8, 4)}, TypeError, "uint8"),
            ({"faces": torch.zeros(1, 8, 8, 3, dtype=torch.uint8)}, ValueError, r"\[M, S, S, 4\]"),
            ({"faces": torch.zeros(1, 8, 9, 4, dtype=torch.uint8)}, ValueError, r"\[M, S, S, 4\]"),
            ({"index": torch.zeros(1, dtype=torch.int32)}, TypeError, "index is torch.int64"),
            ({"sample": torch.zeros(2, dtype=torch.int64)}, ValueError, "both"),
            ({"seed": -1}, ValueError, "seed"),
            ({"seed": 2**63}, ValueError, "seed"),
            ({"size_in": 0}, ValueError, "size_in"),
            ({"coverage": 0.0}, ValueError, "coverage"),
            ({"coverage": 1.2}, ValueError, "coverage"),
            ({"coverage": float("nan")}, ValueError, "coverage"),
            ({"impl": "quick"}, ValueError, "numba"),
            ({"dtype": torch.float64}, TypeError, "float16"),
            ({"faces": torch.zeros(0, 8, 8, 4, dtype=torch.uint8)}, IndexError, "no faces"),
        ],
    )
    def test_what_is_wrong_is_said(self, change, error, words):
        arguments = {"faces": smooth_faces(1), "index": numbers(0), "sample": numbers(0), "seed": 0, **SIZES, **change}
        faces, index, sample = (arguments.pop(name) for name in ("faces", "index", "sample"))
        with pytest.raises(error, match=words):
            augment(faces, index, sample, **arguments)

    @pytest.mark.parametrize(
        "wrong",
        [{"zoom": 1.0}, {"shift": -0.1}, {"flip": 1.5}, {"grid": math.inf}, {"crop": 1.0}, {"grid_spread": 2.0}],
    )
    def test_a_jitter_out_of_range(self, wrong):
        with pytest.raises(ValueError, match="got Jitter"):
            Jitter(**wrong)

    def test_without(self):
        assert Jitter().without() == Jitter()
        less = Jitter().without(warp=True, flip=True, colour=True)
        assert less == Jitter(grid=0, flip=0, lightness=0, ab=0)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 70),
    size_in=st.integers(1, 70),
    size_out=st.integers(1, 70),
    coverage=st.floats(0.05, 1.0),
    seed=st.integers(0, 2**63 - 1),
    first=st.integers(0, 2**62),
    realign=st.booleans(),
)
def test_any_size(call, fast_impl, size, size_in, size_out, coverage, seed, first, realign):
    if fast_impl == "triton":  # the interpreter takes its time for each tap
        size_in, size_out = max(size_in, size // 2), max(size_out, size // 2)
    generator = torch.Generator().manual_seed(first % 1000)
    faces = torch.randint(0, 256, (2, size, size, 4), dtype=torch.uint8, generator=generator)
    jitter = replace(GAN_2018, lightness=0.3, ab=0.08) if realign else Jitter()
    arguments = {"seed": seed, "size_in": size_in, "size_out": size_out, "coverage": coverage, "jitter": jitter}
    index, sample = numbers(0, 1, 0), torch.arange(first, first + 3)
    expected = call(augment, faces, index, sample, impl="reference", **arguments)
    for a, b in zip(call(augment, faces, index, sample, impl=fast_impl, **arguments), expected, strict=True):
        # noise differs by up to 255 levels a pixel: places agree to 1e-5 px, colours to 1e-4
        torch.testing.assert_close(a, b, atol=3e-4, rtol=0)


class TestAgreement:
    @pytest.mark.parametrize(("jitter", "taps"), [(Jitter(), 1), (Jitter().without(colour=True), 2), (GAN_2018, 2)])
    def test_smooth_faces(self, call, fast_impl, jitter, taps):
        faces = smooth_faces(3, 40 * taps)
        arguments = {"seed": 5, "size_in": 33, "size_out": 40, "coverage": 0.9, "jitter": jitter}
        index, sample = numbers(0, 1, 2), numbers(3, 4, 2**40)
        expected = call(augment, faces, index, sample, impl="reference", **arguments)
        for a, b in zip(call(augment, faces, index, sample, impl=fast_impl, **arguments), expected, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=0)

    @pytest.mark.parametrize(("dtype", "step"), [(torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8)])
    def test_half_precision_is_the_same_rounded(self, call, impl, dtype, step):
        arguments = {"seed": 5, "impl": impl, **SIZES}
        full = call(augment, smooth_faces(), numbers(0, 1), numbers(3, 4), **arguments)
        half = call(augment, smooth_faces(), numbers(0, 1), numbers(3, 4), dtype=dtype, **arguments)
        for a, b in zip(half, full, strict=True):
            assert a.dtype == dtype
            interpreted = impl == "triton" and not torch.cuda.is_available()  # which cuts bfloat16 off
            assert (a.float() - b).abs().max() <= (step if interpreted else step / 2)  # (half) a unit in the last place

    def test_extreme_jitter(self, call, impl):
        """A face turned any way, shifted out of sight and its grid torn: still colours."""
        jitter = Jitter(rotation=3600, zoom=0.999, shift=1e3, grid=1e4, realign=True, crop=0.999, grid_spread=1.0)
        for picture in call(
            augment, smooth_faces(), numbers(0, 1), numbers(3, 4), seed=1, impl=impl, jitter=jitter, **SIZES
        ):
            assert picture.min() >= 0
            assert picture.max() <= 1

    def test_at_the_sizes_of_training(self, call, fast_impl):
        faces = smooth_faces(2, 256)
        arguments = {"seed": 5, "size_in": 64, "size_out": 128, "coverage": 0.875}
        expected = call(augment, faces, numbers(0, 1), numbers(3, 4), impl="reference", **arguments)
        for a, b in zip(
            call(augment, faces, numbers(0, 1), numbers(3, 4), impl=fast_impl, **arguments), expected, strict=True
        ):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=0)

    def test_opcheck(self, impl):
        jitter = [float(value) for value in astuple(Jitter())]
        faces, index, sample = on_device(impl, smooth_faces(2, 16), numbers(0, 1), numbers(1, 2))
        arguments = (faces, index, sample, 3, 8, 12, 0.8, 2, 1, jitter, torch.bfloat16, impl)
        torch.library.opcheck(torch.ops.fastswap.augment.default, arguments)

    def test_compiles_as_one_graph(self, impl):
        @torch.compile(fullgraph=True, backend="aot_eager")
        def step(faces, index, sample):
            warped, target, mask = augment(faces, index, sample, seed=1, impl=impl, **SIZES)
            return (warped.mean() + (target * mask).mean()) * 2

        faces, index, sample = on_device(impl, smooth_faces(), numbers(0, 1), numbers(3, 4))
        warped, target, mask = augment(faces, index, sample, seed=1, impl=impl, **SIZES)
        torch.testing.assert_close(step(faces, index, sample), (warped.mean() + (target * mask).mean()) * 2)

    def test_a_cuda_graph_replays_it(self, cuda):
        """Nothing waits for the host, and what is replayed reads the samples of the time."""
        faces, index, sample = (tensor.to(cuda) for tensor in (smooth_faces(), numbers(0, 1), numbers(3, 4)))
        augment(faces, index, sample, seed=1, impl="triton", **SIZES)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = augment(faces, index, sample, seed=1, impl="triton", **SIZES)
        sample.add_(10)
        graph.replay()
        for a, b in zip(captured, augment(faces, index, sample, seed=1, impl="triton", **SIZES), strict=True):
            assert torch.equal(a, b)
