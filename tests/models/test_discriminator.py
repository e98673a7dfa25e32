"""The discriminator: shapes, what it sees, and its second derivatives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fastswap.models import Discriminator, DiscriminatorSpec

PATCH = DiscriminatorSpec(size=16, channels=(8, 16), kernel=4, residual=1, attention=(4,))
FULL = replace(PATCH, stem=2, kernel=3, unet=True, conditional=True, spectral=True, norm="rms")
FORMS = {
    "patch": PATCH,
    "no attention": replace(PATCH, attention=()),
    "instance": replace(PATCH, norm="instance"),
    "group": replace(PATCH, norm="group"),
    "rms": replace(PATCH, norm="rms"),
    "unet": replace(PATCH, unet=True),
    "spectral": replace(PATCH, spectral=True),
    "stem": replace(PATCH, stem=2, unet=True),
    "all": FULL,
}
every_form = pytest.mark.parametrize("spec", list(FORMS.values()), ids=list(FORMS))


def _condition(spec: DiscriminatorSpec, picture: Tensor) -> Tensor | None:
    return picture.flip(0) if spec.conditional else None


def _made(spec: DiscriminatorSpec) -> Discriminator:
    """With weights that differ from the first ones, of which some are zero."""
    torch.manual_seed(0)
    model = Discriminator(spec).double().eval()  # spectral norm then has fixed vectors
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@every_form
def test_logits_are_a_map_of_patches_and_as_a_unet_one_of_pixels(spec: DiscriminatorSpec) -> None:
    picture = torch.rand(3, 3, 16, 16)
    logits = Discriminator(spec)(picture, _condition(spec, picture))
    side = 16 // spec.stem // 4
    assert [tuple(x.shape) for x in logits] == [(3, 1, side, side), (3, 1, 16, 16)][: 1 + spec.unet]
    assert all(bool(torch.isfinite(x).all()) for x in logits)


@every_form
def test_the_gradient_penalty_has_the_gradient_that_differences_give(spec: DiscriminatorSpec) -> None:
    model = _made(spec)
    picture = torch.rand(2, 3, 16, 16, dtype=torch.float64)

    def penalty() -> Tensor:
        seen = picture.clone().requires_grad_(True)
        logits = torch.stack([x.sum() for x in model(seen, _condition(spec, picture))]).sum()
        (slope,) = torch.autograd.grad(logits, seen, create_graph=True)
        return slope.square().sum()

    penalty().backward()
    checked = 0
    for name, parameter in model.named_parameters():
        if parameter.grad is None or parameter.grad.abs().max() < 1e-6:
            continue  # a bias of the last layer moves no slope
        direction, step = torch.randn_like(parameter), 1e-7  # crosses no kink of a ReLU
        expected = (parameter.grad * direction).sum()
        parameter.data += step * direction
        above = penalty().detach()
        parameter.data -= 2 * step * direction
        below = penalty().detach()
        parameter.data += step * direction
        torch.testing.assert_close((above - below) / (2 * step), expected, rtol=2e-3, atol=1e-4, msg=name)
        checked += 1
    assert checked >= 5
