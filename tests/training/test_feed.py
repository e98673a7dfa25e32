"""What a step is shown, and what the network is told about each pixel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from synthetic import TINY

from fastswap.faceset import FaceSet
from fastswap.models import LITE
from fastswap.ops import Jitter
from fastswap.training.emphasis import decode, encode
from fastswap.training.feed import Feed
from fastswap.training.sampler import Sampler
from fastswap.training.sides import choose_side
from fastswap.training.store import Store

CPU = torch.device("cpu")


def _feed(*, rank: int = 0, world: int = 1, mixup: float = 0.0) -> Feed:
    faces = [torch.full((count, 48, 48, 4), 60 * side + 40, dtype=torch.uint8) for side, count in enumerate((7, 4))]
    store = Store.of(faces, CPU)
    sampler = Sampler(store.counts, 4, 0, rank=rank, world=world, mixup=mixup)
    return Feed(store, sampler, TINY, coverage=0.75, jitter=Jitter())


def test_an_iteration_is_the_same_whenever_it_is_asked_for() -> None:
    feed = _feed()
    first, _, again = feed(9), feed(3), feed(9)
    assert torch.equal(first.warped, again.warped)
    assert first.warped.shape == (8, 3, 32, 32)
    assert first.target[:4].mean() < first.target[4:].mean(), "A's faces come first"
    assert first.mix is None


def test_a_process_is_given_its_part_of_the_batch() -> None:
    alone, ranks = _feed(mixup=0.2)(5), [_feed(rank=rank, world=2, mixup=0.2)(5) for rank in range(2)]
    for name, whole in alone.tensors().items():
        parts = [rank.tensors()[name].unflatten(0, (2, 2)) for rank in ranks]
        assert torch.equal(torch.cat(parts, dim=1).flatten(0, 1), whole), name


def test_mask_and_emphasis_share_a_plane() -> None:
    mask = torch.tensor([0, 128, 255, 255, 255], dtype=torch.uint8)
    priority = torch.tensor([0.0, 0.0, 0.0, 0.5, 1.0])
    decoded, emphasis = decode(encode(mask, priority).float() / 255, LITE.objective)
    torch.testing.assert_close(decoded, torch.tensor([0, 0.5, 1, 1, 1]), atol=0.01, rtol=0)
    top = max(LITE.objective.eyes, LITE.objective.mouth)
    torch.testing.assert_close(emphasis, torch.tensor([1, 1, 1, (1 + top) / 2, top]), atol=0.03, rtol=0)


def test_eyes_and_mouth_count_for_more_than_a_cheek(pair: tuple[Path, Path]) -> None:
    side = choose_side("A", FaceSet.open(pair[0]), None)
    faces = Store.open([side], LITE.objective, 64, CPU).parts[0]
    _, emphasis = decode(faces[..., 3].float() / 255, LITE.objective)
    eyes, mouth = emphasis[0, 20:32].max().item(), emphasis[0, 36:48].max().item()
    assert eyes == pytest.approx(LITE.objective.eyes, abs=0.05)
    assert mouth == pytest.approx(LITE.objective.mouth, abs=0.05)
    assert emphasis[0, 34, 18].item() == pytest.approx(1, abs=0.02)
