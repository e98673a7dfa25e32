"""From landmarks to the aligned face: similarities, their pixel forms, and the 68 points other tools know.

Convention: pixel centres at integer coordinates. An alignment `float32 [N, 2, 3]` takes the unit square of the aligned
face (x right, y down, the mean face inside: `template`) to frame pixels. Where a pixel is not square, `aspect` is its
width over its height: shape is judged in square pixels (x * aspect, y), and the result is in frame pixels again.

The points that are aligned are those that expression and speech move little and that spread far. Measured over seven
clips of talking people (jitter: second difference of the square's corners over the face's height, then of log scale;
drift: change of log scale per mouth opening, in face heights):

    all 468 points                       jitter 0.31 %  0.22 %   drift +0.27
    brows, nose, eyes and lips, as of 68        0.42 %  0.31 %         +0.34
    eye corners and nose                        0.34 %  0.22 %          0.00
    those, forehead and temples (used)          0.31 %  0.16 %         -0.03

At 30 degrees of yaw the used ones shrink the scale by 8 % and keep the oval's centre within 0.2 % of the face's height;
eye corners and nose alone let it slide by 5 %.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.faces.mesh import POINTS
from fastswap.faces.template import EXTENT, TEMPLATE, mean_face

__all__ = ["EXTENT", "RIGID", "TEMPLATE", "align", "invert", "landmarks_68", "pixel_matrix", "transform"]

_NOSE = (168, 6, 197, 195, 5, 4, 1, 19, 94, 98, 327, 129, 358, 64, 294, 48, 278, 115, 344, 220, 440)
_EYE_CORNERS = (33, 133, 263, 362)
_FOREHEAD = (10, 151, 9, 8, 109, 338, 67, 297, 103, 332, 108, 337, 69, 299, 104, 333, 66, 296, 107, 336)
_TEMPLES = (127, 356, 234, 454, 162, 389, 21, 251, 139, 368, 143, 372, 156, 383)
RIGID = _NOSE + _EYE_CORNERS + _FOREHEAD + _TEMPLES
"""The points of the mesh that stay in place on the skull: what alignment and pose are measured on."""

_LEAST_SCALE = 1e-2  # px; a face whose square is smaller than this is a point

# The 68 points in the order of the iBUG 300-W annotation, chosen by meaning: jaw, brows, nose, eyes, outer, inner lips.
_ORDER_68 = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,
    78, 81, 13, 311, 308, 402, 14, 178,
)  # fmt: skip


def align(
    landmarks: Tensor,  # [N, 478, 2 or 3], frame px
    aspect: float = 1.0,  # pixel width / height
) -> Tensor:
    """The least-squares similarity (Umeyama 1991, in two dimensions in closed form, never a reflection) that takes the
    mean face to each face's rigid points.

    Returns float32 [N, 2, 3], unit square -> frame px, on the landmarks' device. Raises ValueError where landmarks
    are of another shape, not finite, or all in one place.
    """
    check_landmarks(landmarks)
    points = landmarks[:, RIGID, :2].float() * landmarks.new_tensor([aspect, 1.0], dtype=torch.float32)
    mean = mean_face()[list(RIGID), :2].to(points.device)
    target_centre, source_centre = points.mean(1), mean.mean(0)
    target, source = points - target_centre[:, None], mean - source_centre
    power = source.square().sum()
    along = (target * source).sum((1, 2)) / power
    across = (target[..., 1] * source[:, 0] - target[..., 0] * source[:, 1]).sum(1) / power
    _check_scale(torch.hypot(along, across))
    turn = torch.stack([torch.stack([along, -across], -1), torch.stack([across, along], -1)], 1)
    shift = target_centre - turn @ source_centre
    matrix = torch.cat([turn, shift[..., None]], 2)
    return matrix / matrix.new_tensor([[aspect], [1.0]])


def check_landmarks(landmarks: Tensor) -> None:
    """Raises ValueError unless landmarks are [N, 478, 2 or 3]."""
    if landmarks.ndim != 3 or landmarks.shape[1] != POINTS or landmarks.shape[2] not in (2, 3):
        raise ValueError(f"landmarks must be [N, {POINTS}, 2 or 3], got {list(landmarks.shape)}")


def _check_scale(scale: Tensor) -> None:
    bad = ~(torch.isfinite(scale) & (scale > _LEAST_SCALE))
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise ValueError(f"landmarks of face {row} are degenerate: they give a scale of {float(scale[row]):g} px")


def pixel_matrix(
    alignment: Tensor,  # [N, 2, 3], unit square -> frame px
    size: int,  # side of the aligned picture, px
    coverage: float = 1.0,  # side of the part that is shown, of the unit square, about its centre
) -> Tensor:
    """[N, 2, 3]: pixel centres of the aligned picture -> frame px. Raises ValueError for a size or coverage <= 0."""
    if size < 1 or not coverage > 0:
        raise ValueError(f"size and coverage must be positive, got {size} and {coverage}")
    step = coverage / size
    first = (1.0 - coverage) / 2 + step / 2  # where pixel (0, 0) has its centre, in the unit square
    turn, shift = alignment[..., :2], alignment[..., 2]
    return torch.cat([turn * step, (shift + turn.sum(-1) * first)[..., None]], -1)


def invert(matrix: Tensor) -> Tensor:
    """[N, 2, 3] of the opposite direction. Raises ValueError where a matrix is singular."""
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    determinant = a * d - b * c
    if not bool((determinant.abs() > 0).all()):
        raise ValueError("the matrix is singular: it has no inverse")
    turn = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2) / determinant[..., None, None]
    return torch.cat([turn, -(turn @ matrix[..., 2:])], -1)


def transform(matrix: Tensor, points: Tensor) -> Tensor:
    """Points [N, K, 2 or more] (x and y are used) through matrices [N, 2, 3]: [N, K, 2]."""
    return points[..., :2] @ matrix[..., :2].mT + matrix[..., 2].unsqueeze(-2)


def landmarks_68(landmarks: Tensor) -> Tensor:
    """[N, 478, 2 or 3] -> [N, 68, 2], in the order of the 300-W annotation (Sagonas et al. 2013)."""
    check_landmarks(landmarks)
    return landmarks[:, _ORDER_68, :2]
