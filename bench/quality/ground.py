"""What all runs on one pair of puppets share: the clips, the face sets, and what the controls score. Made once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fastswap.conversion import CompositeSettings, ConvertSettings, swapped_frames
from fastswap.conversion.alignments import SIDE_B
from fastswap.conversion.job import composite_settings
from fastswap.evaluation import COVERAGE, SIZE, judged, picture, rivals
from fastswap.extraction import extract
from fastswap.faceset import FaceSet
from fastswap.faceset.scan import ScanSettings
from fastswap.models import TrainedModel
from fastswap.quality.clips import Clips, make_clips
from fastswap.quality.metrics import Picture
from fastswap.quality.motion import Motion
from fastswap.quality.pairs import find_pair
from fastswap.storage import atomic, write_json
from fastswap.video import Frame, open_video

FACE_SIZE = 256
TILE = 208  # px, of a picture in the sheets
_SHOWN = 0.66  # of the frame's side, about its middle
_DONE = "ground.json"


@dataclass(frozen=True)
class Ground:
    """frames: how many of the truth a swap is judged on, from the first; moments: the frames that sheets show."""

    folder: Path
    frames: int
    moments: tuple[int, ...]
    controls: dict[str, dict[str, float | None]]

    @property
    def clips(self) -> Clips:
        return _clips(self.folder)

    @property
    def faces(self) -> tuple[Path, Path]:
        return self.folder / "faces" / "a", self.folder / "faces" / "b"

    def judge(self, model: TrainedModel) -> tuple[dict[str, float | None], Picture]:
        """The scores of a model's swap, and its strip of pictures, a moment below the other."""
        a, clip = FaceSet.open(self.faces[0]), self.clips.a
        settings = composite_settings(ConvertSettings(clip, model.folder, clip), model)
        tiles: dict[int, Picture] = {}
        with open_video(clip) as source, open_video(clip) as given, open_video(self.clips.truth) as truth:
            swapped = swapped_frames(source, a, a.choose(None), lambda x: model.generate(x, SIDE_B), settings)
            watched = _watched(swapped, self.moments, tiles)
            scores = judged({"swap": watched}, given, truth, frames=self.frames)["swap"].to_json()
        return scores, np.concatenate([tiles[moment] for moment in self.moments])


def prepare(folder: Path, pair: str, seed: int, frames: int, quiet: bool) -> None:
    """Renders the pair's clips of this seed, extracts the faces and judges the controls. Raises InputError for a pair
    whose photos are absent."""
    clips = make_clips(folder / "clips", seed, pair=find_pair(pair))
    for clip in (clips.a, clips.b):
        extract(ScanSettings(clip, folder / "faces" / clip.stem, size=FACE_SIZE), quiet=quiet)
    a, b = (FaceSet.open(folder / "faces" / side) for side in "ab")
    settings = CompositeSettings(SIZE, COVERAGE, ConvertSettings(clips.a, folder, folder).colour)
    with open_video(clips.a) as given, open_video(clips.truth) as truth:
        scores = judged(rivals(clips.a, clips.truth, a, b, settings), given, truth, frames=frames)
    moments = telling(clips.motion_a(), frames)
    for name, clip in (("a", clips.a), ("truth", clips.truth)):
        write_strip(folder / f"{name}.png", strip(clip, moments))
    content = {"frames": frames, "moments": moments, "controls": {k: v.to_json() for k, v in scores.items()}}
    write_json(folder / _DONE, content)


def open_ground(folder: Path) -> Ground | None:
    """What `prepare` left; None where it has not finished."""
    if not (folder / _DONE).exists():
        return None
    content: dict[str, Any] = json.loads((folder / _DONE).read_text(encoding="utf-8"))
    return Ground(folder, content["frames"], tuple(content["moments"]), content["controls"])


def telling(motion: Motion, frames: int) -> list[int]:
    """Moments of the first `frames` that differ: turned to either side, mouth open, eyes closed with the mouth not wide
    open, mouth and eyes at rest."""
    yaw, mouth, blink = (track[:frames] for track in (motion.yaw, motion.mouth, motion.blink))
    open_eyes = blink < 0.2
    rest = mouth + blink + np.abs(yaw) / 40
    chosen = [
        np.argmax(np.where(open_eyes, yaw, -np.inf)), np.argmin(np.where(open_eyes, yaw, np.inf)),
        np.argmax(np.where(open_eyes, mouth, -np.inf)), np.argmax(blink - 3 * mouth), np.argmin(rest),
    ]  # fmt: skip
    return sorted({int(each) for each in chosen})


def strip(video: Path, moments: list[int]) -> Picture:
    """The moments of a video, one below the other: [len(moments) * TILE, TILE, 3]."""
    tiles: dict[int, Picture] = {}
    with open_video(video) as frames:
        for frame in _watched(iter(frames), tuple(moments), tiles):
            if frame.index == max(moments):
                break
    return np.concatenate([tiles[moment] for moment in moments])


def write_strip(path: Path, pictures: Picture) -> None:
    with atomic(path) as temporary:
        cv2.imwrite(str(temporary), pictures[..., ::-1])


def _clips(folder: Path) -> Clips:
    place = folder / "clips"
    return Clips(place / "a.mp4", place / "b.mp4", place / "truth.mp4", place / "motion.json")


def _watched(frames: Iterator[Frame], moments: tuple[int, ...], tiles: dict[int, Picture]) -> Iterator[Frame]:
    """Hands the frames on and keeps the middle of those at the moments."""
    for frame in frames:
        if frame.index in moments:
            whole = picture(frame)
            margin = round(whole.shape[0] * (1 - _SHOWN) / 2)
            middle = whole[margin:-margin, margin:-margin]
            tiles[frame.index] = np.asarray(cv2.resize(middle, (TILE, TILE), interpolation=cv2.INTER_AREA))
        yield frame
