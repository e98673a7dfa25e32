"""Where a head is turned to, from its landmarks in space.

Convention: x right, y down, z away from the camera, all in square pixels (depth is in units of picture height, as the
mesh gives it). The mean face, which looks into the camera, is tilted by its roll first, then by pitch, then by yaw:
R = R_y(-yaw) R_x(-pitch) R_z(roll), so that yaw and pitch say where in the picture the nose points:

    yaw > 0    the nose points to the picture's right
    pitch > 0  the chin is up, the face looks up
    roll > 0   the head is tilted clockwise in the picture
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.faces.alignment import RIGID, check_landmarks
from fastswap.faces.template import mean_face, procrustes


def head_pose(
    landmarks: Tensor,  # [N, 478, 3], frame px and depth
    aspect: float = 1.0,  # pixel width / height
) -> Tensor:
    """float32 [N, 3]: yaw, pitch, roll in degrees, of the least-squares rotation of the mean face's rigid points.

    It is weak perspective: of a face near the edge of a wide picture it tells the turn to the camera, not to the
    picture's plane. Raises ValueError for landmarks of another shape or without depth.
    """
    check_landmarks(landmarks)
    if landmarks.shape[2] != 3:
        raise ValueError("head_pose needs landmarks with depth: [N, 478, 3]")
    turn = head_rotation(landmarks, aspect)
    nose = -turn[:, :, 2]  # where the mean face's nose direction (0, 0, -1) goes
    yaw = torch.atan2(nose[:, 0], -nose[:, 2])
    pitch = torch.asin((-nose[:, 1]).clamp(-1, 1))
    # Yaw and pitch alone take the x axis to (cos yaw, 0, sin yaw): roll is how far R turns it from there.
    level = torch.stack([yaw.cos(), torch.zeros_like(yaw), yaw.sin()], 1)
    roll = torch.atan2(-(turn[:, :, 1] * level).sum(1), (turn[:, :, 0] * level).sum(1))
    return torch.rad2deg(torch.stack([yaw, pitch, roll], 1)).float()


def head_rotation(landmarks: Tensor, aspect: float = 1.0) -> Tensor:
    """[N, 3, 3], float64: R with `R @ mean face` turned as each face is."""
    rigid = list(RIGID)
    faces = landmarks[:, rigid].double() * landmarks.new_tensor([aspect, 1.0, 1.0], dtype=torch.float64)
    faces = faces - faces.mean(1, keepdim=True)
    mean = mean_face()[rigid].to(faces)
    mean = (mean - mean.mean(0)).expand_as(faces)
    return procrustes(mean, faces).mT
