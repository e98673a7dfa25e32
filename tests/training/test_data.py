"""Which faces are trained on, in which order, and what the network is told about each pixel."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import TINY, make_faces

from fastswap.errors import InputError
from fastswap.faceset import FaceSet
from fastswap.models import LITE
from fastswap.ops import Jitter
from fastswap.training import TrainSettings
from fastswap.training.data import Feed, choose_side, decode, encode, load, stored_size
from fastswap.training.prepare import prepare

Settings = Callable[..., TrainSettings]


def _feed(counts: tuple[int, ...] = (7, 4), batch: int = 3, seed: int = 0) -> Feed:
    faces = [torch.full((count, 48, 48, 4), 60 * side + 40, dtype=torch.uint8) for side, count in enumerate(counts)]
    return Feed(
        faces, TINY, batch=batch, seed=seed, coverage=0.75, jitter=Jitter(), device=torch.device("cpu")
    )  # fmt: skip


def test_an_epoch_shows_each_face_of_the_larger_set_once() -> None:
    feed = _feed()
    shown = torch.stack([feed.indices(iteration) for iteration in range(14)])
    larger, smaller = shown[:, :3].flatten(), shown[:, 3:].flatten()
    for epoch in larger[:42].chunk(6):
        assert sorted(epoch.tolist()) == list(range(7))
    for cycle in smaller[:40].chunk(10):
        assert sorted(cycle.tolist()) == list(range(7, 11))
    assert feed.epoch(7) == 3.0


def test_the_order_is_a_function_of_seed_side_and_cycle() -> None:
    feed, again, other = _feed((40, 40)), _feed((40, 40)), _feed((40, 40), seed=1)
    assert torch.equal(feed.indices(5), again.indices(5))
    assert not torch.equal(feed.indices(5), other.indices(5))
    order = [torch.cat([feed.indices(i)[:3] for i in range(start, start + 40)]) for start in (0, 40)]
    assert not torch.equal(order[0][:40], order[0][40:80]), "each cycle has its own"
    assert not torch.equal(feed.indices(0)[:3], feed.indices(0)[3:] - 40), "each side has its own"


def test_an_iteration_is_the_same_whenever_it_is_asked_for() -> None:
    feed = _feed()
    first, _, again = feed(9), feed(3), feed(9)
    assert torch.equal(first.warped, again.warped)
    assert first.warped.shape == (6, 3, 32, 32)
    assert first.target[:3].mean() < first.target[3:].mean(), "A's faces come first"


def test_mask_and_emphasis_share_a_plane() -> None:
    mask = torch.tensor([0, 128, 255, 255, 255], dtype=torch.uint8)
    priority = torch.tensor([0.0, 0.0, 0.0, 0.5, 1.0])
    decoded, emphasis = decode(encode(mask, priority).float() / 255, LITE)
    torch.testing.assert_close(decoded, torch.tensor([0, 0.5, 1, 1, 1]), atol=0.01, rtol=0)
    top = max(LITE.objective.eyes, LITE.objective.mouth)
    torch.testing.assert_close(emphasis, torch.tensor([1, 1, 1, (1 + top) / 2, top]), atol=0.03, rtol=0)


def test_eyes_and_mouth_count_for_more_than_a_cheek(pair: tuple[Path, Path]) -> None:
    side = choose_side("A", FaceSet.open(pair[0]), None)
    _, emphasis = decode(load(side, LITE, 64)[..., 3].float() / 255, LITE)
    eyes, mouth = emphasis[0, 20:32].max().item(), emphasis[0, 36:48].max().item()
    assert eyes == pytest.approx(LITE.objective.eyes, abs=0.05)
    assert mouth == pytest.approx(LITE.objective.mouth, abs=0.05)
    assert emphasis[0, 34, 18].item() == pytest.approx(1, abs=0.02)


def test_faces_are_kept_no_larger_than_any_set_has_them(pair: tuple[Path, Path], tmp_path: Path) -> None:
    sides = [choose_side(name, FaceSet.open(path), None) for name, path in zip("AB", pair, strict=True)]
    assert stored_size(sides, 16, 0.75) == 42
    assert stored_size(sides, 96, 0.75) == 64


def test_the_most_frequent_person_is_trained_and_the_others_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faces = FaceSet.open(make_faces(tmp_path / "two", (200, 150, 120), count=20, persons=(3, 3, 5)))
    with caplog.at_level(logging.INFO):
        side = choose_side("A", faces, None)
    assert (side.person, len(side.rows)) == (3, 14)
    assert "person 3" in caplog.text
    assert "5 (6 faces)" in caplog.text
    with pytest.raises(InputError, match="6 faces of person 5, training needs at least 8"):
        choose_side("A", faces, 5)
    with pytest.raises(InputError, match="no person 9"):
        choose_side("A", faces, 9)


def test_a_deleted_picture_is_a_face_that_is_gone(tmp_path: Path) -> None:
    folder = make_faces(tmp_path / "a", (200, 150, 120))
    (folder / "000004_0.png").unlink()
    side = choose_side("A", FaceSet.open(folder), None)
    np.testing.assert_array_equal(side.rows, [row for row in range(12) if row != 4])
    assert load(side, TINY, 64).shape == (11, 64, 64, 4)


def test_face_sets_that_are_aligned_differently_are_refused(settings: Settings, tmp_path: Path) -> None:
    other = make_faces(tmp_path / "b", (120, 150, 200))
    content = json.loads((other / "faceset.json").read_text())
    (other / "faceset.json").write_text(json.dumps({**content, "template": "another"}))
    asked = settings()
    with pytest.raises(InputError, match="aligned differently"):
        prepare(TrainSettings(asked.faces_a, other, asked.model, preset="tiny"))


def test_a_folder_that_is_no_face_set_is_one_line(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fastswap extract"):
        prepare(TrainSettings(tmp_path / "none", settings().faces_b, tmp_path / "m", preset="tiny"))
