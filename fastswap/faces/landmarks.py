"""The 478 landmarks of a face in a frame, from the attention mesh network.

Convention: a *region* is a rotated square in *square* pixels (frame pixels with x stretched by the aspect): centre x
and y, side, angle in radians (the picture's x axis turned towards y). Pixel centres are integers.
The network: Grishchenko et al. 2020, https://arxiv.org/abs/2006.10962.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from fastswap.device import send
from fastswap.faces import mesh, networks
from fastswap.faces.detect import Detections, to_frame_px
from fastswap.ops import unchecked
from fastswap.ops.planes import Planes
from fastswap.ops.warp import warp

SIZE = 192
ENLARGE = 1.5  # the side of the region over that of the face's box

# Which of the 478 points the refined outputs stand for: lips, right eye, left eye (the person's own), in their order.
_LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
    76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,
    62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
)  # fmt: skip
_RIGHT_EYE = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245,
    156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
_LEFT_EYE = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398,
    359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414,
    446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413,
    265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465,
    383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip
_RIGHT_IRIS = tuple(range(468, 473))
_LEFT_IRIS = tuple(range(473, 478))


def regions(found: Detections) -> Tensor:
    """The regions of detected faces, eyes level: [K, 4]."""
    across = found.eyes[:, 1] - found.eyes[:, 0]
    angle = torch.atan2(across[:, 1], across[:, 0])
    return torch.cat([found.centre, (found.side * ENLARGE)[:, None], angle[:, None]], dim=1)


def regions_of(landmarks: Tensor) -> Tensor:
    """The regions [K, 4] of faces already landmarked ([K, 478, 2 or 3], square px): the points' box, enlarged, level
    with the eyes' outer corners."""
    points = landmarks[..., :2]
    across = points[:, mesh.LEFT_EYE_CORNERS[0]] - points[:, mesh.RIGHT_EYE_CORNERS[0]]
    angle = torch.atan2(across[:, 1], across[:, 0])
    turn = _rotation(angle)
    low, high = (points @ turn).aminmax(dim=1)
    centre = (turn @ ((low + high) / 2)[..., None])[..., 0]
    return torch.cat([centre, (high - low).amax(1, keepdim=True) * ENLARGE, angle[:, None]], dim=1)


def landmark(planes: Planes, aspect: float, region: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Runs the mesh. region: float32 [K, 4], on the CPU or on the frames' device; frame: int64 [K], on the CPU.

    Returns, on the frames' device and without waiting for it, landmarks float32 [K, 478, 3] in square px (depth in the
    same unit, 0 at the head's middle, towards the viewer negative) and the face flag [K], the network's probability
    that there is a face."""
    network, chunk = networks.load("mesh", planes.device), networks.chunk(planes.device)
    matrix = matrices(region, SIZE)
    points = [torch.zeros(0, mesh.POINTS, 3, device=planes.device)]
    flags = [torch.zeros(0, device=planes.device)]
    for part, of in zip(torch.split(to_frame_px(matrix, aspect), chunk), torch.split(frame, chunk), strict=True):
        if len(of):
            with unchecked():  # a region out of the mesh's landmarks is a square, unless they are nonsense
                crops = warp(planes, part, SIZE, frame=of)
            *outputs, flag = (output.flatten(1) for output in network(crops))
            points.append(assemble(*outputs))
            flags.append(flag[:, 0].sigmoid())
    return _placed(torch.cat(points), send(region, planes.device)), torch.cat(flags)


def _placed(local: Tensor, region: Tensor) -> Tensor:
    """Landmarks [K, 478, 3] in input pixels as those in square px."""
    matrix = matrices(region, SIZE)
    flat = (local[..., :2] - 0.5) @ matrix[:, :, :2].mT + matrix[:, None, :, 2]
    return torch.cat([flat, local[..., 2:] * (region[:, 2] / SIZE)[:, None, None]], dim=2)


def assemble(
    surface: Tensor, lips: Tensor, right_eye: Tensor, left_eye: Tensor, right_iris: Tensor, left_iris: Tensor
) -> Tensor:
    """The network's outputs, [K, count * axes] in input pixels, as [K, 478, 3]. Refined points keep the surface's
    depth; an iris lies as deep as its eye's outline on average."""
    source, right, left = _places(surface.device)
    surface = surface.reshape(-1, mesh.SURFACE_POINTS, 3)
    refined = torch.cat([lips, right_eye, left_eye, right_iris, left_iris], 1).reshape(len(surface), -1, 2)
    flat = torch.cat([surface[..., :2], refined], 1)[:, source]
    depth = surface[..., 2]
    of_irises = [
        depth[:, eye].mean(1, keepdim=True).expand(-1, len(iris))
        for eye, iris in ((right, _RIGHT_IRIS), (left, _LEFT_IRIS))
    ]
    return torch.cat([flat, torch.cat([depth, *of_irises], 1)[..., None]], 2)


@cache
def _places(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Which of the surface's and then the refined points each of the 478 is (of several the last), and the outlines of
    the right and the left eye; on the device, where they stay."""
    source = torch.arange(mesh.POINTS)
    refined = torch.tensor(_LIPS + _RIGHT_EYE + _LEFT_EYE + _RIGHT_IRIS + _LEFT_IRIS)
    source[refined] = torch.arange(mesh.SURFACE_POINTS, mesh.SURFACE_POINTS + len(refined))
    return source.to(device), torch.tensor(mesh.RIGHT_EYE, device=device), torch.tensor(mesh.LEFT_EYE, device=device)


def _rotation(angle: Tensor) -> Tensor:
    """[K] -> [K, 2, 2], turning the x axis towards y by the angle."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def matrices(region: Tensor, size: int) -> Tensor:
    """[K, 4] regions -> [K, 2, 3], from the pixels of crops of `size` to square px."""
    linear = _rotation(region[:, 3]) * (region[:, 2] / size)[:, None, None]
    middle = linear.new_full((2, 1), (size - 1) / 2)
    return torch.cat([linear, region[:, :2, None] - linear @ middle], dim=2)
