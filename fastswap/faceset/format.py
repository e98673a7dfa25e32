"""What stands in a face set: `faceset.json` as a dataclass, `faces.parquet` as a schema. No pickle, in or out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastswap.errors import DamagedFileError, InputError
from fastswap.storage import sha256

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1
META_NAME = "faceset.json"
TABLE_NAME = "faces.parquet"
WORK_NAME = ".extract"
"""The folder of an extraction that is under way: its parts, its settings. Gone when the face set is whole."""
DROPPED = -1
"""The person number of faces that the user dropped: neither trained on nor replaced."""
LANDMARKS = 478


@dataclass(frozen=True)
class Source:
    """Where the faces came from. fps as "30000/1001"; aspect is pixel width over height."""

    name: str
    path: str
    sha256: str
    width: int
    height: int
    frames: int
    fps: str
    aspect: float


@dataclass(frozen=True)
class FaceSetMeta:
    """`faceset.json`. size: of the pictures, in pixels; every: each how manieth frame was looked at; format: "png" or
    "jpg"; the rest as in `ScanSettings`."""

    source: Source
    size: int
    every: int
    template: str
    extent: str
    pictures: bool = True
    persons: str = "appearance"
    small: bool = False
    min_size: int = 0
    format: str = "png"
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def read(path: Path) -> FaceSetMeta:
        """Reads `faceset.json`. Raises DamagedFileError where it is not one, InputError where it is a later one."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            schema = content["schema"]
            if schema == SCHEMA:
                return FaceSetMeta(**{**content, "source": Source(**content["source"])})
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFileError(f"{path} is not the description of a face set ({error}): extract again") from error
        raise InputError(f"{path} has schema {schema}, this fastswap reads {SCHEMA}: upgrade fastswap or extract again")


def hash_source(path: Path) -> str:
    """The SHA-256 that a source is known by: a file's own, or for a folder the sum over its files' names and sums."""
    if path.is_file():
        return sha256(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file()):
        digest.update(f"{file.name}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def table_schema() -> pa.Schema:
    """One row a face. Boxes, landmarks and alignments are in frame pixels, angles in degrees; `flag` is the mesh's own
    probability that this is a face; `sharpness` the variance of the Laplacian of the aligned face's luma."""
    import pyarrow as pa

    real = pa.float32()
    return pa.schema(
        [
            ("file", pa.string()),
            ("frame", pa.int64()),
            ("pts", pa.int64()),
            ("track", pa.int32()),
            ("person", pa.int32()),
            ("box", pa.list_(real, 4)),
            ("score", real),
            ("flag", real),
            ("landmarks", pa.list_(real, LANDMARKS * 3)),
            ("alignment", pa.list_(real, 6)),
            ("yaw", real),
            ("pitch", real),
            ("roll", real),
            ("sharpness", real),
        ]
    )


def is_plain_name(name: str) -> bool:
    """True for a file name without a folder: a face set from a stranger must not point outside of itself."""
    return bool(name) and Path(name).name == name and name not in (".", "..")
