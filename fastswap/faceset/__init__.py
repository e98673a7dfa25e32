"""The face set: the folder that `extract` writes and `train` and `convert` read (docs/design.md, "Face set")."""

from fastswap.faceset.folder import FaceSet
from fastswap.faceset.format import DROPPED, SCHEMA, FaceSetMeta, Source

__all__ = ["DROPPED", "SCHEMA", "FaceSet", "FaceSetMeta", "Source"]
