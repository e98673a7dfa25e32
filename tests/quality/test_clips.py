"""The files of a trial."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fastswap.errors import MissingDependencyError
from fastswap.ops import warp
from fastswap.quality import clips, portraits
from fastswap.quality.puppet import Picture, Puppet
from fastswap.video import Frame, open_video


def rgb(frame: Frame) -> Picture:
    side = frame.planes.width
    square = warp(frame.planes, torch.eye(2, 3)[None], side)[0]
    return np.asarray((square * 255).round().to(torch.uint8).permute(1, 2, 0))


def test_three_clips_and_their_motions(
    tmp_path: Path, pair: tuple[Puppet, Puppet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "puppets", lambda size, _: pair)
    seen: list[int] = []
    made = clips.make_clips(
        tmp_path / "trial",
        3,
        frames_a=6,
        frames_b=9,
        size=pair[0].size,
        progress=lambda done, note="": seen.append(done),
    )
    assert seen == list(range(1, 22))
    motion = made.motion_a()
    assert (len(motion), len(made.motion_b())) == (6, 9)
    for path, puppet, frames in ((made.a, pair[0], 6), (made.b, pair[1], 9), (made.truth, pair[1], 6)):
        with open_video(path) as video:
            assert (video.info.width, video.info.height, video.info.fps) == (puppet.size, puppet.size, clips.FPS)
            read = list(video)
        assert len(read) == frames
        if path != made.b:
            error = rgb(read[4]).astype(float) - puppet.render(motion, 4)
            assert 10 * np.log10(255**2 / np.square(error).mean()) > 33


def test_without_scikit_image_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "fastswap\[demo\]"'):
        portraits.astronaut()


def test_clips_are_made_again_over_old_ones(
    tmp_path: Path, pair: tuple[Puppet, Puppet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "puppets", lambda size, _: pair)
    first = clips.make_clips(tmp_path, 1, frames_a=2, frames_b=2, size=pair[0].size)
    before = first.motion.read_bytes()
    clips.make_clips(tmp_path, 1, frames_a=2, frames_b=2, size=pair[0].size)
    assert first.motion.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "motion.json", "truth.mp4"]
