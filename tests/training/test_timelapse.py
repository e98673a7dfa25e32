"""What is kept of a run: snapshots that open as models, a film of the same faces, pictures for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fastswap.errors import InputError, UsageError
from fastswap.faces import Faces, mean_face
from fastswap.models import TrainedModel
from fastswap.ops import Planes
from fastswap.training import TrainSettings, timelapse, train

Settings = Callable[..., TrainSettings]


def test_snapshots_stay_and_open_as_models(settings: Settings) -> None:
    asked = settings(iterations=9, save_every=2, keep=1, snapshot_every=3)
    train(asked)
    assert sorted(p.name for p in (asked.model / "checkpoints").glob("step-*")) == ["step-00000009.safetensors"]
    folders = sorted((asked.model / "snapshots").iterdir())
    assert [folder.name for folder in folders] == ["step-00000003", "step-00000006", "step-00000009"]
    models = [TrainedModel.open(folder) for folder in folders]
    assert [model.iteration for model in models] == [3, 6, 9]
    face = torch.rand(1, 3, 32, 32)
    swaps = [model.generate(face, 1)[0] for model in models]
    assert not torch.equal(swaps[0], swaps[1])
    assert torch.equal(swaps[2], TrainedModel.open(asked.model).generate(face, 1)[0])


def test_a_snapshot_is_written_where_the_disk_has_no_links(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    asked = settings(iterations=2, snapshot_every=2)
    train(asked)
    assert TrainedModel.open(asked.model / "snapshots/step-00000002").iteration == 2


def test_the_film_shows_the_same_faces_at_each_preview(settings: Settings, pair: tuple[Path, Path]) -> None:
    asked = settings(iterations=6, preview_every=2, timelapse=pair[0])
    train(asked)
    names = sorted(p.name for p in (asked.model / "timelapse").iterdir())
    assert names == [f"step-{number:08d}.png" for number in (2, 4, 6)]
    pictures = [cv2.imread(str(asked.model / "timelapse" / name)) for name in names]
    assert {picture.shape for picture in pictures} == {(3 * 34, 56 + 8 * 34, 3)}, "as they are, as A, as B"
    faces, swaps = slice(0, 32), slice(34, None)
    assert np.array_equal(pictures[0][faces], pictures[2][faces])
    assert not np.array_equal(pictures[0][swaps], pictures[2][swaps])
    drawn = pictures[0][10:20, 56:88].mean((0, 1))
    assert drawn[2] > drawn[0], "A's skin, and RGB is the right way round"


def test_the_film_may_be_written_elsewhere(settings: Settings, pair: tuple[Path, Path], tmp_path: Path) -> None:
    train(settings(iterations=2, timelapse=pair[1], timelapse_output=tmp_path / "film"))
    assert [p.name for p in (tmp_path / "film").iterdir()] == ["step-00000002.png"]
    with pytest.raises(UsageError, match="give both"):
        train(settings(timelapse_output=tmp_path / "film"))


def test_pictures_are_searched_for_their_largest_face(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelapse, "FaceFinder", _Finder)
    for place, grey in enumerate((40, 120, 200)):
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"{place}.png"), np.full((90, 120, 3), grey, np.uint8))
    asked = settings(iterations=2, timelapse=tmp_path / "pictures")
    train(asked)
    picture = cv2.imread(str(asked.model / "timelapse/step-00000002.png"))
    shown = [int(picture[16, 56 + 34 * place + 16, 0]) for place in range(2)]
    assert picture.shape[1] == 56 + 2 * 34, "the darkest picture has no face"
    assert shown == [120, 200]


class _Finder:
    """Finds a small and a large mean face in bright pictures, none in dark ones."""

    def find(self, planes: Planes, *, aspect: float = 1.0) -> Faces:
        count = 2 if planes.data[0].float().mean() > 100 else 0
        sizes = torch.tensor([10.0, 80.0])[:count]
        box = torch.stack([torch.zeros(count), torch.zeros(count), sizes, sizes], 1)
        landmarks = mean_face()[None] * sizes[:, None, None]
        return Faces(torch.zeros(count, dtype=torch.int64), box, torch.ones(count), torch.ones(count), landmarks)


def test_a_folder_without_a_face_is_one_line(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelapse, "FaceFinder", _Finder)
    (tmp_path / "dark").mkdir()
    cv2.imwrite(str(tmp_path / "dark/0.png"), np.zeros((90, 120, 3), np.uint8))
    with pytest.raises(InputError, match="shows no face"):
        train(settings(timelapse=tmp_path / "dark"))
    with pytest.raises(InputError):
        train(settings(timelapse=tmp_path / "nowhere"))


def test_tensorboard_is_shown_the_sheet(settings: Settings) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    asked = settings(iterations=4, preview_every=2)
    train(asked)
    events = EventAccumulator(str(asked.model / "logs")).Reload()
    pictures = events.Images("preview")
    assert [picture.step for picture in pictures] == [2, 4]
    sheet = cv2.imdecode(np.frombuffer(pictures[-1].encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(sheet, cv2.imread(str(asked.model / "previews/latest.png")))
