"""clahe: OpenCV's CLAHE on the lightness, chosen and sized by the example's number."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from fastswap.kernels.augment.reference import uniforms
from fastswap.ops.clahe import DRAW, clahe, equalise

CLIP = 2.0


def numbers(count: int) -> torch.Tensor:
    return torch.arange(count)


def faces(count: int = 4, size: int = 96) -> torch.Tensor:
    """Smooth pictures with noise, of low contrast: uint8 [count, size, size, 4]."""
    line = torch.linspace(0, 1, size)
    ramp = 90 + 60 * line[:, None] * line[None, :] + torch.arange(count)[:, None, None] * 5
    noise = torch.randint(-8, 9, (count, size, size, 4), generator=torch.Generator().manual_seed(0))
    return (ramp[..., None] + noise).clamp(0, 255).byte()


@pytest.mark.parametrize(("size", "tiles"), [(64, 4), (96, 1), (100, 3), (101, 6), (37, 5), (256, 2)])
def test_the_curves_are_opencvs(size, tiles):
    values = faces(2, size)[..., 0]
    ours = equalise(values, torch.full((2,), tiles), 6, CLIP)
    expected = [cv2.createCLAHE(clipLimit=CLIP, tileGridSize=(tiles, tiles)).apply(value.numpy()) for value in values]
    difference = (ours.round() - torch.from_numpy(np.stack(expected)).float()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.01  # halves that round either way


def test_each_face_has_its_own_tiles():
    values = faces(3)[..., 1]
    together = equalise(values, torch.tensor([2, 6, 3]), 6, CLIP)
    for n, tiles in enumerate((2, 6, 3)):
        assert torch.equal(together[n : n + 1], equalise(values[n : n + 1], torch.tensor([tiles]), tiles, CLIP))


def test_colours_are_those_of_opencvs_chain():
    """Through 8-bit CIELAB: its own rounding of L, a and b costs up to two levels and a half."""
    picture = faces(1, 128)
    ours = clahe(picture, numbers(1), seed=0, chance=1.0)[0, ..., :3].numpy().astype(int)
    tiles = 2 + int(uniforms(numbers(1), 0, DRAW)[0, 1] * 5)
    lab = cv2.cvtColor(picture[0, ..., :3].numpy(), cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=CLIP, tileGridSize=(tiles, tiles)).apply(lab[..., 0])
    difference = np.abs(ours - cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
    assert difference.max() <= 6
    assert difference.mean() < 1


def test_half_of_the_faces_by_their_number_alone():
    pictures = faces(1, 16).expand(400, -1, -1, -1)
    changed = clahe(pictures, numbers(400), seed=5)
    which = (changed != pictures).flatten(1).any(1)
    assert 160 < which.sum() < 240
    assert torch.equal(changed[..., 3], pictures[..., 3])
    again = clahe(pictures[:7].flip(0), numbers(7).flip(0), seed=5)
    assert torch.equal(again.flip(0), changed[:7])
    assert not torch.equal(clahe(pictures, numbers(400), seed=6), changed)


def test_chance_zero_and_no_faces():
    assert torch.equal(clahe(faces(), numbers(4), seed=0, chance=0.0), faces())
    assert clahe(faces()[:0], numbers(0), seed=0).shape == (0, 96, 96, 4)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"faces": torch.zeros(1, 8, 8, 4)}, TypeError),
        ({"faces": torch.zeros(1, 8, 9, 4, dtype=torch.uint8)}, ValueError),
        ({"sample": torch.zeros(2, dtype=torch.int64)}, ValueError),
        ({"sample": torch.zeros(1, dtype=torch.int32)}, TypeError),
        ({"chance": 1.5}, ValueError),
    ],
)
def test_what_is_wrong_is_said(change, error):
    arguments = {"faces": faces(1), "sample": numbers(1), "seed": 0, **change}
    with pytest.raises(error, match="got"):
        clahe(arguments.pop("faces"), arguments.pop("sample"), **arguments)
