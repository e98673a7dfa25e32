"""The same work on a GPU gives the CPU's result. Skips without one; fails under FASTSWAP_REQUIRE_GPU=1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastswap.faces import FaceFinder
from fastswap.models import LITE
from fastswap.ops import Colour, Jitter, Planes, augment, match_colour, paste, soft_mask, warp
from fastswap.training.examples import Examples
from fastswap.training.plan import Moment
from fastswap.training.step import Step

pytestmark = pytest.mark.gpu
TOLERANCE = 2e-3  # half a level of 255: fused multiply-adds round elsewhere


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5))


def nv12() -> Planes:
    luma = (noise(2, 120, 160) * 255).to(torch.uint8)
    return Planes("nv12", (luma, (noise(2, 60, 80, 2) * 255).to(torch.uint8)), Colour("bt709"))


MATRIX = torch.tensor([[[1.5, 0.2, 10.0], [-0.2, 1.5, 20.0]], [[0.7, 0.0, 40.0], [0.0, 0.7, 5.0]]])


def test_warp(cuda: str) -> None:
    there = warp(nv12().to(cuda), MATRIX.to(cuda), 48)
    assert torch.allclose(there.cpu(), warp(nv12(), MATRIX, 48), atol=TOLERANCE)


def test_paste(cuda: str) -> None:
    here, there = nv12(), nv12().to(cuda)
    face, alpha = noise(2, 3, 48, 48), noise(2, 1, 48, 48)
    paste(here, face, alpha, MATRIX)
    paste(there, face.to(cuda), alpha.to(cuda), MATRIX.to(cuda))
    for a, b in zip(here.data, there.data, strict=True):
        assert (a.int() - b.cpu().int()).abs().max() <= 1


def test_aligned_operations(cuda: str) -> None:
    face, target, mask = noise(2, 3, 64, 64), noise(2, 3, 64, 64).flip(0), (noise(2, 1, 64, 64) > 0.3).float()
    there = match_colour(face.to(cuda), target.to(cuda), mask.to(cuda)).cpu()
    assert torch.allclose(there, match_colour(face, target, mask), atol=TOLERANCE)
    assert torch.allclose(soft_mask(mask.to(cuda), 2.0, 6.0).cpu(), soft_mask(mask, 2.0, 6.0), atol=TOLERANCE)


def test_augment_draws_the_same_numbers(cuda: str) -> None:
    faces = (noise(3, 80, 80, 4) * 255).to(torch.uint8)
    index, sample = torch.tensor([2, 0]), torch.tensor([7, 1 << 40])
    sizes = {"seed": 3, "size_in": 64, "size_out": 64, "coverage": 0.8, "jitter": Jitter()}
    here = augment(faces, index, sample, **sizes)
    there = augment(faces.to(cuda), index.to(cuda), sample.to(cuda), **sizes)
    for a, b in zip(here, there, strict=True):
        assert torch.allclose(a, b.cpu(), atol=TOLERANCE)


def test_the_finder_sees_the_same_face(cuda: str) -> None:
    data = pytest.importorskip("skimage.data")
    planes = Planes("rgb", (torch.from_numpy(np.array(data.astronaut()))[None],))
    here, there = FaceFinder().find(planes), FaceFinder(cuda).find(planes)
    assert len(here.frame) == len(there.frame) == 1
    assert (here.landmarks - there.landmarks.cpu()).abs().max() < 0.5


def test_a_training_step_lowers_the_loss(cuda: str) -> None:
    device = torch.device(cuda)
    step = Step(LITE, 2, 0, device)
    faces = noise(16, 3, LITE.size_in, LITE.size_in).to(device)
    ones = torch.ones(16, 1, LITE.size_out, LITE.size_out, device=device)
    losses = [step(Examples(faces, faces, ones, ones), Moment(i, i / 60)) for i in range(60)]
    assert losses[-1]["loss"] < 0.8 * losses[0]["loss"]
    assert losses[-1]["faults"] == 0
