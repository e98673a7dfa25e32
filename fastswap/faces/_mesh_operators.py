"""The three custom operators of the attention mesh: find a region (lips, an eye) from the coarse landmarks, cut its
features out, and bring the refined landmarks back.

The matrix [N, 4, 4] maps region pixels (x, y, 0, 1) to pixels of the feature map; its corner is the region's corner, so
pixel centres lie at +0.5. Facts: mediapipe/util/tflite/operations (Apache-2.0).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class LandmarksToMatrix(nn.Module):
    """[N, 468, 3] landmarks in feature-map pixels -> [N, 4, 4]: the bounding box, enlarged, of a subset of them in the
    frame in which two of them are level."""

    subset: Tensor

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        subset = torch.tensor(options["subset_idxs"], dtype=torch.int64).reshape(-1)
        self.register_buffer("subset", subset, persistent=False)
        self.left, self.right = options["left_rotation_idx"], options["right_rotation_idx"]
        self.target = float(options["target_rotation_radians"])
        self.width, self.height = options["output_width"], options["output_height"]
        self.scale = (options["scale_x"], options["scale_y"])

    def forward(self, landmarks: Tensor) -> Tensor:
        across = landmarks[:, self.right] - landmarks[:, self.left]
        angle = torch.atan2(across[:, 1], across[:, 0]) - self.target
        cos, sin = angle.cos(), angle.sin()
        points = landmarks[:, self.subset]
        x, y = points[..., 0], points[..., 1]
        level_x, level_y = cos[:, None] * x + sin[:, None] * y, cos[:, None] * y - sin[:, None] * x
        (x_low, x_high), (y_low, y_high) = level_x.aminmax(dim=1), level_y.aminmax(dim=1)
        scale_x = self.scale[0] * (x_high - x_low) / self.width
        scale_y = self.scale[1] * (y_high - y_low) / self.height
        shift_x = (x_low + x_high) / 2 - scale_x * self.width / 2
        shift_y = (y_low + y_high) / 2 - scale_y * self.height / 2
        matrix = torch.zeros(len(landmarks), 4, 4, device=landmarks.device)
        matrix[:, 0, 0], matrix[:, 0, 1] = cos * scale_x, -sin * scale_y
        matrix[:, 1, 0], matrix[:, 1, 1] = sin * scale_x, cos * scale_y
        matrix[:, 0, 3], matrix[:, 1, 3] = cos * shift_x - sin * shift_y, sin * shift_x + cos * shift_y
        matrix[:, 2, 2] = matrix[:, 3, 3] = 1.0
        return matrix


class TransformBilinear(nn.Module):
    """Features [N, C, H, W] and a matrix -> [N, C, height, width], bilinear; whole pixels outside of the map are 0."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.height, self.width = options["output_height"], options["output_width"]

    def forward(self, features: Tensor, matrix: Tensor) -> Tensor:
        y = torch.arange(self.height, device=features.device)[:, None] + 0.5
        x = torch.arange(self.width, device=features.device) + 0.5
        linear = matrix[:, :2, :, None, None]
        at_x, at_y = (linear[:, :, 0] * x + linear[:, :, 1] * y + linear[:, :, 3] - 0.5).unbind(1)
        last_x, last_y = features.shape[3] - 1.0, features.shape[2] - 1.0
        inside = (at_x >= 0) & (at_x <= last_x) & (at_y >= 0) & (at_y <= last_y)
        grid = torch.stack([at_x * 2 / last_x - 1, at_y * 2 / last_y - 1], -1)
        sampled = functional.grid_sample(
            features.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=True
        )
        return (sampled * inside[:, None]).to(features.dtype)


class TransformLandmarks(nn.Module):
    """Region landmarks [N, K, 2] and a matrix -> [N, K, 2] in the matrix's target pixels."""

    def forward(self, landmarks: Tensor, matrix: Tensor) -> Tensor:
        return landmarks @ matrix[:, :2, :2].mT + matrix[:, None, :2, 3]
