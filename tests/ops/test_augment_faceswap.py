"""augment beside the chain it stands for: Faceswap's warpAffine, flip and remap, with the same numbers drawn.

Faceswap samples the target once and the warped picture twice, each time rounding to 8 bits; augment samples each once.
The target is therefore the same but for that rounding (59 dB), the warped picture sharper (40 dB on the portrait).
"""

from __future__ import annotations

from dataclasses import astuple

import cv2
import numpy as np
import pytest
import torch

from fastswap.kernels.augment import reference
from fastswap.ops import Jitter, augment

SIZE, EDGE = 256, 48  # px; Faceswap paints black what its grid pulls in from outside, so the edge is left out
JITTER = Jitter().without(colour=True)


def portrait() -> np.ndarray:
    """The head of skimage's astronaut (NASA, public domain): uint8 [256, 256, 3]."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:256, 96:352])


def faceswap(picture: np.ndarray, drawn: reference.Draw, centre: float, aside: float) -> tuple[np.ndarray, np.ndarray]:
    """Warped and target. `centre` is turned about, and the grid's map lies `aside` px to the lower right."""
    matrix = cv2.getRotationMatrix2D((centre, centre), -float(drawn.angle.rad2deg()), float(drawn.zoom))
    matrix[:, 2] += drawn.shift[0].numpy() * SIZE
    target = cv2.warpAffine(picture, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    if drawn.mirror[0] < 0:
        target = np.ascontiguousarray(target[:, ::-1])
    whole, tenth = int(1.25 * SIZE), int(1.25 * SIZE) // 10
    maps = []
    for axis, regular in enumerate(np.meshgrid(np.linspace(0, SIZE, 5), np.linspace(0, SIZE, 5))):
        moved = (regular + drawn.nodes[0, ..., axis].numpy() * SIZE).astype(np.float32)
        part = cv2.resize(moved, (whole, whole))[tenth : tenth + SIZE, tenth : tenth + SIZE]
        maps.append(np.ascontiguousarray(part - np.float32(0.5 - aside)))
    return cv2.remap(target, *maps, cv2.INTER_LINEAR), target


def psnr(ours: torch.Tensor, theirs: np.ndarray) -> float:
    """In dB of 8 bits, of [1, 3, s, s] in 0..1 and uint8 [s, s, 3]."""
    inner = slice(EDGE, -EDGE)
    difference = ours[0].permute(1, 2, 0).numpy() * 255 - theirs
    return float(10 * np.log10(255**2 / np.square(difference[inner, inner]).mean()))


@pytest.mark.parametrize(
    ("centre", "aside", "floor_warped", "floor_target"),
    [
        ((SIZE - 1) / 2, 0.0, 39.0, 58.5),  # Faceswap's arithmetic about our middle: 40.2 and 59.1 dB in the mean of 20
        (SIZE // 2, 0.5, 27.5, 44.0),  # as it is, half a pixel aside: 29.1 and 50.1 dB
    ],
)
def test_it_is_faceswaps_chain_sampled_once(centre, aside, floor_warped, floor_target):
    picture = portrait()
    faces = torch.from_numpy(np.concatenate([picture, picture[..., :1]], 2))[None]
    for sample in range(8):
        which = torch.tensor([sample])
        drawn = reference.draw(which, 1, astuple(JITTER))
        sizes = {"size_in": SIZE, "size_out": SIZE, "coverage": 1.0}
        warped, target, _ = augment(faces, torch.tensor([0]), which, seed=1, jitter=JITTER, impl="reference", **sizes)
        their_warped, their_target = faceswap(picture, drawn, centre, aside)
        assert psnr(warped, their_warped) > floor_warped
        assert psnr(target, their_target) > floor_target
