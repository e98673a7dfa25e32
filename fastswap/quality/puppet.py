"""A puppet: one photo of a face, driven by a Motion, rendered into frames."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fastswap.quality import anatomy as at
from fastswap.quality import rig as rigging
from fastswap.quality.motion import Motion

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

DETAIL = 2  # texture px a frame px: bilinear samples of the enlarged photo lose nothing to where a pixel falls
DARK_ROWS = 64  # height of the strip below the photo that holds the mouth's dark
PIVOT = 0.12  # how far behind the ears the head turns, in face units
TURN = 1.35  # how much further a puppet turns than its motion says: flattened as its depth is, it looks turned as much
SHADE = 0.38  # how much brighter the side is that faces the lamp
WARM = (0.07, 0.0, -0.11)  # what one unit of warmth adds to red, green and blue
DEEP, TONGUE = (34, 14, 14), (92, 40, 40)  # the mouth's dark, from the palate to the tongue, RGB


class Puppet:
    """Renders a face as its motion says. Frames are square, RGB uint8 [size, size, 3]."""

    def __init__(self, photo: Picture, landmarks: NDArray[np.floating], placement: Array, size: int) -> None:
        """photo: RGB [h, w, 3]; landmarks: [478, 3], photo px; placement: [2, 3], frame px -> photo px (similarity)."""
        scale = float(np.hypot(placement[0, 0], placement[1, 0]))
        self.size = size
        self._rest = rigging.gentle_depth(_to_frame(np.asarray(landmarks, np.float64), placement, scale))
        self._height = float(np.linalg.norm(self._rest[at.CHIN, :2] - self._rest[at.FOREHEAD, :2]))
        self._origin = self._rest[list(at.OVAL)].mean(axis=0)
        self._origin[2] = self._rest[list(at.EARS), 2].mean() + PIVOT * self._height
        self._rig = rigging.build((self._rest - self._origin) / self._height)
        self._triangles = np.ascontiguousarray(self._rig.triangles, np.int32)
        self._texture = _texture(photo, placement, size)
        self._values = np.empty((len(self._rig.points), 5), np.float32)
        self._values[:, :2] = self._texture_places()
        self._depth = np.empty((2 * size, 2 * size), np.float32)
        self._owner = np.empty((2 * size, 2 * size), np.int32)

    @property
    def mouth(self) -> float:
        """The gap between the lips in the photo, in heights of the face oval: what Motion.neutral shows it with."""
        return self._rig.gap

    def landmarks(self, motion: Motion, frame: int) -> Array:
        """Where the 478 landmarks are in a frame: float64 [478, 3], frame px."""
        return self._points(motion.at(frame))[: at.LANDMARKS]

    def render(self, motion: Motion, frame: int) -> Picture:
        """One frame."""
        from fastswap.quality import _raster_numba as raster

        now = motion.at(frame)
        points = self._points(now).astype(np.float32)
        self._values[:, 2:] = self._gains(now)
        raster.cover(points, self._triangles, self._depth, self._owner)
        picture = np.empty((self.size, self.size, 3), np.uint8)
        raster.shade(self._owner, raster.planes(points, self._triangles, self._values), self._texture, picture)
        return picture

    def _points(self, now: dict[str, float]) -> Array:
        rig = self._rig
        shape = rig.points + (now["mouth"] - rig.gap) * rig.jaw + now["smile"] * rig.smile
        shape = shape + now["brows"] * rig.brows + now["blink"] * rig.blink
        turned = now["zoom"] * shape @ _rotation(now).T + (now["shift_x"], now["shift_y"], 0.0)
        placed: Array = shape + rig.follow[:, None] * (turned - shape)
        pixels: Array = placed * self._height + self._origin
        return pixels

    def _gains(self, now: dict[str, float]) -> Array:
        normals = self._rig.normals @ _rotation(now).T
        lamp = 1 + SHADE * (normals[:, 0] * now["light_x"] + normals[:, 1] * now["light_y"])
        colour = now["brightness"] * (1 + now["warmth"] * np.asarray(WARM))
        gains: Array = lamp[:, None] * colour
        return gains

    def _texture_places(self) -> Array:
        """Texture px [V, 2] of every vertex: pixel centres at integers, so that 0 in the frame is half a texel in."""
        frame = self._rig.texture * self._height + self._origin[:2]
        places: Array = (frame + 0.5) * DETAIL - 0.5
        dark = places[self._rig.dark]
        low, high = dark[:, 1].min(), dark[:, 1].max()
        dark[:, 1] = self.size * DETAIL + 2 + (dark[:, 1] - low) / max(high - low, 1e-6) * (DARK_ROWS - 6)
        return places


def _to_frame(landmarks: Array, placement: Array, scale: float) -> Array:
    inverse = cv2.invertAffineTransform(placement)
    flat = landmarks[:, :2] @ inverse[:, :2].T + inverse[:, 2]
    return np.concatenate([flat, landmarks[:, 2:] / scale], axis=1)


def _texture(photo: Picture, placement: Array, size: int) -> Picture:
    """The photo as the frame shows it, DETAIL times as large, and below it the mouth's dark."""
    shift = (0.5 / DETAIL) - 0.5
    finer = placement @ np.asarray([[1 / DETAIL, 0, shift], [0, 1 / DETAIL, shift], [0, 0, 1]])
    wide = size * DETAIL
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(photo, finer, (wide, wide), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    ramp = np.linspace(0, 1, DARK_ROWS)[:, None] ** 2
    strip = (1 - ramp) * np.asarray(DEEP) + ramp * np.asarray(TONGUE)
    dark = np.repeat(np.rint(strip).astype(np.uint8)[:, None], wide, axis=1)
    return np.ascontiguousarray(np.concatenate([picture, dark]))


def _rotation(now: dict[str, float]) -> Array:
    """yaw > 0 turns what is near (z < 0) to the right, pitch > 0 turns it up, roll > 0 is clockwise: as head_pose."""
    yaw, pitch, roll = np.deg2rad(TURN * now["yaw"]), np.deg2rad(now["pitch"]), np.deg2rad(now["roll"])
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_y = np.asarray([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_x = np.asarray([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.asarray([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)
