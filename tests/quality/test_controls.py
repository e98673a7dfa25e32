"""The controls give what a network gives, and know no more than they may."""

from __future__ import annotations

import pytest
import torch

from fastswap.quality.controls import controls

SIDE = 48


@pytest.fixture
def faces() -> tuple[torch.Tensor, torch.Tensor]:
    """Twelve smooth random faces [12, 3, s, s] and their masks, a disc."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(12, 3, 6, 6, generator=generator)
    pictures = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")
    axis = torch.linspace(-1, 1, SIDE)
    disc = ((axis[:, None] ** 2 + axis[None] ** 2) < 0.6).float()
    return pictures, disc.expand(12, 1, SIDE, SIDE)


def test_each_gives_colour_and_mask_of_the_faces_asked_for(faces: tuple[torch.Tensor, torch.Tensor]) -> None:
    for control in controls(*faces).values():
        colour, mask = control(faces[0][:5], faces[0][:5])
        assert colour.shape == (5, 3, SIDE, SIDE)
        assert mask.shape == (5, 1, SIDE, SIDE)
        assert 0 <= mask.min() <= mask.max() <= 1


def test_the_constant_is_the_mean_whatever_is_asked(faces: tuple[torch.Tensor, torch.Tensor]) -> None:
    constant = controls(*faces)["constant"]
    colour, _ = constant(torch.rand(3, 3, SIDE, SIDE), torch.rand(3, 3, SIDE, SIDE))
    torch.testing.assert_close(colour, faces[0].mean(0).expand(3, -1, -1, -1))


def test_the_nearest_is_the_face_itself_where_it_is_known(faces: tuple[torch.Tensor, torch.Tensor]) -> None:
    nearest = controls(*faces)["nearest"]
    asked = faces[0][[7, 2, 2]]
    colour, _ = nearest(torch.zeros_like(asked), (asked + 0.01).clamp(0, 1))
    torch.testing.assert_close(colour, asked)


def test_recolouring_takes_b_s_colours_and_keeps_a_s_shape(faces: tuple[torch.Tensor, torch.Tensor]) -> None:
    a = (faces[0][:2] * 0.3).clamp(0, 1)
    colour, mask = controls(*faces)["recoloured"](a, torch.zeros_like(a))
    inside = mask.expand_as(colour) > 0.5
    wanted = faces[0].mean(0, keepdim=True).expand_as(colour)
    assert abs(float(colour[inside].mean() - wanted[inside].mean())) < 0.05
    shape = torch.corrcoef(torch.stack([colour[inside], a[inside]]))[0, 1]
    assert shape > 0.5


def test_shapes_that_do_not_fit_are_refused(faces: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="expected"):
        controls(faces[0], faces[1][:3])
    with pytest.raises(ValueError, match="expected"):
        controls(faces[0][:0], faces[1][:0])
