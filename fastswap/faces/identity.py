"""The optional extra `identity`: dlib's face embedding, a network trained to tell people apart (King 2017, weights in
the public domain), as the descriptor by which tracks are grouped into persons."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastswap.errors import MissingDependencyError
from fastswap.faces.alignment import landmarks_68
from fastswap.faces.persons import points_in_crop

SAME_PERSON = 0.47
"""The distance of two tracks' mean embeddings below which they are one person. Measured on 31 people in 57 photos and
parts of clips: the same person is at most 0.41 apart, two people at least 0.53 (the author's 0.6 joins four pairs)."""

_WEIGHTS = Path("models", "dlib_face_recognition_resnet_model_v1.dat")
_CHIP, _PADDING = 150, 0.25  # what the network was trained on: side in px, and the margin round the 68 points


class Embedding:
    """Call it as `persons.descriptor`. It runs on the CPU, about 60 ms a face on one core."""

    def __init__(self, dlib: Any, weights: Path) -> None:
        self._dlib = dlib
        self._network = dlib.face_recognition_model_v1(str(weights))

    def __call__(
        self,
        crop: Tensor,  # [N, 3, s, s], RGB 0..1: the whole aligned face, coverage 1; s of 256 or more
        landmarks: Tensor,  # [N, 478, 3], frame px and depth
        aspect: float = 1.0,
    ) -> Tensor:
        """float32 [N, 128], on the crop's device. Raises ValueError for shapes that do not fit."""
        shapes = landmarks_68(points_in_crop(crop, landmarks, aspect))
        pictures = (crop.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        chips = [
            self._dlib.get_face_chip(np.ascontiguousarray(picture), self._detection(shape), _CHIP, _PADDING)
            for picture, shape in zip(pictures, shapes.cpu().tolist(), strict=True)
        ]
        if not chips:
            return crop.new_zeros((0, 128), dtype=torch.float32)
        numbers = np.array(self._network.compute_face_descriptor(chips), np.float32)
        return torch.from_numpy(numbers).to(crop.device)

    def _detection(self, shape: list[list[float]]) -> Any:
        """The 68 points as dlib holds them: whole pixels."""
        points = [self._dlib.point(round(x), round(y)) for x, y in shape]
        return self._dlib.full_object_detection(self._dlib.rectangle(), points)


def load() -> Embedding:
    """The embedding, its weights read. Raises MissingDependencyError where dlib or its weights are not installed."""
    # The weights' package imports pkg_resources, which new setuptools lack: its folder is found, it is not imported.
    spec = find_spec("face_recognition_models")
    folders = spec.submodule_search_locations if spec else None
    weights = Path(folders[0]) / _WEIGHTS if folders else None
    if find_spec("dlib") is None or weights is None or not weights.is_file():
        raise MissingDependencyError(
            "telling persons apart by identity needs dlib and its face model, which are not installed: "
            'pip install "fastswap[identity]"'
        )
    import dlib

    return Embedding(dlib, weights)
