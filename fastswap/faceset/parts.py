"""An extraction under way: what was found so far, in parts that are each whole on disk, and how they become one table.

A part covers a run of frames. Its pictures are written before it is, so what a part names exists; after a kill, work
goes on behind the last part. Tracks and persons need the frames in order and all of them, so they are made at the end,
reading one part at a time: memory does not grow with the length of the video.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastswap.errors import DamagedFileError
from fastswap.faces import Tracker
from fastswap.faces.persons import Gallery, group_persons
from fastswap.faceset.format import LANDMARKS, META_NAME, TABLE_NAME, WORK_NAME, FaceSetMeta, table_schema
from fastswap.storage import atomic, write_json

if TYPE_CHECKING:
    import pyarrow as pa

_STATE_NAME = "state.json"
_MADE_AT_THE_END = ("track", "person")


def _part_schema() -> pa.Schema:
    import pyarrow as pa

    columns = [field for field in table_schema() if field.name not in _MADE_AT_THE_END]
    return pa.schema([*columns, pa.field("descriptor", pa.list_(pa.float32()))])


@dataclass
class Parts:
    """The parts in `folder/.extract`. `state` is what the extraction was started with: another one does not go on
    here."""

    folder: Path
    state: dict[str, Any]

    @property
    def work(self) -> Path:
        return self.folder / WORK_NAME

    def begin(self) -> int:
        """Starts, or takes up where an interrupted extraction with the same state stopped: the next frame to look
        at."""
        state_path = self.work / _STATE_NAME
        if state_path.exists() and json.loads(state_path.read_text(encoding="utf-8")) == self.state:
            return self._next_frame()
        if self.work.exists():
            shutil.rmtree(self.work)
        write_json(state_path, self.state)
        return 0

    def write(self, rows: list[dict[str, NDArray[Any]]], cuts: list[int], next_frame: int) -> None:
        """Writes one part: its rows (in pieces, column -> [n] or [n, width]), the frames that start a new shot, and the
        frame that the next part starts at."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = _part_schema().with_metadata({"cuts": json.dumps(cuts)})
        columns = [_column(field, [piece[field.name] for piece in rows]) for field in schema]
        table = pa.Table.from_arrays(columns, schema=schema)
        with atomic(self.work / f"part-{next_frame:08d}.parquet") as path:
            pq.write_table(table, path)

    def finish(self, meta: FaceSetMeta, fps: float, same_person: float) -> int:
        """Gives every face its track and person and writes `faces.parquet`, then `faceset.json`, whose presence says
        that the face set is whole. Returns the number of faces; with none, nothing is written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tracks, gallery = self._track(fps)
        if not tracks:
            return 0
        person = group_persons(gallery.looks(), same_person)
        done = 0
        with atomic(self.folder / TABLE_NAME) as path, pq.ParquetWriter(path, table_schema()) as writer:
            for part, _ in self._read():
                numbers = tracks[done : done + part.num_rows]
                done += part.num_rows
                columns = {name: part[name] for name in part.column_names}
                columns["track"] = pa.array(numbers, pa.int32())
                columns["person"] = pa.array([person[track] for track in numbers], pa.int32())
                writer.write_table(pa.table([columns[f.name] for f in table_schema()], schema=table_schema()))
        write_json(self.folder / META_NAME, meta.to_json())
        self.remove()
        return done

    def remove(self) -> None:
        """Takes the working folder away, and the face set's folder where nothing else is in it."""
        shutil.rmtree(self.work, ignore_errors=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _track(self, fps: float) -> tuple[list[int], Gallery]:
        tracker = Tracker(max_gap=max(1, round(fps)))
        numbers: list[int] = []
        gallery = Gallery()
        for part, cuts in self._read():
            for frame, rows in _frames(part):
                cut = any(c <= frame for c in cuts)
                cuts = [c for c in cuts if c > frame]
                box = _matrix(rows["box"], 4)
                landmarks = _matrix(rows["landmarks"], LANDMARKS * 3).reshape(-1, LANDMARKS, 3)
                found = tracker.update(frame, torch.from_numpy(box), torch.from_numpy(landmarks), cut)
                numbers += found
                for track, look in zip(found, rows["descriptor"].to_pylist(), strict=True):
                    gallery.add(track, frame, torch.tensor(look))
            if cuts:
                tracker.update(cuts[-1], torch.empty(0, 4), torch.empty(0, LANDMARKS, 3), cut=True)
        return numbers, gallery

    def _paths(self) -> list[Path]:
        return sorted(self.work.glob("part-*.parquet"))

    def _next_frame(self) -> int:
        paths = self._paths()
        return int(paths[-1].stem.removeprefix("part-")) if paths else 0

    def _read(self) -> Iterator[tuple[pa.Table, list[int]]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for path in self._paths():
            try:
                part = pq.read_table(path)
            except (OSError, pa.ArrowInvalid) as error:
                raise DamagedFileError(f"{path} cannot be read: delete {self.work} and extract again") from error
            yield part, json.loads(part.schema.metadata[b"cuts"])


def _frames(part: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    frames = np.asarray(part["frame"].to_numpy())
    start = 0
    for end in [*(np.flatnonzero(np.diff(frames)) + 1), len(frames)]:
        if end > start:
            yield int(frames[start]), part.slice(start, end - start)
        start = int(end)


def _matrix(column: pa.ChunkedArray, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.array(values, dtype=np.float32).reshape(-1, width)


def _column(field: pa.Field, pieces: list[NDArray[Any]]) -> pa.Array:
    import pyarrow as pa

    if not pieces:
        return pa.array([], field.type)
    values = np.concatenate(pieces)
    if values.ndim == 1:
        return pa.array(values, field.type)
    flat = pa.array(values.ravel(), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1]).cast(field.type)


def settings_of(meta: FaceSetMeta) -> dict[str, Any]:
    """What two extractions must share for one to go on where the other stopped."""
    content = dataclasses.asdict(meta)
    content["source"] = {"sha256": meta.source.sha256}
    return content
