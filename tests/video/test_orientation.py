"""Turning: exact, undone by its inverse, with chroma staying where it is in the scene."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from fastswap.ops.planes import Colour, Planes
from fastswap.video import open_video
from fastswap.video._orientation import UPRIGHT, Orientation, from_matrix, turn, turn_colour

from .conftest import MakeClip, decoded, plane

ALL = [Orientation(*flags) for flags in itertools.product((False, True), repeat=3)]


def ramps(width: int, height: int, siting: tuple[float, float]) -> Planes:
    """Every luma sample holds its own x + 100 y in bits of its own; chroma holds its x and y, doubled to stay whole."""
    y, x = np.indices((height, width), np.uint16)
    rows, columns = np.indices((-(-height // 2), -(-width // 2)))
    places = np.stack([2 * (2 * columns + siting[0]), 2 * (2 * rows + siting[1])], axis=-1).astype(np.uint16)
    data = (torch.from_numpy(x + 100 * y)[None], torch.from_numpy(places)[None])
    return Planes("p010", data, Colour(siting=siting))


@pytest.mark.parametrize("orientation", ALL)
@pytest.mark.parametrize("size", [(6, 4), (7, 4), (6, 5), (7, 5)])
@pytest.mark.parametrize("siting", [(0.0, 0.5), (0.5, 0.5)])
def test_chroma_lies_where_the_siting_says_after_turning(
    orientation: Orientation, size: tuple[int, int], siting: tuple[float, float]
) -> None:
    stored = ramps(*size, siting)
    upright = turn(stored, orientation)
    assert (upright.width, upright.height) == orientation.size(*size)
    luma = upright.data[0][0].numpy().astype(int)
    # the stored place of upright place (x, y) is a linear map, read off three corners of luma
    origin = np.array([luma[0, 0] % 100, luma[0, 0] // 100])
    along_x = np.array([luma[0, 1] % 100, luma[0, 1] // 100]) - origin
    along_y = np.array([luma[1, 0] % 100, luma[1, 0] // 100]) - origin
    places = upright.data[1][0].numpy() / 2
    for row, column in np.ndindex(places.shape[:2]):
        x, y = 2 * column + upright.colour.siting[0], 2 * row + upright.colour.siting[1]
        assert places[row, column] == pytest.approx(origin + x * along_x + y * along_y)


@pytest.mark.parametrize("orientation", ALL)
def test_the_inverse_undoes_it(orientation: Orientation) -> None:
    stored = ramps(7, 4, (0.0, 0.5))
    back = turn(turn(stored, orientation), orientation.inverse())
    assert back.colour == stored.colour
    assert all(torch.equal(a, b) for a, b in zip(back.data, stored.data, strict=True))
    assert all(part.is_contiguous() for part in back.data)


@pytest.mark.parametrize("orientation", ALL)
def test_the_matrix_tells_the_orientation(orientation: Orientation) -> None:
    assert from_matrix(orientation.matrix()) == orientation


def test_a_slant_is_no_orientation() -> None:
    assert from_matrix([46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30]) is None


@pytest.mark.parametrize("orientation", [o for o in ALL if o != UPRIGHT])
def test_a_file_that_asks_to_be_turned_is_delivered_upright(make_clip: MakeClip, orientation: Orientation) -> None:
    path = make_clip(size=(64, 48), matrix=orientation.matrix())
    with open_video(path) as video:
        frame = next(iter(video))
        assert (video.info.width, video.info.height) == orientation.size(64, 48)
        assert video.info.colour == frame.planes.colour
    stored = plane(decoded(path)[0], 0)
    expected = stored.T if orientation.transpose else stored
    expected = expected[:, ::-1] if orientation.flip_x else expected
    expected = expected[::-1] if orientation.flip_y else expected
    assert np.array_equal(frame.planes.data[0][0].numpy(), expected)
    assert frame.planes.colour == turn_colour(Colour("bt601"), orientation, 64, 48)


def test_a_rotated_talker_stands_upright(data: Path) -> None:
    """The same clip, stored upright and turned by metadata, shows the same picture (two encodings of it)."""
    with (
        open_video(data / "odd" / "v_rot180_meta.mp4") as turned,
        open_video(data / "odd" / "v_one_frame.mp4") as plain,
    ):
        a, b = (next(iter(video)).planes.data[0].float() for video in (turned, plain))
    assert a.shape == b.shape
    assert (a - b).abs().mean() < 5 < (a.flip(1) - b).abs().mean()
