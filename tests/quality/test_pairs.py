"""The pairs of people, and the puppets made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastswap.errors import InputError, UsageError
from fastswap.quality import clips, pairs
from fastswap.quality.motion import Motion
from fastswap.quality.pairs import FIRST, PAIRS, find_pair

SIZE = 240


def test_no_two_pairs_share_a_person() -> None:
    people = [name for pair in PAIRS.values() for name in (pair.a, pair.b)]
    assert len(people) == len(set(people)) == 2 * len(PAIRS) >= 6
    assert all(pair.credits() for pair in PAIRS.values())


def test_an_unknown_pair_is_refused_with_the_names_there_are() -> None:
    assert find_pair(FIRST.name) is FIRST
    with pytest.raises(UsageError, match=f"no pair is called 'twins': choose one of {FIRST.name}, "):
        find_pair("twins")


@pytest.mark.parametrize("folder", [None, "elsewhere"])
def test_without_the_test_data_one_line_names_the_variable(
    folder: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(pairs.DATA, raising=False)
    if folder:
        monkeypatch.setenv(pairs.DATA, str(tmp_path / folder))
    with pytest.raises(InputError, match=rf"photos/london_092.jpg of the test data is needed: set {pairs.DATA}"):
        clips.make_clips(tmp_path, pair=PAIRS["beard-fringe"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in PAIRS if name != FIRST.name])
def test_both_of_a_pair_stand_alike_and_are_not_alike(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pairs.DATA, str(data))
    a, b = clips.puppets(SIZE, PAIRS[name])
    assert max(a.mouth, b.mouth) < 0.03, "closed lips: an open mouth stretches its teeth"
    rest = Motion.neutral()
    places = [puppet.landmarks(rest, 0)[[33, 263, 152], :2] for puppet in (a, b)]  # eye corners, chin
    assert np.abs(places[0] - places[1]).max() < 0.06 * SIZE
    difference = a.render(rest, 0).astype(float) - b.render(rest, 0)
    assert np.abs(difference[SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4]).mean() > 10


def test_a_wide_mouth_on_a_turned_head_is_dark_to_its_corner(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pairs.DATA, str(data))
    puppet, _ = clips.puppets(SIZE, PAIRS["lean-round"])
    motion = Motion.neutral(1)
    motion.yaw[0], motion.mouth[0], motion.smile[0] = 19, 0.13, 0.7
    corner = puppet.landmarks(motion, 0)[[13, 14, 78, 308], :2]
    low, high = np.floor(corner.min(axis=0)).astype(int), np.ceil(corner.max(axis=0)).astype(int)
    mouth = puppet.render(motion, 0)[low[1] : high[1], low[0] : high[0]]
    assert mouth.max() < 225, "the white wall behind the head"
