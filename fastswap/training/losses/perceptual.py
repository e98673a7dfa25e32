"""A loss in the features of a network that the user brings: nothing is downloaded, and without it the term is left
out. The file is a safetensors file of a VGG-like stack as torchvision names it (`features.N.weight` [out, in, k, k],
`features.N.bias` [out]; Simonyan and Zisserman 2014, arXiv 1409.1556): the numbers N say where the ReLUs and poolings
lie between the convolutions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from fastswap.errors import InputError

_STAGES = (0.01, 0.1, 0.3, 0.1)
"""The weights of the first four stages, those of faceswap-GAN 2.2."""
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, by which torchvision's networks expect their input."""
_NAME = re.compile(r"features\.(\d{1,3})\.weight")
_COLOURS = 3
_KERNELS = (1, 3, 5)
_MOST_CHANNELS = 1024
_MOST_LAYERS = 32
Layer = tuple[Tensor, Tensor]


class Perceptual(nn.Module):
    """The distance of two pictures in the features at the end of each stage. `stages`: weight and bias of each
    convolution, stage by stage, between which the map is halved."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, stages: list[list[Layer]]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.ModuleList(_convolution(*layer) for layer in stage) for stage in stages)
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(3, 1, 1))
        self.requires_grad_(False)

    def forward(
        self,
        output: Tensor,  # [n, 3, H, W], 0..1
        target: Tensor,  # [n, 3, H, W], 0..1
    ) -> Tensor:
        """The weighted sum over the stages of the mean absolute difference of their features, each feature map
        standardised, so that no network's range decides what the loss weighs. 0 for identical pictures."""
        with torch.no_grad():
            wanted = self.features(target)
        distances = [(a - b).abs().mean() for a, b in zip(self.features(output), wanted, strict=True)]
        return torch.stack([share * x for share, x in zip(_STAGES, distances, strict=False)]).sum()

    def features(
        self,
        picture: Tensor,  # [n, 3, H, W], 0..1
    ) -> list[Tensor]:
        """The standardised maps at the end of each stage, [n, C, h, w] in float32. The convolutions run in the
        precision of the module's weights."""
        x = ((picture - self.mean) / self.deviation).to(self.precision, memory_format=torch.channels_last)
        maps: list[Tensor] = []
        for stage in self.stages:
            x = functional.max_pool2d(x, 2) if maps else x
            for layer in stage:  # type: ignore[attr-defined]
                x = layer(x).relu()
            maps.append(functional.instance_norm(x.float()))
        return maps

    @property
    def precision(self) -> torch.dtype:
        return next(self.parameters()).dtype


def open_perceptual(path: Path, device: torch.device, precision: torch.dtype = torch.float32) -> Perceptual:
    """The network of the user's file, its convolutions in `precision`. Raises InputError for a file that holds no such
    stack; its shapes are checked before any tensor is read."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            stages = [[_read(file, number) for number in stage] for stage in _stages(shapes)]
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as safetensors ({error}): --perceptual takes a .safetensors"
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is not a network for --perceptual: {error}") from error
    network: Perceptual = Perceptual(stages).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.stages.to(precision)
    return network


def _stages(shapes: Mapping[str, tuple[int, ...]]) -> list[list[int]]:
    """The numbers of the convolutions of each of the first four stages. After a convolution comes a ReLU, so that the
    next one is two numbers on, or three where a pooling begins a stage. Raises ValueError for anything else."""
    numbers = sorted(int(match[1]) for name in shapes if (match := _NAME.fullmatch(name)))
    if not numbers or numbers[0] != 0 or len(numbers) > _MOST_LAYERS:
        raise ValueError(f"it has no features.0.weight, as torchvision names a VGG16's, or more than {_MOST_LAYERS}")
    stages, channels = [[0]], _COLOURS
    for before, number in itertools.pairwise(numbers):
        if number - before not in (2, 3):
            raise ValueError(f"between features.{before} and features.{number} is not a ReLU, alone or with a pooling")
        if number - before == 3:
            stages.append([])
        stages[-1].append(number)
    stages = stages[: len(_STAGES)]
    for number in itertools.chain(*stages):
        channels = _checked(shapes, number, channels)
    return stages


def _checked(shapes: Mapping[str, tuple[int, ...]], number: int, channels: int) -> int:
    """How many channels the convolution makes of `channels`. Raises ValueError where it takes others, or is none."""
    weight, bias = shapes[f"features.{number}.weight"], shapes.get(f"features.{number}.bias")
    if len(weight) != 4 or weight[1] != channels or weight[2] != weight[3] or weight[2] not in _KERNELS:
        raise ValueError(f"features.{number}.weight is {weight}: expected [out, {channels}, k, k] with k of {_KERNELS}")
    if not 0 < weight[0] <= _MOST_CHANNELS or bias != weight[:1]:
        raise ValueError(f"features.{number} has {weight[0]} channels (at most {_MOST_CHANNELS}) and a bias of {bias}")
    return weight[0]


def _read(file: safe_open, number: int) -> Layer:
    weight, bias = (file.get_tensor(f"features.{number}.{part}").float() for part in ("weight", "bias"))  # type: ignore[no-untyped-call]
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise ValueError(f"features.{number} holds what is not a number")
    return weight, bias


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    channels_out, channels_in, kernel, _ = weight.shape
    layer = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, device="meta")  # draws no random numbers
    layer.load_state_dict({"weight": weight, "bias": bias}, assign=True)
    return layer
