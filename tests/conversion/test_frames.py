"""Swapping the frames of a clip: which change, which are the decoded ones, and in what order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fastswap.conversion import CompositeSettings, swapped_frames
from fastswap.errors import InputError
from fastswap.extraction import extract
from fastswap.faceset import FaceSet
from fastswap.faceset.scan import ScanSettings
from fastswap.video import open_video

SETTINGS = CompositeSettings(64, 0.8)


def green(faces: Tensor) -> tuple[Tensor, Tensor]:
    colour = torch.zeros_like(faces)
    colour[:, 1] = 1
    return colour, torch.ones_like(faces[:, :1])


@pytest.fixture(scope="module")
def leaves(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FaceSet]:
    """A clip with a face in less than half of its frames, at irregular times."""
    clip = data / "videos" / "hard_face_leaves.mov"
    folder = tmp_path_factory.mktemp("leaves") / "faces"
    extract(ScanSettings(clip, folder, size=64), quiet=True)
    return clip, FaceSet.open(folder)


@pytest.mark.parametrize("threads", [1, 2])
def test_frames_without_a_face_are_the_decoded_frames(leaves: tuple[Path, FaceSet], threads: int) -> None:
    clip, faces = leaves
    with_face = {frame for frame, _ in faces.by_frame(0)}
    with open_video(clip) as before, open_video(clip) as after:
        pairs = zip(before, swapped_frames(after, faces, 0, green, SETTINGS, threads=threads), strict=True)
        for index, (old, new) in enumerate(pairs):
            assert old.index == new.index == index
            assert old.pts == new.pts
            same = all(torch.equal(a, b) for a, b in zip(old.planes.data, new.planes.data, strict=True))
            assert same == (index not in with_face)
    assert 0 < len(with_face) < index


def test_a_face_set_of_another_clip_is_refused(leaves: tuple[Path, FaceSet], data: Path) -> None:
    with (
        open_video(data / "videos" / "author_smile.mp4") as other,
        pytest.raises(InputError, match="does not belong"),
    ):
        list(swapped_frames(other, leaves[1], 0, green, SETTINGS))


@pytest.mark.gpu
@pytest.mark.parametrize("upload", [False, True])
def test_a_gpu_swaps_as_a_cpu_does(leaves: tuple[Path, FaceSet], cuda: str, upload: bool) -> None:
    """Whether the frames come from the CPU, and go back there, or lie on the GPU and stay."""
    clip, faces = leaves
    with open_video(clip) as here, open_video(clip, device=cuda if upload else "cpu") as there:
        one = swapped_frames(here, faces, 0, green, SETTINGS)
        other = swapped_frames(there, faces, 0, green, SETTINGS, device=cuda)
        for a, b in zip(one, other, strict=True):
            assert (a.index, a.pts) == (b.index, b.pts)
            assert b.planes.device.type == (cuda if upload else "cpu")
            for x, y in zip(a.planes.data, b.planes.data, strict=True):
                assert (x.int() - y.cpu().int()).abs().max() <= 2
