"""Reading a face set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.errors import DamagedFileError, InputError
from fastswap.faces import mesh_mask, pixel_matrix
from fastswap.faceset.format import (
    DROPPED,
    LANDMARKS,
    META_NAME,
    TABLE_NAME,
    WORK_NAME,
    FaceSetMeta,
    is_plain_name,
    table_schema,
)

if TYPE_CHECKING:
    import pyarrow as pa

_READERS = 4
"""Threads that read pictures: PNG decoding releases the interpreter lock."""


@dataclass(frozen=True)
class FaceSet:
    """A face set on disk. `table` has the columns of `format.table_schema`, sorted by frame; a row is named by its
    number in it. A row whose picture was deleted is not trained on (see `rows`)."""

    path: Path
    meta: FaceSetMeta
    table: pa.Table

    @staticmethod
    def open(path: Path | str) -> FaceSet:
        """Opens the face set in the folder `path`. Raises InputError where there is none or it is unfinished,
        DamagedFileError where its files cannot be read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        if not path.is_dir():
            raise InputError(f"no face set at {path}: make one with `fastswap extract -i VIDEO -o {path}`")
        if not (path / META_NAME).exists():
            if (path / WORK_NAME).exists():
                raise InputError(f"the extraction to {path} is not finished: run the same `fastswap extract` again")
            raise InputError(f"{path} is not a face set (it has no {META_NAME}): make one with `fastswap extract`")
        meta = FaceSetMeta.read(path / META_NAME)
        try:
            table = pq.read_table(path / TABLE_NAME)
        except (OSError, pa.ArrowInvalid) as error:
            raise DamagedFileError(f"{path / TABLE_NAME} cannot be read: extract again") from error
        if not table.schema.equals(table_schema()):
            raise DamagedFileError(f"{path / TABLE_NAME} does not have the columns of a face set: extract again")
        if not all(is_plain_name(name) for name in table["file"].to_pylist()):
            raise DamagedFileError(f"{path / TABLE_NAME} names files outside of its folder: do not use this face set")
        return FaceSet(path, meta, table)

    @cached_property
    def _person(self) -> NDArray[np.int32]:
        return np.asarray(self.table["person"].to_numpy(), dtype=np.int32)

    def persons(self) -> dict[int, int]:
        """How many faces each person has, the most frequent first. Dropped faces are not counted."""
        counts = Counter(int(p) for p in self._person if p != DROPPED)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def choose(self, person: int | None) -> int:
        """The person to work on: the one named, or the most frequent. Raises InputError for an unknown number."""
        persons = self.persons()
        if not persons:
            raise InputError(f"{self.path} holds no faces: extract again or restore some")
        if person is None:
            return next(iter(persons))
        if person not in persons:
            known = ", ".join(map(str, persons))
            raise InputError(
                f"no person {person} in {self.path}: it has {known} (see `fastswap faces list {self.path}`)"
            )
        return person

    def rows(self, person: int | None = None) -> NDArray[np.int64]:
        """The rows whose picture is still there, of one person or of all that were not dropped."""
        names = self.table["file"].to_pylist()
        present = {entry.name for entry in self.path.iterdir()}
        wanted = self._person != DROPPED if person is None else self._person == person
        return np.array([row for row, name in enumerate(names) if wanted[row] and name in present], dtype=np.int64)

    def images(self, rows: Sequence[int] | NDArray[np.int64], size: int | None = None) -> NDArray[np.uint8]:
        """The aligned faces of `rows`: uint8 [n, size, size, 3], RGB; size None: as stored. Shrinks by area.
        Raises DamagedFileError naming the picture that cannot be read."""
        names = self.table["file"].take(np.asarray(rows, dtype=np.int64)).to_pylist()
        size = size or self.meta.size
        out = np.empty((len(names), size, size, 3), dtype=np.uint8)

        def load(slot: int) -> None:
            out[slot] = _read_picture(self.path / names[slot], self.meta.size, size)

        with ThreadPoolExecutor(_READERS) as pool:
            list(pool.map(load, range(len(names))))
        return out

    def masks(self, rows: Sequence[int] | NDArray[np.int64], size: int) -> NDArray[np.uint8]:
        """What belongs to the face: uint8 [n, size, size], from `NNNNNN_K.mask.png` where the user gave one, else
        the mesh's oval."""
        import cv2

        rows = np.asarray(rows, dtype=np.int64)
        matrix = pixel_matrix(self.alignments(rows), size)
        oval = mesh_mask(self.landmarks(rows), matrix, size)
        out = (oval[:, 0] * 255).round().to(torch.uint8).numpy()
        names = self.table["file"].take(rows).to_pylist()
        for slot, name in enumerate(names):
            own = self.path / f"{Path(name).stem}.mask.png"
            if own.exists():
                picture = cv2.imread(str(own), cv2.IMREAD_GRAYSCALE)
                if picture is None:
                    raise DamagedFileError(f"{own} cannot be read: delete it or put a grey PNG there")
                out[slot] = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(out)

    def landmarks(self, rows: NDArray[np.int64]) -> Tensor:
        """float32 [n, 478, 3], frame pixels."""
        return self._numbers("landmarks", rows).reshape(-1, LANDMARKS, 3)

    def alignments(self, rows: NDArray[np.int64]) -> Tensor:
        """float32 [n, 2, 3], unit square to frame pixels."""
        return self._numbers("alignment", rows).reshape(-1, 2, 3)

    def with_columns(self, **values: NDArray[Any]) -> FaceSet:
        """The same face set with other values in some columns, [rows] or [rows, width]. On disk nothing changes."""
        import pyarrow as pa

        table, schema = self.table, table_schema()
        for name, content in values.items():
            place = schema.get_field_index(name)
            field = schema.field(place)
            column = pa.array(content.reshape(-1))
            if content.ndim > 1:
                column = pa.FixedSizeListArray.from_arrays(column, content.shape[1])
            table = table.set_column(place, field, column.cast(field.type))
        return replace(self, table=table)

    def _numbers(self, column: str, rows: NDArray[np.int64]) -> Tensor:
        values = self.table[column].take(rows).combine_chunks()
        return torch.from_numpy(np.array(values.flatten().to_numpy(zero_copy_only=False), dtype=np.float32))

    def by_frame(self, person: int | None) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Frame by frame, in order: the frame's number and its rows of that person (None: of all not dropped).
        Rows count whether or not their picture was deleted: that only takes a face from training."""
        wanted = self._person != DROPPED if person is None else self._person == person
        frames = np.asarray(self.table["frame"].to_numpy())
        chosen = np.flatnonzero(wanted)
        cuts = np.flatnonzero(np.diff(frames[chosen])) + 1
        for group in np.split(chosen, cuts):
            if len(group):
                yield int(frames[group[0]]), group


def _read_picture(path: Path, stored: int, size: int) -> NDArray[np.uint8]:
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None or picture.shape[:2] != (stored, stored):
        raise DamagedFileError(f"{path} is not a {stored} x {stored} picture: delete it or extract again")
    if size != stored:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if size < stored else cv2.INTER_LINEAR)
    return np.asarray(picture[..., ::-1])
