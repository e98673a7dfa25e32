"""Frames for the tests of finding faces: real clips and pictures, and one free portrait."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fastswap.ops.planes import Planes
from fastswap.video import open_video

Reader = Callable[..., list[Planes]]


@pytest.fixture(scope="session")
def portrait() -> Tensor:
    """uint8 [512, 512, 3]: the NASA portrait of scikit-image, public domain; the face is at (224, 115), 90 px wide."""
    from skimage import data as samples

    return torch.from_numpy(samples.astronaut().copy())


@pytest.fixture(scope="session")
def portrait_planes(portrait: Tensor) -> Planes:
    return Planes("rgb", (portrait[None],))


@pytest.fixture(scope="session")
def read() -> Reader:
    """read(path, every=1): every so-manieth frame of a clip or picture, each as Planes of one frame."""

    def reader(path: Path, every: int = 1) -> list[Planes]:
        with open_video(path) as video:
            return [frame.planes for frame in islice(video, 0, None, every)]

    return reader
