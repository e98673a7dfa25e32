"""Every colour match can be chosen, and does in a frame what it promises."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
import torch
from torch import Tensor

from fastswap.cli.verbs import Convert, Evaluate
from fastswap.conversion import CompositeSettings, composite
from fastswap.faces import align, mean_face
from fastswap.ops import Planes
from fastswap.ops.match_colour import METHODS


@pytest.mark.parametrize("verb", [Convert, Evaluate])
def test_the_command_line_offers_every_method(verb: type) -> None:
    assert get_args(get_type_hints(verb)["colour"]) == ("none", *METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_swap_takes_the_frames_colours(method: str) -> None:
    """A generator that makes every face blue and pale: matched, the frame keeps its mean colour."""
    generator = torch.Generator().manual_seed(0)
    frame = (90 + 60 * torch.rand(1, 200, 200, 3, generator=generator)) * torch.tensor([1.1, 0.9, 0.7])
    points = mean_face()[None].clone() * 160
    points[..., :2] += 20

    def blue(faces: Tensor) -> tuple[Tensor, Tensor]:
        return faces * 0.4 + torch.tensor([0.3, 0.4, 0.6])[:, None, None], torch.ones_like(faces[:, :1])

    means = {}
    for colour in ("none", method):
        planes = Planes("rgb", (frame.to(torch.uint8),))
        settings = CompositeSettings(96, 0.8, colour=colour)
        composite(planes, align(points), points, torch.tensor([0]), blue, settings)
        means[colour] = planes.data[0].float()[0, 80:120, 80:120].mean((0, 1))
    wanted = frame[0, 80:120, 80:120].mean((0, 1))
    assert (means["none"] - wanted).abs().max() > 20
    assert (means[method] - wanted).abs().max() < 3
