"""Faces: found, landmarked, aligned, masked, followed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastswap.faces.alignment import EXTENT, TEMPLATE, align, invert, landmarks_68, pixel_matrix, transform
    from fastswap.faces.cut import is_cut, thumbnail
    from fastswap.faces.expression import eye_opening, mouth_opening
    from fastswap.faces.find import FaceFinder, Faces
    from fastswap.faces.mask import mesh_mask
    from fastswap.faces.persons import Gallery, Look, descriptor, group_persons
    from fastswap.faces.pose import head_pose
    from fastswap.faces.smooth import smooth_evenly, smooth_path
    from fastswap.faces.template import mean_face
    from fastswap.faces.track import Tracker

_HOMES = {
    "EXTENT": "alignment",
    "TEMPLATE": "alignment",
    "FaceFinder": "find",
    "Faces": "find",
    "Gallery": "persons",
    "Look": "persons",
    "Tracker": "track",
    "align": "alignment",
    "descriptor": "persons",
    "eye_opening": "expression",
    "group_persons": "persons",
    "head_pose": "pose",
    "invert": "alignment",
    "is_cut": "cut",
    "landmarks_68": "alignment",
    "mean_face": "template",
    "mesh_mask": "mask",
    "mouth_opening": "expression",
    "pixel_matrix": "alignment",
    "smooth_evenly": "smooth",
    "smooth_path": "smooth",
    "thumbnail": "cut",
    "transform": "alignment",
}

__all__ = [
    "EXTENT",
    "TEMPLATE",
    "FaceFinder",
    "Faces",
    "Gallery",
    "Look",
    "Tracker",
    "align",
    "descriptor",
    "eye_opening",
    "group_persons",
    "head_pose",
    "invert",
    "is_cut",
    "landmarks_68",
    "mean_face",
    "mesh_mask",
    "mouth_opening",
    "pixel_matrix",
    "smooth_evenly",
    "smooth_path",
    "thumbnail",
    "transform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
