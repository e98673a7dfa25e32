"""The skeleton of a puppet: the points a photo's landmarks become, how they are joined, and how each expression moves
them. All in face units: x right, y down, z away from the camera, one unit the height of the face oval, the origin at
the point about which the head turns.

Besides the landmarks there is an extra row on each upper lid, and rings: the face oval blown up until it lies outside
of the frame. So the *whole* photo is one mesh, hair and neck follow the head, and nothing has to be painted in behind
it. Eyeballs, teeth and the dark of the mouth are pieces of their own that lie behind the skin and show where it opens:
a lid that closes covers the eye as it does in life, where a lid drawn in one piece with the eye would smear it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fastswap.quality import anatomy as at

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

LASHES = 0.5  # where the extra row lies between lid rim and crease: what is below it moves as one with the rim
RINGS = ((1.10, 1.0), (1.25, 0.94), (1.45, 0.78), (1.7, 0.5), (1.95, 0.22), (2.3, 0.0), (9.0, 0.0))
# (how far the oval is blown up, share of the head's movement it takes); the last two hold the picture's border still
RING_DEPTH = 0.10  # how far the rings recede a unit: behind the cheek, so that a cheek that turns away is in front
EYE_DEPTH, TEETH_DEPTH, DARK_DEPTH = 0.03, 0.03, 0.10
DARK_RIM = 0.05  # how far the mouth's dark reaches above and below closed lips, which are a line: less, and the wall
# behind the head shows at the corner of a mouth that smiles
MARGIN_BACK = 2.0  # the margins of those pieces lie so much further back, lest they come through the skin
TEETH_FROM = 0.025  # gap of the photo's lips from which on its teeth are worth showing
SLOPE = 1.5  # how fast depth may grow across the picture
SMILE = (0.045, -0.035, 0.01)  # of the corner at the picture's right
BROW_LIFT = -0.05
JAW_BACK = 0.2  # how much the chin recedes as it falls


@dataclass(frozen=True)
class Rig:
    """points, texture: [V, 3] and [V, 2], where a vertex is at rest and where in the photo its colour is; triangles:
    [T, 3]; follow: [V], share of the head's movement; jaw, smile, brows, blink: [V, 3], the movement of one unit; dark:
    the vertices of the mouth's dark (their texture is not the photo); normals: [V, 3], zero away from the head."""

    points: Array
    texture: Array
    triangles: Indices
    follow: Array
    jaw: Array
    smile: Array
    brows: Array
    blink: Array
    dark: slice
    normals: Array

    @property
    def gap(self) -> float:
        """The gap between the photo's lips."""
        return float(self.points[at.INNER_LOW, 1] - self.points[at.INNER_TOP, 1])


def build(landmarks: Array) -> Rig:
    """The rig of landmarks float64 [478, 3], in face units, of a face that looks at the camera."""
    face = np.concatenate([landmarks, *_lash_rows(landmarks)])
    movements = _movements(face)
    rings, follow = _rings(landmarks)
    count = len(face) + len(rings)
    skin = np.concatenate([face, rings])
    triangles = _skin_triangles(skin + 0.15 * _padded(movements["jaw"], count))
    faded = {name: np.concatenate([move, _on_rings(move)]) for name, move in movements.items()}
    rig = Rig(
        points=skin,
        texture=skin[:, :2],
        triangles=triangles,
        follow=np.concatenate([np.ones(len(face)), follow]),
        dark=slice(0, 0),
        normals=_normals(skin, triangles, len(face)),
        **faded,
    )
    return _with_pieces(rig)


def gentle_depth(landmarks: Array) -> Array:
    """The landmarks [478, 3] with no part steeper than SLOPE, points that lie too far back coming forward (the greatest
    depth below theirs with that slope). A cheek seen nearly edge on has a few pixels of photo for centimetres of skin:
    turned to the camera they would be drawn out into a ragged fringe, turned away they would fold."""
    apart = np.linalg.norm(landmarks[:, None, :2] - landmarks[None, :, :2], axis=2)
    depth = (landmarks[None, :, 2] + SLOPE * apart).min(axis=1)
    return np.concatenate([landmarks[:, :2], depth[:, None]], axis=1)


def _padded(rows: Array, count: int) -> Array:
    return np.concatenate([rows, np.zeros((count - len(rows), rows.shape[1]))])


def _lash_rows(points: Array) -> list[Array]:
    pairs = zip(at.UPPER_LID, at.LID_CREASE, strict=True)
    return [points[list(rim)] + LASHES * (points[list(crease)] - points[list(rim)]) for rim, crease in pairs]


def _rings(points: Array) -> tuple[Array, Array]:
    """The vertices of all rings, [36 R, 3], and their share of the head's movement [36 R]."""
    oval = points[list(at.OVAL)]
    centre = oval.mean(axis=0)
    rings = []
    for factor, _ in RINGS:
        ring = centre + factor * (oval - centre)
        ring[:, 2] = oval[:, 2] + RING_DEPTH * (factor - 1)
        rings.append(ring)
    return np.concatenate(rings), np.repeat([follow for _, follow in RINGS], len(oval))


def _on_rings(movement: Array) -> Array:
    """What the rings take of the movement of the oval: the neck gives way under the chin, and soon no more."""
    oval = movement[list(at.OVAL)]
    return np.concatenate([min(1.0, max(0.0, 1.2 - 1.7 * (factor - 1))) * oval for factor, _ in RINGS])


def _skin_triangles(points: Array) -> Indices:
    """Delaunay triangles of the points with the lips parted, less those inside of the mouth and of the eyes."""
    from matplotlib.tri import Triangulation

    used = np.setdiff1d(np.arange(len(points)), at.IRISES)
    triangles = used[Triangulation(points[used, 0], points[used, 1]).triangles]
    centres = points[triangles, :2].mean(axis=1)
    holes = [points[list(hole), :2].astype(np.float32) for hole in (at.INNER_LIPS, *at.EYES)]
    inside = [any(cv2.pointPolygonTest(hole, (float(x), float(y)), False) >= 0 for hole in holes) for x, y in centres]
    kept: Indices = triangles[~np.asarray(inside)]
    return kept


def _movements(points: Array) -> dict[str, Array]:
    """Of each expression the movement [492, 3] of one unit at the landmarks and lash rows."""
    spread = _Spread(points)
    jaw = spread(_jaw_weights())[:, None] * np.asarray((0.0, 1.0, JAW_BACK))
    left, right = (spread(_corner_weights(side))[:, None] for side in (0, -1))
    smile = right * np.asarray(SMILE) + left * np.asarray(SMILE) * (-1, 1, 1)
    lift = spread(_brow_weights())[:, None] * np.asarray((0.0, BROW_LIFT, 0.0))
    return {"jaw": jaw, "smile": smile, "brows": lift, "blink": _blink(points)}


def _jaw_weights() -> dict[int, float]:
    still = (*at.NOSE, *at.UPPER_OVAL, *at.BROWS, *(v for eye in at.EYES for v in eye))
    weights = dict.fromkeys(still, 0.0) | dict.fromkeys(at.CHIN_ROW, 0.9)
    arch = np.sin(np.linspace(0, np.pi, len(at.UPPER_LIP[0]))) ** 0.6
    for upper, lower in zip(at.UPPER_LIP, at.LOWER_LIP, strict=True):
        weights |= dict(zip(upper, 0.4 * (1 - arch), strict=True))
        weights |= dict(zip(lower, 0.4 + 0.6 * arch, strict=True))
    return weights


def _corner_weights(side: int) -> dict[int, float]:
    """Full at one corner of the mouth (0: the picture's left, -1: right), none from the middle of the lips on."""
    still = (*at.NOSE, *at.OVAL, *at.BROWS, *(v for eye in at.EYES for v in eye))
    weights = dict.fromkeys(still, 0.0)
    fall = np.clip(np.linspace(1, -1, len(at.UPPER_LIP[0])), 0, 1)
    for row in (*at.UPPER_LIP, *at.LOWER_LIP):
        weights |= dict(zip(row, fall if side == 0 else fall[::-1], strict=True))
    return weights


def _brow_weights() -> dict[int, float]:
    still = (*at.NOSE, *at.OVAL, *(v for eye in at.EYES for v in eye))
    crease = (v for row in at.LID_CREASE for v in row)
    return dict.fromkeys(still, 0.0) | {at.FOREHEAD: 0.25} | dict.fromkeys(crease, 0.2) | dict.fromkeys(at.BROWS, 1.0)


def _blink(points: Array) -> Array:
    """The upper rim falls on the lower one, which rises a little; the lashes go with the rim, the
    skin up to the brow a part, lest the little there is of the lid be drawn out into streaks."""
    movement = np.zeros_like(points)
    lashes = at.LANDMARKS
    rows = zip(at.UPPER_LID, at.LOWER_LID, at.LID_CREASE, at.ABOVE_CREASE, strict=True)
    for upper, lower, crease, above in rows:
        gap = points[list(lower)] - points[list(upper)]
        movement[list(upper)] = 0.88 * gap
        movement[list(lower)] = -0.12 * gap
        movement[list(crease)] = 0.5 * gap
        movement[list(above)] = 0.22 * gap
        movement[lashes : lashes + len(upper)] = 0.88 * gap
        lashes += len(upper)
    return movement


class _Spread:
    """Carries weights from some vertices to all, as smoothly as the mesh allows (harmonic: each free vertex is the mean
    of its neighbours, near ones weighing more)."""

    def __init__(self, points: Array) -> None:
        triangles = _skin_triangles(points)
        edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        first, second = edges.T
        weight = 1 / np.maximum(np.linalg.norm(points[first] - points[second], axis=1), 1e-4)
        self._matrix = np.zeros((len(points), len(points)))
        self._matrix[first, second] = self._matrix[second, first] = -weight
        self._matrix[np.diag_indices(len(points))] = -self._matrix.sum(axis=1)

    def __call__(self, weights: dict[int, float]) -> Array:
        fixed = np.asarray(list(weights))
        result = np.zeros(len(self._matrix))
        result[fixed] = list(weights.values())
        free = np.setdiff1d(np.flatnonzero(self._matrix.diagonal() > 0), fixed)
        right = -self._matrix[np.ix_(free, fixed)] @ result[fixed]
        result[free] = np.linalg.solve(self._matrix[np.ix_(free, free)], right)
        return result


def _normals(points: Array, triangles: Indices, face: int) -> Array:
    """Unit normals [V, 3] towards the camera, smoothed as a lamp sees a head and not each wrinkle; zero on the rings
    as they leave the head."""
    a, b, c = points[triangles[:, 0]], points[triangles[:, 1]], points[triangles[:, 2]]
    flat = np.cross(b - a, c - a)
    flat *= -np.sign(flat[:, 2:])
    normals = np.zeros_like(points)
    for _ in range(4):
        for corner in range(3):
            np.add.at(normals, triangles[:, corner], flat)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        flat = normals[triangles].mean(axis=1)
    fade = np.asarray([max(0.0, 1 - 2.5 * (factor - 1)) for factor, _ in RINGS])
    rings = normals[list(at.OVAL)][None] * fade[:, None, None]
    normals[face:] = rings.reshape(-1, 3)
    return normals


def _with_pieces(rig: Rig) -> Rig:
    for eye in at.EYES:
        rig = _add_piece(rig, eye, EYE_DEPTH, inner=0.96, outer=1.3, shown=1.0)
    if rig.gap > TEETH_FROM:
        rig = _add_piece(rig, at.INNER_LIPS, TEETH_DEPTH, inner=0.9, outer=1.3, shown=0.97)
    start = len(rig.points)
    rig = _add_piece(rig, at.INNER_LIPS, DARK_DEPTH, inner=1.0, outer=1.3, shown=1.3, with_lips=True)
    return replace(rig, dark=slice(start, len(rig.points)))


def _add_piece(
    rig: Rig, outline: Sequence[int], depth: float, *, inner: float, outer: float, shown: float, with_lips: bool = False
) -> Rig:
    """Adds what lies behind a hole of the skin, as a fan about its centre within two rings: `inner`, as the photo has
    it, and `outer`, a margin that shows the photo only up to `shown`, for where the skin opens wider."""
    rim = rig.points[list(outline)]
    centre = rim.mean(axis=0, keepdims=True)
    back = np.asarray((0.0, 0.0, depth))
    margin = centre + outer * (rim - centre) + MARGIN_BACK * back
    if with_lips:
        upper = len(at.UPPER_LIP[-1])
        margin[:upper, 1] -= DARK_RIM
        margin[upper:, 1] += DARK_RIM
    points = np.concatenate([centre + back, centre + inner * (rim - centre) + back, margin])
    texture = np.concatenate([centre, centre + inner * (rim - centre), centre + shown * (rim - centre)])[:, :2]
    moves = {name: _piece_movement(getattr(rig, name)[list(outline)], with_lips) for name in ("jaw", "smile")}
    still = np.zeros_like(points)
    return replace(
        rig,
        points=np.concatenate([rig.points, points]),
        texture=np.concatenate([rig.texture, texture]),
        triangles=np.concatenate([rig.triangles, len(rig.points) + _fan(len(rim))]),
        follow=np.concatenate([rig.follow, np.ones(len(points))]),
        normals=np.concatenate([rig.normals, _like_rim(rig.normals[list(outline)])]),
        jaw=np.concatenate([rig.jaw, moves["jaw"]]),
        smile=np.concatenate([rig.smile, moves["smile"]]),
        brows=np.concatenate([rig.brows, still]),
        blink=np.concatenate([rig.blink, still]),
    )


def _like_rim(rows: Array) -> Array:
    return np.concatenate([rows.mean(axis=0, keepdims=True), rows, rows])


def _piece_movement(rim: Array, with_lips: bool) -> Array:
    rows = _like_rim(rim)
    return rows if with_lips else np.zeros_like(rows)


def _fan(count: int) -> Indices:
    inner = 1 + np.arange(count)
    following = np.roll(inner, -1)
    centre = np.zeros_like(inner)
    fan = [(centre, inner, following), (inner, inner + count, following), (following, inner + count, following + count)]
    return np.concatenate([np.stack(part, axis=1) for part in fan])
