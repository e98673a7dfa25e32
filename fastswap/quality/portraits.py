"""The two public-domain portraits the puppets are made of, and the place both take in a frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.errors import InputError, MissingDependencyError
from fastswap.faces import FaceFinder, align, mesh_mask
from fastswap.faces.template import OVAL_HEIGHT
from fastswap.ops.planes import Planes
from fastswap.quality.puppet import Picture, Puppet

SIZE = 480  # px, a frame's side
FACE_HEIGHT = 0.45  # of the frame's, the face oval's: room above for hair and below for the neck


def astronaut() -> Picture:
    """Eileen Collins (NASA, public domain), an open smile: RGB [512, 512, 3]. Raises MissingDependencyError without
    scikit-image."""
    try:
        from skimage import data
    except ImportError:
        raise MissingDependencyError(
            'the demo\'s portrait comes with scikit-image, which is not installed: pip install "fastswap[demo]"'
        ) from None
    photo: Picture = np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    return photo


def admiral() -> Picture:
    """Grace Hopper (US Navy, public domain), lips closed: RGB [606, 512, 3], from matplotlib's sample data."""
    from matplotlib import get_data_path
    from PIL import Image

    with Image.open(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg") as image:
        return np.asarray(image.convert("RGB"))


def graded(photo: Picture, like: Picture, finder: FaceFinder) -> Picture:
    """The photo with the colours of another: mean and deviation of its face in CIELAB (Reinhard et al. 2001) become
    those of the other's face, and the rest of the photo goes along. Two portraits on other film under other lamps
    differ in that more than their faces do; a trial asks for the face."""
    faces = [_face_lab(picture, finder) for picture in (photo, like)]
    mean, other_mean = (face.mean(axis=0) for face in faces)
    gain = faces[1].std(axis=0) / np.maximum(faces[0].std(axis=0), 1e-3)
    lab = cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    rgb = cv2.cvtColor(((lab - mean) * gain + other_mean).astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.asarray(np.rint(rgb.clip(0, 1) * 255), np.uint8)


def _face_lab(photo: Picture, finder: FaceFinder) -> NDArray[np.float32]:
    """The colours of the largest face: CIELAB [n, 3]."""
    landmarks = _largest(photo, finder)
    side = max(photo.shape[:2])
    mask = mesh_mask(landmarks, torch.eye(2, 3)[None], side)[0, 0, : photo.shape[0], : photo.shape[1]].numpy() > 0.5
    return np.asarray(cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[mask])


def puppet(photo: Picture, finder: FaceFinder, size: int = SIZE) -> Puppet:
    """A puppet of the largest face of a photo (RGB [h, w, 3]), placed so that its neutral alignment is `neutral(size)`:
    puppets of two people stand in exactly the same place. Raises InputError for a photo without a face."""
    landmarks = _largest(photo, finder)
    return Puppet(photo, landmarks[0].numpy(), placement(align(landmarks)[0].double().numpy(), size), size)


def _largest(photo: Picture, finder: FaceFinder) -> Tensor:
    """The landmarks [1, 478, 3] of the largest face."""
    found = finder.find(Planes("rgb", (torch.from_numpy(np.array(photo))[None],)))
    if not len(found.frame):
        raise InputError(f"no face was found in the photo of {photo.shape[1]}x{photo.shape[0]} px: take another one")
    return found.landmarks[:1].cpu()


def neutral(size: int) -> NDArray[np.float64]:
    """The alignment [2, 3], unit square -> frame px, of every puppet at rest: upright, in the middle of the frame."""
    side = FACE_HEIGHT / OVAL_HEIGHT * size
    corner = (size - 1 - side) / 2
    return np.asarray([[side, 0, corner], [0, side, corner]])


def placement(alignment: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """From frame px to the px of a photo whose face has this alignment: [2, 3]."""
    square = np.asarray([[0.0, 0.0, 1.0]])
    return np.asarray(alignment @ np.linalg.inv(np.concatenate([neutral(size), square])))
