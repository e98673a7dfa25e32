"""What a conversion writes beside or instead of the swapped video, and which settings are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fastswap.conversion import ConvertSettings, convert
from fastswap.conversion.settings import check
from fastswap.errors import InputError, UsageError
from fastswap.models import TrainedModel
from fastswap.video import Frame, open_video

pytestmark = pytest.mark.timeout(120)


def frames_of(path: Path) -> list[Frame]:
    with open_video(path) as video:
        return list(video)


def test_the_mask_video_is_white_where_the_other_is_swapped(make_input: Any, model: Path, tmp_path: Path) -> None:
    given = make_input(frames=20, with_face=range(5, 20))
    output, masks = tmp_path / "swapped.mkv", tmp_path / "masks.mkv"
    settings = ConvertSettings(
        given.clip, model, output, faces=given.faces, mask="mesh", quality=0, mask_output=masks, frames="8-"
    )
    convert(settings, quiet=True)
    before, after, drawn = (frames_of(path) for path in (given.clip, output, masks))
    assert len(before) == len(after) == len(drawn) == 20
    for old, new, mask in zip(before, after, drawn, strict=True):
        assert mask.pts * mask.time_base == new.pts * new.time_base
        changed = old.planes.data[0] != new.planes.data[0]
        alpha = mask.planes.data[0].int()
        assert bool(changed.any()) == (old.index >= 8)
        assert (alpha[changed] > 16).all(), "nothing changes where the mask is black"
        assert int(alpha.max()) == (235 if old.index >= 8 else 16)
        assert int(alpha.min()) == 16
        assert (mask.planes.data[1] == 128).all()


def test_a_still_is_that_frame_of_the_swapped_video(make_input: Any, model: Path, tmp_path: Path) -> None:
    given = make_input(frames=12)
    films = {"output": tmp_path / "swapped.mkv", "mask_output": tmp_path / "masks.mkv"}
    stills = {"output": tmp_path / "still.png", "mask_output": tmp_path / "still-mask.png"}
    convert(ConvertSettings(given.clip, model, **films, faces=given.faces, quality=0), quiet=True)
    summary = convert(ConvertSettings(given.clip, model, **stills, faces=given.faces, still=7), quiet=True)
    assert (summary.frames, summary.frames_swapped) == (1, 1)
    for name, film in films.items():
        (picture,) = frames_of(stills[name])
        away = [_luma_apart(picture, frame) for frame in frames_of(film)]
        assert away[7] < 0.021  # some colours of the film are none of RGB's
        assert all(other > 2 * away[7] for other in away[:7] + away[8:])


def _luma_apart(picture: Frame, frame: Frame) -> float:
    """The mean difference of an RGB picture's luma and a YUV frame's, of 1."""
    colour, luma = frame.planes.colour, frame.planes.data[0].float()
    weights = torch.tensor([0.299, 0.587, 0.114] if colour.matrix == "bt601" else [0.2126, 0.7152, 0.0722])
    shown = (picture.planes.data[0].float() / 255 * weights).sum(-1)
    return float((shown - (luma / 255 if colour.full_range else (luma - 16) / 219)).abs().mean())


def test_a_still_of_a_frame_that_is_not_there_is_one_line_and_no_file(
    make_input: Any, model: Path, tmp_path: Path
) -> None:
    given, output = make_input(frames=12), tmp_path / "still.png"
    with pytest.raises(InputError, match="none of these frames"):
        convert(ConvertSettings(given.clip, model, output, faces=given.faces, still=99), quiet=True)
    assert not output.exists()


@pytest.mark.parametrize(("swap_sides", "side"), [(False, 1), (True, 0)])
def test_the_sides_swapped_draw_a(
    make_input: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap_sides: bool, side: int
) -> None:
    given, sides, real = make_input(frames=8), set[int](), TrainedModel.generate

    def noted(self: TrainedModel, faces: torch.Tensor, side: int) -> Any:
        sides.add(side)
        return real(self, faces, side)

    monkeypatch.setattr(TrainedModel, "generate", noted)
    settings = ConvertSettings(given.clip, model, tmp_path / "o.mkv", faces=given.faces, swap_sides=swap_sides)
    convert(settings, quiet=True)
    assert sides == {side}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"mask": "hair"}, "--mask hair: choose one of predicted, mesh, both, file"),
        ({"erode": (0.1, 0.2)}, "--erode takes one number or four"),
        ({"erode": 2.0}, "--erode 2: shares of the aligned square"),
        ({"feather": (0.1, 0.1, -0.1, 0.1)}, "--feather 0.1 0.1 -0.1 0.1: shares"),
        ({"feather": float("nan")}, "--feather nan: shares"),
        ({"face_scale": 0.0}, "--face-scale 0: choose a number from 0.5 to 2"),
        ({"opacity": 1.5}, "--opacity 1.5: choose a number from 0 to 1"),
        ({"mask_output": Path("o.mp4")}, "--mask-output o.mp4 is the output itself"),
        ({"still": 3}, "--still writes a picture: o.mp4 names none"),
        ({"still": -1, "output": Path("o.png")}, "--still -1: name one frame"),
        ({"still": 3, "output": Path("o.png"), "frames": "3-5"}, "--still 3: name one frame"),
    ],
)
def test_settings_that_no_conversion_can_follow_are_refused_in_a_line(options: dict[str, Any], line: str) -> None:
    given: dict[str, Any] = {"input": Path("a.mp4"), "model": Path("m"), "output": Path("o.mp4")} | options
    with pytest.raises(UsageError) as error:
        check(ConvertSettings(**given))
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)
