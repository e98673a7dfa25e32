"""A person's hand in a face set: see who is in it, keep, drop and merge persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastswap.errors import UsageError
from fastswap.faceset.folder import FaceSet
from fastswap.faceset.format import DROPPED, TABLE_NAME, table_schema
from fastswap.storage import atomic

CONTACT_SHEET = "persons.jpg"
DROPPED_FOLDER = "dropped"
_COLUMNS = 10
_TILE = 96
_LABEL = 20


@dataclass(frozen=True)
class Persons:
    """Who is in a face set: faces a person, and the picture that shows them."""

    folder: str
    persons: dict[int, int]
    contact_sheet: str


def list_persons(path: Path) -> Persons:
    """Counts the faces of each person and draws the contact sheet. Raises what `FaceSet.open` raises."""
    faces = FaceSet.open(path)
    return Persons(str(path), faces.persons(), str(contact_sheet(faces)))


def keep(faces: FaceSet, persons: Sequence[int]) -> FaceSet:
    """Drops everybody but `persons`."""
    _known(faces, persons)
    return drop(faces, [person for person in faces.persons() if person not in persons])


def drop(faces: FaceSet, persons: Sequence[int]) -> FaceSet:
    """Takes `persons` out of the set: they are neither trained on nor replaced. Their pictures move to `dropped/`.
    Raises InputError for an unknown person, UsageError where nobody would be left."""
    _known(faces, persons)
    if set(faces.persons()) <= set(persons):
        raise UsageError(f"that would leave nobody in {faces.path}: keep at least one person")
    number = _numbers(faces)
    gone = np.isin(number, list(persons))
    _move_pictures(faces, gone)
    return _store(faces, np.where(gone, DROPPED, number).astype(np.int32))


def merge(faces: FaceSet, persons: Sequence[int]) -> FaceSet:
    """Makes `persons` one: all take the number of the first. Raises UsageError for fewer than two."""
    if len(set(persons)) < 2:
        raise UsageError("merge needs two or more persons: `fastswap faces merge FACES 0 3`")
    _known(faces, persons)
    number = _numbers(faces)
    return _store(faces, np.where(np.isin(number, list(persons)), persons[0], number).astype(np.int32))


def contact_sheet(faces: FaceSet) -> Path:
    """Writes `persons.jpg` into the face set: a row a person, faces spread evenly over its time, its number and count
    at the left. Returns its path."""
    import cv2

    rows = [(person, faces.rows(person)) for person in faces.persons()]
    sheet = np.full((max(1, len(rows)) * (_TILE + _LABEL), _COLUMNS * _TILE, 3), 24, dtype=np.uint8)
    for line, (person, numbers) in enumerate(rows):
        top = line * (_TILE + _LABEL)
        label = f"person {person}: {len(numbers)} faces"
        cv2.putText(sheet, label, (4, top + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        if len(numbers):
            spread = numbers[np.linspace(0, len(numbers) - 1, min(_COLUMNS, len(numbers))).astype(int)]
            row = np.concatenate(list(faces.images(spread, _TILE)), axis=1)
            sheet[top + _LABEL : top + _LABEL + _TILE, : row.shape[1]] = row
    path = faces.path / CONTACT_SHEET
    with atomic(path) as temporary:
        cv2.imwrite(str(temporary), sheet[..., ::-1])
    return path


def _known(faces: FaceSet, persons: Sequence[int]) -> None:
    for person in persons:
        faces.choose(person)


def _numbers(faces: FaceSet) -> NDArray[np.int32]:
    return np.asarray(faces.table["person"].to_numpy(), dtype=np.int32)


def _move_pictures(faces: FaceSet, gone: NDArray[np.bool_]) -> None:
    folder = faces.path / DROPPED_FOLDER
    folder.mkdir(exist_ok=True)
    for name in faces.table["file"].filter(gone).to_pylist():
        for picture in (faces.path / name, faces.path / f"{Path(name).stem}.mask.png"):
            if picture.exists():
                picture.rename(folder / picture.name)


def _store(faces: FaceSet, person: NDArray[np.int32]) -> FaceSet:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = table_schema()
    table = faces.table.set_column(schema.get_field_index("person"), "person", pa.array(person, pa.int32()))
    with atomic(faces.path / TABLE_NAME) as path:
        pq.write_table(table, path)
    return replace(faces, table=table)
