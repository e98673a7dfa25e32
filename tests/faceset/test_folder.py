"""Reading a face set, and what a stranger's or a damaged one may do."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastswap.errors import DamagedFileError, InputError
from fastswap.faceset import FaceSet


def test_persons_come_most_frequent_first(faceset: FaceSet) -> None:
    assert faceset.persons() == {0: 3, 1: 3, 2: 1}
    assert faceset.choose(None) == 0
    assert faceset.choose(2) == 2


def test_an_unknown_person_is_named_with_the_known_ones(faceset: FaceSet) -> None:
    with pytest.raises(InputError, match=r"no person 7 .* has 0, 1, 2"):
        faceset.choose(7)


def test_a_deleted_picture_is_a_face_not_trained_on(faceset: FaceSet) -> None:
    (faceset.path / "000001_0.png").unlink()
    assert [faceset.table["frame"][int(row)].as_py() for row in faceset.rows(0)] == [0, 2]
    assert [frame for frame, _ in faceset.by_frame(0)] == [0, 1, 2], "it is still replaced"


def test_images_are_rgb_and_in_the_order_asked_for(faceset: FaceSet) -> None:
    rows = faceset.rows(1)[::-1]
    images = faceset.images(rows)
    assert images.shape == (3, 64, 64, 3)
    assert images[:, 0, 0].tolist() == [[40, 20, 200], [40, 10, 200], [40, 0, 200]]
    assert faceset.images(rows, 16).shape == (3, 16, 16, 3)


def test_the_mesh_mask_covers_the_oval(faceset: FaceSet) -> None:
    mask = faceset.masks(faceset.rows(0), 64)
    assert mask.shape == (3, 64, 64)
    assert mask[0, 32, 32] == 255
    assert mask[0, 0, 0] == 0
    rows = np.flatnonzero(mask[0].max(1) > 127)
    assert (rows[-1] - rows[0] + 1) / 64 == pytest.approx(0.6, abs=0.04), "the oval is 0.6 of the square (EXTENT)"


def test_a_users_mask_replaces_the_meshs(faceset: FaceSet) -> None:
    own = np.zeros((64, 64), np.uint8)
    own[:8] = 255
    cv2.imwrite(str(faceset.path / "000000_0.mask.png"), own)
    mask = faceset.masks(faceset.rows(0), 64)
    assert (mask[0] == own).all()
    assert mask[1, 32, 32] == 255


def test_no_folder_and_no_faceset_are_one_line(faceset: FaceSet, tmp_path: object) -> None:
    with pytest.raises(InputError, match="no face set at"):
        FaceSet.open(faceset.path / "nowhere")
    (faceset.path / "faceset.json").unlink()
    with pytest.raises(InputError, match="not a face set"):
        FaceSet.open(faceset.path)
    (faceset.path / ".extract").mkdir()
    with pytest.raises(InputError, match="not finished"):
        FaceSet.open(faceset.path)


def test_a_later_schema_asks_for_an_upgrade(faceset: FaceSet) -> None:
    path = faceset.path / "faceset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(InputError, match="schema 99"):
        FaceSet.open(faceset.path)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"schema": 1}'])
def test_a_broken_description_is_one_line(faceset: FaceSet, content: str) -> None:
    (faceset.path / "faceset.json").write_text(content)
    with pytest.raises(DamagedFileError):
        FaceSet.open(faceset.path)


def test_a_truncated_table_is_one_line(faceset: FaceSet) -> None:
    path = faceset.path / "faces.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DamagedFileError):
        FaceSet.open(faceset.path)


def test_a_table_that_points_outside_is_refused(faceset: FaceSet) -> None:
    names = ["../../etc/passwd", *faceset.table["file"].to_pylist()[1:]]
    table = faceset.table.set_column(0, "file", pa.array(names))
    pq.write_table(table, faceset.path / "faces.parquet")
    with pytest.raises(DamagedFileError, match="outside"):
        FaceSet.open(faceset.path)


def test_a_broken_picture_is_named(faceset: FaceSet) -> None:
    (faceset.path / "000002_1.png").write_bytes(b"not a picture")
    with pytest.raises(DamagedFileError, match=r"000002_1\.png"):
        faceset.images(faceset.rows(1))
