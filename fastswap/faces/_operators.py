"""The TFLite operators of the face networks, as modules on NCHW tensors (in channels_last memory)."""

from __future__ import annotations

import numpy as np
import tflite
import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE_RANK = 4


class Convolution(nn.Module):
    """A convolution, dense or depthwise, with padding (top, bottom, left, right) and an optional ReLU."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None, groups: int, stride: tuple[int, int],
                 dilation: tuple[int, int], pad: tuple[int, int, int, int], relu: bool) -> None:  # fmt: skip
        super().__init__()
        packed = torch.from_numpy(weight.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", packed)
        self.register_buffer("bias", None if bias is None else torch.from_numpy(bias.copy()))
        self.groups, self.stride, self.dilation, self.relu = groups, stride, dilation, relu
        top, bottom, left, right = pad
        self.symmetric = (top, left) if (top, left) == (bottom, right) else (0, 0)
        self.uneven = (left, right, top, bottom) if (top, left) != (bottom, right) else None

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven is not None:
            x = functional.pad(x, self.uneven)
        x = functional.conv2d(x, self.weight, self.bias, self.stride, self.symmetric, self.dilation, self.groups)
        return x.relu_() if self.relu else x


class Add(nn.Module):
    def __init__(self, relu: bool) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        total = a + b
        return total.relu_() if self.relu else total


class PReLU(nn.Module):
    slope: Tensor

    def __init__(self, slope: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("slope", torch.from_numpy(slope.reshape(-1).copy()))

    def forward(self, x: Tensor) -> Tensor:
        return functional.prelu(x, self.slope)


class Scale(nn.Module):
    """The product with a constant (of a shape that broadcasts in NHWC; only rank 3 or less occurs)."""

    factor: Tensor

    def __init__(self, factor: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("factor", torch.from_numpy(factor.copy()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Pad(nn.Module):
    def __init__(self, pads: np.ndarray) -> None:
        super().__init__()
        (top, bottom), (left, right), (front, back) = pads[1:].tolist()
        self.pad = (left, right, top, bottom, front, back)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.pad)


class Reshape(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        x = nhwc(x).reshape(x.shape[0], *self.shape[1:])
        return x.movedim(3, 1) if x.dim() == IMAGE_RANK else x


class DepthToSpace(nn.Module):
    """Channel (y, x, c) of a cell goes to place (y, x) of its block: not the order of torch's pixel_shuffle."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        kept = channels // self.block**2
        cells = x.reshape(n, self.block, self.block, kept, height, width).permute(0, 3, 4, 1, 5, 2)
        return cells.reshape(n, kept, height * self.block, width * self.block)


class Resize(nn.Module):
    def __init__(self, size: tuple[int, int], options: tflite.ResizeBilinearOptions) -> None:
        super().__init__()
        if options.AlignCorners() or not options.HalfPixelCenters():
            raise NotImplementedError("RESIZE_BILINEAR is only known with half-pixel centres")
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, self.size, mode="bilinear", align_corners=False)


class MaxPool(nn.Module):
    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(x, self.kernel, self.stride)


class Concatenate(nn.Module):
    def __init__(self, axis: int, rank: int) -> None:
        super().__init__()
        self.axis = {0: 0, 1: 2, 2: 3, 3: 1}[axis] if rank == IMAGE_RANK else axis

    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, self.axis)


def nhwc(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H, W, C] as a view; other ranks as they are."""
    return x.movedim(1, 3) if x.dim() == IMAGE_RANK else x
