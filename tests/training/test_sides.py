"""Whose faces are trained on, and which of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_faces

from fastswap.errors import InputError
from fastswap.faceset import FaceSet
from fastswap.training import TrainSettings
from fastswap.training.prepare import prepare
from fastswap.training.sides import choose_side, shard, stored_size

Settings = Callable[..., TrainSettings]


def test_faces_are_kept_no_larger_than_any_set_has_them(pair: tuple[Path, Path]) -> None:
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


def test_shards_hold_each_face_once_and_enough_of_them(tmp_path: Path) -> None:
    side = choose_side("A", FaceSet.open(make_faces(tmp_path / "a", (200, 150, 120), count=17)), None)
    shards = [shard(side, rank, 2) for rank in range(2)]
    assert sorted(np.concatenate([part.rows for part in shards])) == list(side.rows)
    assert [len(part.rows) for part in shards] == [9, 8]
    with pytest.raises(InputError, match="leave out --shard"):
        shard(side, 0, 3)


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
