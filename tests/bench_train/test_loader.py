"""The loader that the training's benches hold against ours does what it says."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from fastswap.bench.train import loader
from fastswap.models import LITE
from fastswap.ops import Jitter

CPU = torch.device("cpu")
STILL = Jitter(rotation=0, zoom=0, shift=0, flip=0, grid=0, lightness=0, ab=0)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[loader.Stored]:
    return loader.write_faces(tmp_path_factory.mktemp("faces"), 4)


class TestLoader:
    def test_pictures_are_as_large_as_those_of_photos(self, stored: list[loader.Stored]) -> None:
        assert all(250e3 < face.picture.stat().st_size < 550e3 for face in stored)

    @pytest.mark.parametrize("size", [96, 192])
    def test_an_example_is_what_a_step_takes(self, stored: list[loader.Stored], size: int) -> None:
        larger = {"size_out": 192, "decoder": (96, 64, 64), "residual": (1, 1, 1)} if size == 192 else {}
        generator = replace(LITE.generator, **larger)
        faces = loader.Faces(stored, replace(LITE, generator=generator, colour=True), Jitter())
        warped, target, mask = faces[0]
        assert warped.shape == (3, 96, 96)
        assert target.shape == (3, size, size)
        assert mask.shape == (1, size, size)
        for part in (warped, target, mask):
            assert part.dtype == torch.uint8
            assert int(part.max()) - int(part.min()) > 60
        assert 80 < mask.float().mean() < 250  # a part of the square, whatever was drawn
        examples = loader.examples([warped[None], target[None], mask[None]], CPU)
        assert torch.equal(examples.target[0], target.float() / 255)
        assert torch.equal(examples.emphasis, torch.ones(1, 1, size, size))

    def test_without_jitter_it_is_the_aligned_face(self, stored: list[loader.Stored]) -> None:
        faces = loader.Faces(stored, replace(LITE, coverage=1.0), STILL)
        warped, target, _ = (part.float() / 255 for part in faces[1])
        assert (warped - target)[..., 4:-4, 4:-4].abs().mean() < 0.02  # the grid's map lies half a pixel aside
        corner = stored[1].matrix @ (0.25, 0.75, 1)
        picture = cv2.imread(str(stored[1].picture))[..., ::-1].astype(np.float32) / 255
        around = picture[int(corner[1]) - 3 : int(corner[1]) + 4, int(corner[0]) - 3 : int(corner[0]) + 4]
        assert target[:, 72, 24].numpy() == pytest.approx(around.mean((0, 1)), abs=0.04)

    def test_the_input_is_warped_and_the_target_is_not(self, stored: list[loader.Stored]) -> None:
        straight = loader.Faces(stored, LITE, STILL)[2][1]
        warped, target, _ = loader.Faces(stored, LITE, replace(STILL, grid=5 / 256))[2]
        assert torch.equal(target, straight)
        assert (warped.float() - straight).abs().mean() > 5

    def test_colours_move_both_pictures_and_not_the_mask(self, stored: list[loader.Stored]) -> None:
        straight = loader.Faces(stored, LITE, STILL)[3]
        warped, target, mask = loader.Faces(stored, replace(LITE, colour=True), replace(STILL, lightness=0.3))[3]
        assert (target.float() - straight[1]).abs().mean() > 3
        assert (warped.float() - target)[..., 4:-4, 4:-4].abs().mean() < 6
        assert torch.equal(mask, straight[2])

    @pytest.mark.parametrize("workers", [0, 2])
    def test_batches_go_on_and_hold_one_side_after_the_other(self, stored: list[loader.Stored], workers: int) -> None:
        opened = iter(loader.open_loader(loader.Faces(stored, LITE, Jitter()), [2, 2], 3, workers))
        for _ in range(4):
            examples = loader.examples(next(opened), CPU)
            assert examples.warped.shape == (6, 3, 96, 96)
        for numbers, _ in zip(loader.Batches([5, 9], 3), range(50), strict=False):
            assert max(numbers[:3]) < 5 <= min(numbers[3:])
