"""An extraction under way: what was found so far, in parts that are each whole on disk, and how they become one table.

A part covers a run of frames. Its pictures are written before it is, so what a part names exists; after a kill, work
goes on behind the parts that are there. What a part holds follows from its frames alone, so several processes may each
write some. Tracks and persons need the frames in order and all of them, so they are made at the end, reading one part
at a time: memory does not grow with the length of the video. Then, too, the frames on both sides of a border between
parts are compared, for a cut.
"""

from __future__ import annotations

import base64
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
from torch import Tensor

from fastswap.errors import DamagedFileError
from fastswap.faces import Tracker, is_cut
from fastswap.faces.cut import THUMBNAIL
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


@dataclass(frozen=True)
class Part:
    """A run of frames and what was found in it. rows: in pieces, column -> [n] or [n, width]; cuts: the frames that
    start a new shot; first: its first frame, next: the first frame to look at behind it; ends: thumbnails of its first
    and last frame."""

    rows: list[dict[str, NDArray[Any]]]
    cuts: list[int]
    first: int
    next: int
    ends: tuple[Tensor, Tensor]


@dataclass
class Parts:
    """The parts in `folder/.extract`. `state` is what the extraction was started with: another one does not go on
    here."""

    folder: Path
    state: dict[str, Any]

    @property
    def work(self) -> Path:
        return self.folder / WORK_NAME

    def begin(self) -> None:
        """Starts, or keeps what an interrupted extraction with the same state left."""
        state_path = self.work / _STATE_NAME
        if state_path.exists() and json.loads(state_path.read_text(encoding="utf-8")) == self.state:
            return
        if self.work.exists():
            shutil.rmtree(self.work)
        write_json(state_path, self.state)

    def reach(self, first: int = 0, end: int | None = None) -> int:
        """The first frame from `first` on that no part covers, if the parts follow each other without a gap; stops at
        `end`."""
        behind = {begin: after for begin, after, _ in self._spans()}
        while first in behind and (end is None or first < end):
            first = behind[first]
        return first

    def clear(self, first: int, end: int | None = None) -> None:
        """Removes the parts that cover frames of [first, end), to look at those anew."""
        for begin, after, path in self._spans():
            if after > first and (end is None or begin < end):
                path.unlink()

    def write(self, part: Part) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        ends = [base64.b64encode(small.numpy().tobytes()).decode() for small in part.ends]
        about = {"cuts": json.dumps(part.cuts), "ends": json.dumps(ends)}
        schema = _part_schema().with_metadata(about)
        columns = [_column(field, [piece[field.name] for piece in part.rows]) for field in schema]
        table = pa.Table.from_arrays(columns, schema=schema)
        with atomic(self.work / f"part-{part.first:08d}-{part.next:08d}.parquet") as path:
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

    def _spans(self) -> list[tuple[int, int, Path]]:
        """(first frame, next frame, file) of every part, in order."""
        spans = []
        for path in self.work.glob("part-*-*.parquet"):
            _, first, after = path.stem.split("-")
            spans.append((int(first), int(after), path))
        return sorted(spans)

    def _read(self) -> Iterator[tuple[pa.Table, list[int]]]:
        """Each part with its cuts, in order."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        last: Tensor | None = None
        for first, _, path in self._spans():
            try:
                part = pq.read_table(path)
            except (OSError, pa.ArrowInvalid) as error:
                raise DamagedFileError(f"{path} cannot be read: delete {self.work} and extract again") from error
            cuts = json.loads(part.schema.metadata[b"cuts"])
            begins, ends = (_thumbnail(text) for text in json.loads(part.schema.metadata[b"ends"]))
            yield part, [first, *cuts] if last is not None and is_cut(last, begins) else cuts
            last = ends


def _thumbnail(text: str) -> Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.float32).view(THUMBNAIL)


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
