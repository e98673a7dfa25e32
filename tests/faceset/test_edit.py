"""keep, drop, merge, and the contact sheet."""

from __future__ import annotations

import cv2
import pytest

from fastswap.errors import InputError, UsageError
from fastswap.faceset import FaceSet
from fastswap.faceset.edit import drop, keep, list_persons, merge


def test_drop_takes_a_person_out_and_keeps_the_pictures(faceset: FaceSet) -> None:
    drop(faceset, [1])
    again = FaceSet.open(faceset.path)
    assert again.persons() == {0: 3, 2: 1}
    assert len(again.rows()) == 4
    assert sorted(p.name for p in (faceset.path / "dropped").iterdir()) == [
        "000000_1.png",
        "000001_1.png",
        "000002_1.png",
    ]
    assert list(again.by_frame(1)) == []


def test_keep_drops_everybody_else(faceset: FaceSet) -> None:
    assert keep(faceset, [2]).persons() == {2: 1}


def test_merge_makes_one_person(faceset: FaceSet) -> None:
    merge(faceset, [2, 0])
    again = FaceSet.open(faceset.path)
    assert again.persons() == {2: 4, 1: 3}
    assert len(again.rows(2)) == 4


def test_what_makes_no_sense_is_refused_and_changes_nothing(faceset: FaceSet) -> None:
    with pytest.raises(UsageError):
        merge(faceset, [1, 1])
    with pytest.raises(UsageError):
        drop(faceset, [0, 1, 2])
    with pytest.raises(InputError):
        keep(faceset, [5])
    assert FaceSet.open(faceset.path).persons() == faceset.persons()


def test_the_contact_sheet_has_a_row_a_person(faceset: FaceSet) -> None:
    listed = list_persons(faceset.path)
    sheet = cv2.imread(listed.contact_sheet)
    assert listed.persons == {0: 3, 1: 3, 2: 1}
    assert sheet is not None
    assert sheet.shape == (3 * 116, 960, 3)
    blue, _, red = sheet[20 + 116 + 48, 48]
    assert abs(int(red) - 40) < 8
    assert abs(int(blue) - 200) < 8
