"""How many windows a batch has: by memory and by the size of frames and faces, whole windows always."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fastswap.faceset import batch
from fastswap.faceset.batch import windows
from fastswap.video import VideoInfo, open_video

GIB = 1 << 30


@pytest.fixture
def info(data) -> VideoInfo:
    with open_video(data / "videos" / "author_smile.mp4") as video:
        return video.info


@pytest.fixture
def free(monkeypatch):
    """free(bytes): a GPU with so much memory left."""
    return lambda number: monkeypatch.setattr(batch, "free_memory", lambda device: number)


@pytest.mark.parametrize(("gib", "expected"), [(0.5, 1), (10, 2), (22, 4), (140, 4)])
def test_a_gpu_takes_what_fits_in_a_quarter_of_its_memory(info, free, gib, expected):
    free(int(gib * GIB))
    assert windows(replace(info, width=1920, height=1080), 512, "cuda") == expected


def test_large_faces_take_more(info, free):
    free(20 * GIB)
    assert windows(info, 2048, "cuda") < windows(info, 256, "cuda")


def test_a_cpu_takes_one_window_and_pictures_come_alone(info, free):
    free(140 * GIB)
    assert windows(info, 512, "cpu") == 1
    assert windows(replace(info, is_pictures=True), 512, "cuda") == 1
