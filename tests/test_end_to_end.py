"""extract -> train -> convert on the real pair, and what must hold of the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fastswap.conversion import ConvertSettings, ConvertSummary, convert
from fastswap.errors import InputError
from fastswap.extraction import ExtractSummary, extract
from fastswap.faceset import FaceSet
from fastswap.faceset.scan import ScanSettings
from fastswap.training import TrainSettings, train
from fastswap.video import open_video

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Swap:
    source: Path
    output: Path
    faces_a: Path
    extracted: dict[str, ExtractSummary]
    converted: ConvertSummary


@pytest.fixture(scope="module")
def swap(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Swap:
    folder = tmp_path_factory.mktemp("swap")
    clips = {"a": data / "videos/A_man_kitchen.mp4", "b": data / "videos/B_woman_garden.mp4"}
    extracted = {side: extract(ScanSettings(clip, folder / side, size=256), quiet=True) for side, clip in clips.items()}
    train(
        TrainSettings(
            folder / "a", folder / "b", folder / "model", preset="lite", iterations=30, cache=folder / "cache"
        )
    )
    output = folder / "swapped.mp4"
    converted = convert(ConvertSettings(clips["a"], folder / "model", output), quiet=True)
    return Swap(clips["a"], output, folder / "a", extracted, converted)


def test_faces_are_found_in_all_frames(swap: Swap) -> None:
    assert swap.extracted["a"].frames == 502
    assert swap.extracted["a"].frames_with_face >= 0.984 * 502
    assert swap.extracted["b"].frames_with_face == swap.extracted["b"].frames == 250


def test_the_output_is_the_input_but_for_the_face(swap: Swap) -> None:
    import av

    with av.open(str(swap.source)) as source, av.open(str(swap.output)) as output:
        a, b = source.streams.video[0], output.streams.video[0]
        assert (a.width, a.height, a.average_rate) == (b.width, b.height, b.average_rate)
        sound = [[bytes(p) for p in c.demux(audio=0) if p.size] for c in (source, output)]
        assert sound[0] == sound[1]
    with open_video(swap.source) as source, open_video(swap.output) as output:
        pts = [[frame.pts * frame.time_base for frame in video] for video in (source, output)]
    assert pts[0] == pts[1]
    assert len(pts[0]) == swap.converted.frames == 502


def test_the_face_changes_and_the_rest_does_not(swap: Swap) -> None:
    faces = FaceSet.open(swap.faces_a)
    with open_video(swap.source) as source, open_video(swap.output) as output:
        before, after = next(iter(source)), next(iter(output))
    difference = (before.planes.data[0][0].float() - after.planes.data[0][0].float()).abs().numpy()
    x0, y0, x1, y1 = np.array(faces.table["box"][0].as_py()).astype(int)
    inside = difference[y0:y1, x0:x1].mean()
    margin = (x1 - x0) // 2
    outside = difference.copy()
    outside[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin] = 0
    assert inside > 4 * outside.mean()
    assert outside.mean() < 1.5, "only the codec may touch what no face covers"


def test_only_the_chosen_person_is_replaced(swap: Swap) -> None:
    assert swap.converted.person == 0
    assert swap.converted.frames_swapped >= 0.984 * 502


def test_a_clip_the_model_never_saw_has_its_own_faces_found(swap: Swap, data: Path, tmp_path: Path) -> None:
    settings = ConvertSettings(data / "videos/author_smile.mp4", swap.output.parent / "model", tmp_path / "other.mp4")
    assert convert(settings, quiet=True).frames_swapped == 72


def test_without_a_face_nothing_is_written(swap: Swap, data: Path, tmp_path: Path) -> None:
    settings = ConvertSettings(data / "videos/noface.mp4", swap.output.parent / "model", tmp_path / "none.mp4")
    with pytest.raises(InputError, match="nothing to replace"):
        convert(settings, quiet=True)
    assert list(tmp_path.iterdir()) == []
