"""Which tracks are one human being: what a face looks like as numbers, and tracks grouped by them.

The descriptor needs no weights. It holds the brightness of the skin at the points of the mesh (the mesh has taken out
expression and pose) without smooth lighting, and where the points lie once the head is turned to the front. Distances
are Euclidean. Colours of skin, lips, brows and hair were tried and told nobody else apart. `identity` has a descriptor
from a trained network, where its package is installed, and is far better.

Measured on 31 people, in pairs of 28 parts of clips and 31 photos, at SAME_PERSON: of one person's parts of clips 1 of
27 pairs is told apart (a head upright and the same rolled by 45 degrees) and none of 351 pairs of two people is joined;
with a photo in the pair (other cameras, lenses, light) 19 of 32 are told apart, none by a smile, and 5 of 1301 joined.
`identity` makes no error on the first 57 of these 59. Weights and thresholds, of both, were chosen on these very pairs:
expect more errors elsewhere. That the rolled head is the upright one's was judged by eye.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fastswap.device import send
from fastswap.faces import mesh
from fastswap.faces.alignment import RIGID, align, check_landmarks, invert, pixel_matrix, transform
from fastswap.faces.pose import head_rotation
from fastswap.faces.template import mean_face

SAME_PERSON = 0.62
"""The distance of two tracks' mean descriptors below which they are one person."""

_TEXTURE_SIZE = 64  # px of the whole aligned face: coarse enough for a face of 40 px and for landmarks a pixel off
_DARK = 0.05  # added before the logarithm: noise in black is not contrast
_SHAPE_WEIGHT = 4.0  # of positions in units of the rigid points' spread, beside texture of length one
_LOWER_FACE, _LOWER_WEIGHT = 0.56, 0.4  # below the nose on the mean face, smiles and speech move the points: weigh less
_POINTS = tuple(point for point in range(0, mesh.SURFACE_POINTS, 2) if point not in mesh.INNER_LIPS)


def descriptor(
    crop: Tensor,  # [N, 3, s, s], RGB 0..1: the whole aligned face, coverage 1
    landmarks: Tensor,  # [N, 478, 3], frame px and depth; on the CPU a GPU is not waited for
    aspect: float = 1.0,
) -> Tensor:
    """float32 [N, D] on the crop's device, to be averaged over a track and compared by Euclidean distance with
    SAME_PERSON. Raises ValueError for shapes that do not fit."""
    points = points_in_crop(crop, landmarks, aspect)[:, _POINTS]
    texture = _texture(crop, send(points, crop.device))
    return torch.cat([texture, send(_shape(landmarks, aspect), crop.device)], 1)


def points_in_crop(crop: Tensor, landmarks: Tensor, aspect: float) -> Tensor:
    """The landmarks in pixels of their aligned crops: [N, 478, 2]. Raises ValueError for shapes that do not fit."""
    check_landmarks(landmarks)
    if crop.ndim != 4 or crop.shape[:2] != (len(landmarks), 3) or crop.shape[2] != crop.shape[3]:
        raise ValueError(f"crop must be [{len(landmarks)}, 3, s, s], got {list(crop.shape)}")
    return transform(invert(pixel_matrix(align(landmarks, aspect), crop.shape[-1])), landmarks.float())


def _texture(crop: Tensor, points: Tensor) -> Tensor:
    """Log brightness at the points [N, K, 2] without what varies smoothly over the head, of length one: [N, K]."""
    small = functional.interpolate(crop.float(), size=(_TEXTURE_SIZE, _TEXTURE_SIZE), mode="area")
    grid = (points[:, None] + 0.5) / crop.shape[-1] * 2 - 1
    colour = functional.grid_sample(small, grid, align_corners=False, padding_mode="border")[:, :, 0]
    light = (colour + _DARK).log().mean(1)
    smooth = _smooth_light(light.device)
    texture: Tensor = functional.normalize(light - (light @ smooth) @ smooth.T, dim=1)
    return texture


@cache
def _smooth_light(device: torch.device) -> Tensor:
    """An orthonormal basis [K, 8] of second-order functions on the mean face: as light on a matt head varies
    (Basri and Jacobs 2003)."""
    x, y, z = (mean_face()[list(_POINTS)] - mean_face()[list(_POINTS)].mean(0)).double().unbind(1)
    functions = torch.stack([torch.ones_like(x), x, y, z, x * x, y * y, x * y, y * z], 1)
    basis: Tensor = torch.linalg.qr(functions)[0].float().to(device)
    return basis


def _shape(landmarks: Tensor, aspect: float) -> Tensor:
    """Where the points lie on the head turned to the front, over the spread of its rigid points, weighted: [N, 2 K]."""
    faces = landmarks.double() * landmarks.new_tensor([aspect, 1.0, 1.0], dtype=torch.float64)
    rigid = faces[:, RIGID]
    centre = rigid.mean(1, keepdim=True)
    spread = (rigid - centre).square().sum((1, 2), keepdim=True).sqrt()
    front = (faces[:, _POINTS] - centre) @ head_rotation(landmarks, aspect) / spread
    lower = mean_face()[list(_POINTS), 1:2].to(front) > _LOWER_FACE
    return (front[..., :2] * _SHAPE_WEIGHT * torch.where(lower, _LOWER_WEIGHT, 1.0)).flatten(1).float()


@dataclass(frozen=True, slots=True)
class Look:
    """What one track is compared by."""

    track: int
    first: int  # frame
    last: int  # frame
    faces: int
    descriptor: NDArray[np.float32]  # [D], the mean of its faces'


class Gallery:
    """Collects the looks of tracks face by face; holds one descriptor a track."""

    def __init__(self) -> None:
        self._looks: dict[int, Look] = {}

    def add(self, track: int, frame: int, descriptor: Tensor) -> None:
        """One face: its track, frame and descriptor [D]. Frames of a track rise from call to call."""
        numbers = descriptor.detach().cpu().numpy().astype(np.float32)
        old = self._looks.get(track)
        if old is None:
            self._looks[track] = Look(track, frame, frame, 1, numbers)
        else:
            mean = old.descriptor + (numbers - old.descriptor) / np.float32(old.faces + 1)
            self._looks[track] = Look(track, old.first, frame, old.faces + 1, mean)

    def looks(self) -> list[Look]:
        return list(self._looks.values())


def group_persons(looks: Sequence[Look], same_person: float = SAME_PERSON) -> dict[int, int]:
    """Track -> person; person 0 has the most faces (of equals the one seen first), and so on.

    Agglomerative, by the mean distance between two groups' tracks (Sokal and Michener 1958), until no two groups are
    nearer than `same_person`. Tracks that share a frame are two people, always.
    """
    groups = [[index] for index in range(len(looks))]
    distance = _distances(looks)
    while len(groups) > 1:
        one, other = sorted(divmod(int(distance.argmin()), len(groups)))
        if not distance[one, other] < same_person:
            break
        weight = np.array([len(groups[one]), len(groups[other])], np.float32)
        distance[one] = distance[:, one] = weight @ distance[[one, other]] / weight.sum()
        distance[one, one] = np.inf
        distance = np.delete(np.delete(distance, other, 0), other, 1)
        groups[one] += groups.pop(other)
    groups.sort(key=lambda group: (-sum(looks[i].faces for i in group), min(looks[i].first for i in group)))
    return {looks[index].track: person for person, group in enumerate(groups) for index in group}


def _distances(looks: Sequence[Look]) -> NDArray[np.float32]:
    """[T, T]: infinite on the diagonal and between tracks that share a frame; infinity stays when groups are joined."""
    if not looks:
        return np.zeros((0, 0), np.float32)
    stacked = torch.from_numpy(np.stack([look.descriptor for look in looks]))
    distance: NDArray[np.float32] = torch.cdist(stacked, stacked).numpy()
    first, last = (np.array([getattr(look, name) for look in looks]) for name in ("first", "last"))
    distance[(first[:, None] <= last) & (first <= last[:, None])] = np.inf
    return distance


@dataclass(frozen=True, slots=True)
class Method:
    """A way to tell persons apart: `describe(crop, landmarks, aspect)` as `descriptor`, and its threshold."""

    describe: Callable[[Tensor, Tensor, float], Tensor]
    same_person: float


def method(name: str) -> Method:
    """ "appearance" (built in) or "identity" (a trained network; raises MissingDependencyError where its package is not
    installed). Raises ValueError for another name."""
    if name == "appearance":
        return Method(descriptor, SAME_PERSON)
    if name == "identity":
        from fastswap.faces import identity

        return Method(identity.load(), identity.SAME_PERSON)
    raise ValueError(f"unknown method {name!r}: appearance or identity")
