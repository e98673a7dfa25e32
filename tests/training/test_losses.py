"""The losses against cases whose value is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastswap.training import losses

WHOLE = torch.ones(2, 1, 32, 32)


def _noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("loss", [losses.l1, losses.mse, losses.dssim])
def test_identical_pictures_cost_nothing(loss) -> None:
    x = _noise(0, 2, 3, 32, 32)
    assert loss(x, x.clone(), WHOLE).item() == pytest.approx(0, abs=1e-6)


def test_constant_difference_is_its_size_and_its_square() -> None:
    x = torch.full((2, 3, 32, 32), 0.25)
    assert losses.l1(x + 0.5, x, WHOLE).item() == pytest.approx(0.5)
    assert losses.mse(x + 0.5, x, WHOLE).item() == pytest.approx(0.25)


def test_dssim_of_two_constants_has_only_the_luminance_term() -> None:
    a, b = 0.2, 0.6
    expected = (1 - (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)) / 2
    got = losses.dssim(torch.full((2, 3, 32, 32), a), torch.full((2, 3, 32, 32), b), WHOLE)
    assert got.item() == pytest.approx(expected, rel=5e-4)


def test_dssim_of_a_negative_is_beyond_a_half() -> None:
    x = _noise(1, 2, 3, 32, 32)
    assert 0.5 < losses.dssim(1 - x, x, WHOLE).item() <= 1


def test_dssim_agrees_with_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a, b, weight = _noise(2, 1, 1, 40, 48), _noise(3, 1, 1, 40, 48), _noise(17, 1, 1, 40, 48)
    _, full = metrics.structural_similarity(
        a[0, 0].numpy(), b[0, 0].numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    expected = np.average((1 - full[5:-5, 5:-5]) / 2, weights=weight[0, 0, 5:-5, 5:-5].numpy())
    assert losses.dssim(a, b, weight).item() == pytest.approx(expected, rel=2e-5)


def test_only_what_has_weight_counts() -> None:
    target = _noise(4, 2, 3, 32, 32)
    output = target.clone()
    output[..., :16] += 0.5
    weight = WHOLE.clone()
    weight[..., :16] = 0
    assert losses.l1(output, target, weight).item() == 0
    assert losses.l1(output, target, 1 - weight).item() == pytest.approx(0.5)


def test_no_weight_at_all_is_zero_not_nan() -> None:
    assert losses.l1(_noise(5, 2, 3, 32, 32), _noise(6, 2, 3, 32, 32), 0 * WHOLE).item() == 0


def test_what_lies_outside_of_the_mask_changes_nothing() -> None:
    target, output = _noise(7, 2, 3, 32, 32), _noise(8, 2, 3, 32, 32)
    mask = WHOLE.clone()
    mask[..., 20:] = 0
    other = torch.where(mask.bool(), output, _noise(9, 2, 3, 32, 32))
    first, second = (losses.dssim(losses.inside(o, target, mask), target, mask) for o in (output, other))
    assert first.item() == second.item()


def test_gradients_are_those_of_the_formula() -> None:
    output, target = _noise(10, 1, 1, 13, 13).double(), _noise(11, 1, 1, 13, 13).double()
    weight = _noise(12, 1, 1, 13, 13).double()
    output.requires_grad_()
    for loss in (losses.mse, losses.l1):
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, target, weight), (output,))


def test_dssim_gradient_points_downhill() -> None:
    target = _noise(13, 1, 3, 32, 32)
    output = (target + 0.1 * _noise(14, 1, 3, 32, 32)).requires_grad_()
    before = losses.dssim(output, target, WHOLE[:1])
    before.backward()
    assert output.grad is not None
    after = losses.dssim(output.detach() - 2.0 * output.grad, target, WHOLE[:1])
    assert after.item() < before.item()


def test_pictures_below_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 11"):
        losses.dssim(torch.zeros(1, 3, 10, 32), torch.zeros(1, 3, 10, 32), torch.ones(1, 1, 10, 32))


def test_only_codes_that_agree_face_by_face_agree() -> None:
    a = _noise(15, 4, 8)
    assert losses.agreement(torch.cat((a, a)), 2).item() == pytest.approx(0, abs=1e-6)
    assert losses.agreement(torch.cat((a, a.flip(0))), 2).item() > 0.1, "the mean alone is not enough"


def test_shrinking_codes_gain_nothing() -> None:
    code = torch.cat((_noise(15, 4, 8), _noise(16, 4, 8))).requires_grad_()
    losses.agreement(code - code.detach().mean(), 2).backward()
    assert code.grad is not None
    along = (code.grad * (code - code.mean()).detach()).sum().abs()
    assert along < 1e-3 * code.grad.norm() * code.detach().norm()


def test_agreement_counts_in_deviations() -> None:
    a = torch.tensor([[-1.0], [1.0]])
    assert losses.agreement(torch.cat((a, a + 6)), 2).item() == pytest.approx(9, rel=1e-4)
    assert losses.agreement(10 * torch.cat((a, a + 6)), 2).item() == pytest.approx(9, rel=1e-4)
