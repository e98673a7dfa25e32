"""The terms of a reconstruction together, and what must hold for all of them: parts of a batch add up to the batch,
nothing is lost to an empty mask, nothing waits for the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fastswap.models import Reconstruction
from fastswap.training import losses
from fastswap.training.examples import Examples
from fastswap.training.losses.similarity import windows

PICTURE = ("l1", "mse", "dssim", "ms_ssim", "edges")
MASK = ("mask", "mask_hinge", "mask_variation")
MARGIN = torch.tensor(0.5)
HALVES = (slice(3), slice(3, 6))


def _noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _examples(count: int, size: int) -> Examples:
    """Faces whose masks are of very different sizes, soft at the edge, with emphasised eyes."""
    target = _noise(0, count, 3, size, size)
    mask, emphasis = torch.zeros(count, 1, size, size), torch.ones(count, 1, size, size)
    for n in range(count):
        margin = 2 + (n * size // 4) // count
        mask[n, :, margin:-margin, margin:-margin] = 0.5
        mask[n, :, margin + 1 : -margin - 1, margin + 1 : -margin - 1] = 1.0
        emphasis[n, :, size // 3 : size // 2] = 1 + 2 * n
    return Examples(target, target, mask, emphasis)


def _reconstruction(count: int, size: int) -> Reconstruction:
    small = tuple(_noise(5 + factor, count, 3, size // factor, size // factor).requires_grad_() for factor in (4, 2))
    worse = torch.linspace(0.2, 1, count).view(-1, 1, 1, 1)  # one example's error is not another's
    return Reconstruction(
        (worse * _noise(1, count, 3, size, size)).requires_grad_(),
        _noise(2, count, 1, size, size).requires_grad_(),
        _noise(3, count, 8).requires_grad_(),
        small,
    )


def _part(x: Examples | Reconstruction, part: slice) -> tuple[object, ...]:
    if isinstance(x, Examples):
        return Examples(*(t[part] for t in (x.warped, x.target, x.mask, x.emphasis)))
    return Reconstruction(x.colour[part], x.mask[part], x.code[part], tuple(t[part] for t in x.auxiliary))


def _gradients(x: Reconstruction) -> list[Tensor]:
    leaves = [x.colour, x.mask, *x.auxiliary]
    gradients = [leaf.grad.clone() for leaf in leaves if leaf.grad is not None]
    for leaf in leaves:
        leaf.grad = None
    return gradients


@pytest.mark.parametrize("term", [*PICTURE, *MASK])
def test_the_mean_over_the_parts_of_a_batch_is_the_batch_by_its_totals(term: str) -> None:
    """What makes two ranks, or two parts of an accumulated step, learn what one does."""
    examples, reconstruction = _examples(6, 32), _reconstruction(6, 32)
    whole = losses.totals(examples)
    loss = losses.reconstruction_terms({term}, reconstruction, examples, whole, MARGIN)[term]
    loss.backward()
    expected = _gradients(reconstruction)
    parts = [slice(0, 2), slice(2, 4), slice(4, 6)]
    sums = torch.stack([losses.totals(_part(examples, part)).sums for part in parts]).mean(dim=0)
    assert torch.allclose(sums, losses.totals(examples, parts=3).sums)
    results = [
        losses.reconstruction_terms(
            {term}, _part(reconstruction, part), _part(examples, part), losses.Totals(sums), MARGIN
        )[term]
        for part in parts
    ]
    mean = torch.stack(results).mean()
    mean.backward()
    assert mean.item() == pytest.approx(loss.item(), rel=1e-5)
    for got, wanted in zip(_gradients(reconstruction), expected, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-4, atol=1e-8)


def test_without_the_totals_of_all_parts_they_would_not_add_up() -> None:
    examples, reconstruction = _examples(6, 32), _reconstruction(6, 32)
    loss = losses.l1(reconstruction.colour, examples.target, examples.mask)
    own = [losses.l1(*(x[n] for x in (reconstruction.colour, examples.target, examples.mask))).item() for n in HALVES]
    assert abs(loss.item() - sum(own) / 2) > 0.01 * loss.item()


def test_only_what_is_wanted_is_computed() -> None:
    examples, reconstruction = _examples(2, 32), _reconstruction(2, 32)
    wanted = {"l1", "mask", "agreement", "adversarial", "perceptual"}
    terms = losses.reconstruction_terms(wanted, reconstruction, examples, losses.totals(examples), MARGIN)
    assert set(terms) == {"l1", "mask"}
    assert all(value.shape == () and value.dtype == torch.float32 for value in terms.values())


@pytest.mark.parametrize("term", [*PICTURE, *MASK])
def test_an_empty_mask_is_no_number_of_its_own(term: str) -> None:
    examples, reconstruction = _examples(2, 32), _reconstruction(2, 32)
    empty = Examples(examples.warped, examples.target, torch.zeros_like(examples.mask), examples.emphasis)
    loss = losses.reconstruction_terms({term}, reconstruction, empty, losses.totals(empty), MARGIN)[term]
    loss.backward()
    assert all(gradient.isfinite().all() for gradient in _gradients(reconstruction))
    assert loss.item() == pytest.approx(0, abs=1e-6) or term in ("mask", "mask_variation")


def test_from_256_pixels_on_dssim_is_the_mean_of_both_windows() -> None:
    examples, reconstruction = _examples(1, 256), _reconstruction(1, 256)
    terms = losses.reconstruction_terms({"dssim"}, reconstruction, examples, losses.totals(examples), MARGIN)
    colour = losses.inside(reconstruction.colour, examples.target, examples.mask)
    weight = examples.mask * examples.emphasis
    each = [losses.dssim(colour, examples.target, weight, window=window).item() for window in windows(256)]
    assert abs(each[0] - each[1]) > 1e-4
    assert terms["dssim"].item() == pytest.approx(sum(each) / 2, rel=1e-5)


def test_smaller_pictures_count_by_their_own_difference_to_the_reduced_target() -> None:
    examples, reconstruction = _examples(2, 32), _reconstruction(2, 32)
    terms = losses.reconstruction_terms({"l1"}, reconstruction, examples, losses.totals(examples), MARGIN)
    target, weight = examples.target.double().numpy(), (examples.mask * examples.emphasis).double().numpy()
    colour, mask = reconstruction.colour.detach().double().numpy(), examples.mask.double().numpy()
    expected = np.average(abs(mask * (colour - target)), weights=np.broadcast_to(weight, target.shape))
    for small in reconstruction.auxiliary:
        side = small.shape[-1]
        reduced, share = (
            x.reshape(2, -1, side, 32 // side, side, 32 // side).mean(axis=(3, 5)) for x in (target, weight)
        )
        error = abs(small.detach().double().numpy() - reduced)
        expected += np.average(error, weights=np.broadcast_to(share, error.shape))
    assert terms["l1"].item() == pytest.approx(expected, rel=1e-5)


def test_edges_are_the_differences_of_neighbouring_pixels() -> None:
    output, target, weight = (_noise(seed, 2, c, 9, 7) for seed, c in ((6, 3), (7, 3), (8, 1)))
    o, t, w = (x.double().numpy() for x in (output, target, weight))
    expected = 0.0
    for axis in (2, 3):
        error = abs(np.diff(o, axis=axis) - np.diff(t, axis=axis))
        head, tail = np.delete(w, -1, axis=axis), np.delete(w, 0, axis=axis)
        expected += (error * (head + tail) / 2).sum() / (3 * w.sum())
    assert losses.edges(output, target, weight).item() == pytest.approx(expected, rel=1e-5)
    assert losses.edges(target + 0.3, target, weight).item() == pytest.approx(0, abs=1e-6), "light is no edge"


def test_edges_gradient_is_that_of_the_formula() -> None:
    output, target, weight = (_noise(seed, 1, 1, 5, 5).double() for seed in (9, 10, 11))
    output.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.edges(x, target, weight), (output,))


def test_the_masks_hinge_asks_for_the_margin_inside_of_the_mesh_and_for_nothing_else() -> None:
    alpha = torch.tensor([[0.2, 0.5], [0.9, 0.1]]).view(1, 1, 2, 2).requires_grad_()
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]]).view(1, 1, 2, 2)
    loss = losses.mask_hinge(alpha, mask, torch.tensor(0.4))
    loss.backward()
    assert loss.item() == pytest.approx(0.2 / 4)
    assert alpha.grad is not None
    assert alpha.grad.flatten().tolist() == [-0.25, 0, 0, 0]
    assert losses.mask_hinge(alpha, mask, torch.tensor(0.1)).item() == 0


def test_variation_and_difference_of_masks() -> None:
    alpha, mask = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    alpha[..., 2:] = 1
    assert losses.mask_variation(alpha).item() == pytest.approx(4 / 12), "one of three steps in each row, none down"
    assert losses.mask_variation(alpha.mT).item() == pytest.approx(4 / 12)
    assert losses.mask_l1(alpha, mask).item() == 0.5


def test_nothing_waits_for_the_device() -> None:
    """On tensors without values a read fails."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    examples, reconstruction = _examples(2, 64), _reconstruction(2, 64)
    wanted = {*PICTURE, *MASK}
    losses.reconstruction_terms(wanted, reconstruction, examples, losses.totals(examples), MARGIN)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        faked = Reconstruction(*map(mode.from_tensor, reconstruction[:3]), ())
        shown = Examples(**{name: mode.from_tensor(x) for name, x in examples.tensors().items()})
        terms = losses.reconstruction_terms(wanted, faked, shown, losses.totals(shown), mode.from_tensor(MARGIN))
        torch.stack(list(terms.values())).sum().backward()


def test_autocast_round_the_losses_changes_nothing() -> None:
    examples, reconstruction = _examples(2, 64), _reconstruction(2, 64)
    arguments = ({*PICTURE, *MASK}, reconstruction, examples, losses.totals(examples), MARGIN)
    expected = losses.reconstruction_terms(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        got = losses.reconstruction_terms(*arguments)
    assert {name: x.item() for name, x in got.items()} == {name: x.item() for name, x in expected.items()}


@pytest.mark.gpu
def test_a_captured_graph_gives_the_losses_of_the_cpu(cuda: str) -> None:
    examples, reconstruction = _examples(2, 64), _reconstruction(2, 64)
    wanted = {*PICTURE, *MASK}
    expected = losses.reconstruction_terms(wanted, reconstruction, examples, losses.totals(examples), MARGIN)
    torch.stack(list(expected.values())).sum().backward()
    there = Reconstruction(
        *(x.detach().to(cuda).requires_grad_() for x in reconstruction[:3]),
        tuple(x.detach().to(cuda).requires_grad_() for x in reconstruction.auxiliary),
    )
    shown = Examples(**{name: x.to(cuda) for name, x in examples.tensors().items()})
    margin = MARGIN.to(cuda)

    def compute() -> dict[str, Tensor]:
        terms = losses.reconstruction_terms(wanted, there, shown, losses.totals(shown), margin)
        torch.stack(list(terms.values())).sum().backward()
        return terms

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        compute()
    stream.synchronize()
    _gradients(there)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = compute()
    graph.replay()
    for name, value in expected.items():
        assert captured[name].item() == pytest.approx(value.item(), rel=5e-3), name
    for here, far in zip(_gradients(reconstruction), _gradients(there), strict=True):
        assert (far.cpu() - here).norm() < 0.05 * here.norm()
