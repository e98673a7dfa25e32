"""Looking at frames and writing what was seen: two halves, pictures in two formats, faults of the disk, and a GPU."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from fastswap.errors import InputError
from fastswap.extraction import extract
from fastswap.faces import FaceFinder, persons
from fastswap.faceset import FaceSet, look
from fastswap.faceset.look import Looker
from fastswap.faceset.pictures import names, write_picture
from fastswap.faceset.scan import ScanSettings
from fastswap.video import Frame, open_video

SIZE = 64


@pytest.fixture(scope="module")
def clip(data: Path) -> Path:
    return data / "videos" / "author_smile.mp4"


@pytest.fixture(scope="module")
def frames(clip: Path) -> list[Frame]:
    with open_video(clip) as video:
        return list(islice(video, 3))


@pytest.fixture
def looker(tmp_path: Path) -> Looker:
    return Looker(FaceFinder(), persons.method("appearance"), tmp_path, SIZE, 0, 1.0, "cpu")


class TestPictures:
    def test_names_count_the_faces_of_a_frame(self) -> None:
        assert names([3, 3, 12], "jpg") == ["000003_0.jpg", "000003_1.jpg", "000012_0.jpg"]

    @pytest.mark.parametrize(("suffix", "most"), [("png", 0.0), ("jpg", 1.5)])
    def test_come_back(self, tmp_path: Path, suffix: str, most: float) -> None:
        import cv2

        ramp = np.linspace(0, 255, 32 * 32).reshape(32, 32)
        picture = np.stack([ramp, ramp.T, 255 - ramp]).astype(np.uint8)
        write_picture(tmp_path / f"a.{suffix}", picture)
        back = cv2.imread(str(tmp_path / f"a.{suffix}"))[..., ::-1].transpose(2, 0, 1)
        assert np.abs(back.astype(int) - picture).mean() <= most


class TestHalves:
    def test_nothing_is_written_before_write(self, looker: Looker, frames: list[Frame], tmp_path: Path) -> None:
        looked = looker.look(frames)
        assert not list(tmp_path.iterdir())
        seen = looker.write(looked)
        assert sorted(path.name for path in tmp_path.iterdir()) == seen.rows["file"].tolist()
        assert (seen.faces, list(seen.frames)) == (3, [0, 1, 2])

    def test_together_they_are_a_call(self, looker: Looker, frames: list[Frame]) -> None:
        halves, whole = looker.write(looker.look(frames)), looker(frames)
        for name, column in whole.rows.items():
            assert np.array_equal(column, halves.rows[name]), name

    def test_sharpness_is_the_variance_of_the_laplacian_of_luma(self) -> None:
        import cv2

        crops = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        luma = (crops.permute(0, 2, 3, 1) @ torch.tensor([0.299, 0.587, 0.114])).numpy() * 255
        expected = [cv2.Laplacian(each, cv2.CV_32F)[1:-1, 1:-1].var(ddof=1) for each in luma]
        assert look._sharpness(crops).tolist() == pytest.approx(expected, rel=1e-4)


class TestExtraction:
    def test_jpg_is_read_as_png_is(self, clip: Path, tmp_path: Path) -> None:
        sets = {}
        for suffix in ("png", "jpg"):
            settings = ScanSettings(clip, tmp_path / suffix, size=SIZE, every=24, format=suffix)
            extract(settings, quiet=True)
            sets[suffix] = FaceSet.open(tmp_path / suffix)
        assert sets["jpg"].table["file"].to_pylist() == ["000000_0.jpg", "000024_0.jpg", "000048_0.jpg"]
        rows = sets["jpg"].rows()
        apart = sets["jpg"].images(rows).astype(int) - sets["png"].images(rows)
        assert 0 < np.abs(apart).mean() < 2

    def test_another_format_is_another_face_set(self, clip: Path, tmp_path: Path) -> None:
        extract(ScanSettings(clip, tmp_path / "faces", size=SIZE, every=24), quiet=True)
        with pytest.raises(InputError, match="other settings"):
            extract(ScanSettings(clip, tmp_path / "faces", size=SIZE, every=24, format="jpg"), quiet=True)

    def test_a_full_disk_ends_it_and_names_no_whole_part(
        self, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, picture: object) -> None:
            if path.name > "000016":
                raise OSError(28, "No space left on device", str(path))
            write_picture(path, picture)  # type: ignore[arg-type]

        monkeypatch.setattr(look, "write_picture", full)
        with pytest.raises(OSError, match="No space"):
            extract(ScanSettings(clip, tmp_path / "faces", size=SIZE), quiet=True)
        with pytest.raises(InputError, match="not finished"):
            FaceSet.open(tmp_path / "faces")


@pytest.mark.gpu
class TestOnAGPU:
    def test_the_same_face_set(self, cuda: str, clip: Path, tmp_path: Path) -> None:
        sets = []
        for device in ("cpu", cuda):
            extract(ScanSettings(clip, tmp_path / device, size=128, device=device), quiet=True)
            sets.append(FaceSet.open(tmp_path / device))
        expected, found = sets
        for column in ("file", "frame", "pts", "track", "person"):
            assert found.table[column].to_pylist() == expected.table[column].to_pylist()
        apart = found.alignments(found.rows()) - expected.alignments(expected.rows())
        assert float(apart.abs().max()) < 1.0  # px, of a face some 150 px wide
        rows = expected.rows()[::10]
        assert np.abs(found.images(rows).astype(int) - expected.images(rows)).mean() < 3

    def test_no_face_and_pictures(self, cuda: str, data: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no face found"):
            extract(ScanSettings(data / "videos" / "noface.mp4", tmp_path / "none", device=cuda), quiet=True)
        photo = data / "photos" / "london_099.jpg"
        assert extract(ScanSettings(photo, tmp_path / "one", device=cuda), quiet=True).faces == 1
