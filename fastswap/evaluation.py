"""evaluate: a swap held against the truth, and beside it three controls that have learned nothing, composited by the
same path. A swap that does not beat the constant picture has not learned to follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.conversion import Blend, CompositeSettings, Generate, swapped_frames
from fastswap.errors import InputError
from fastswap.faces import pixel_matrix
from fastswap.faceset import FaceSet
from fastswap.ops import warp
from fastswap.progress import Report, bar, silent
from fastswap.quality.controls import Control, controls
from fastswap.quality.judge import Judge, Scores
from fastswap.quality.metrics import Picture
from fastswap.video import Frame, Video, open_video

SIZE = 128
"""Side of the control's aligned faces, in pixels."""
COVERAGE = 0.8
_MOST_FACES = 600
"""Of B's training faces, spread evenly: as many as the controls look at."""
_SHEET_ROWS = 6
_SHEET_SIDE = 320
_SHEET_MARGIN = 0.7
"""What the sheet shows around a face, in sides of its box."""


@dataclass(frozen=True)
class Evaluation:
    """scores: candidate ("swap" and the controls) -> metric -> value (see `quality.judge.Scores` for their meaning);
    margin_over_constant: the swap's identity margin less that of B's constant picture, dB."""

    scores: dict[str, dict[str, float | None]]
    margin_over_constant: float
    frames: int
    sheet: str | None


def evaluate(
    source: Path,
    swapped: Path,
    truth: Path,
    faces_a: Path,
    faces_b: Path,
    sheet: Path | None = None,
    *,
    colour: str = "covariance",
    blend: Blend = "none",
    quiet: bool = False,
) -> Evaluation:
    """Judges the video `swapped`, made from `source` (whose face set is `faces_a`), against the video `truth`;
    `faces_b` is what the model was trained on. The controls are composited with the conversion's colour and blend.
    Raises InputError where the three videos do not match in size or number of frames."""
    a, b = FaceSet.open(faces_a), FaceSet.open(faces_b)
    person = a.choose(None)
    settings = CompositeSettings(SIZE, COVERAGE, colour, blend=blend)
    with (
        open_video(source) as given,
        open_video(swapped) as output,
        open_video(truth) as wanted,
        bar("evaluate", given.info.frames, "frames", quiet=quiet) as report,
    ):
        candidates: dict[str, Video | Iterator[Frame]] = {"swap": output, **rivals(source, truth, a, b, settings)}
        scores = judged(candidates, given, wanted, report=report)
    if sheet is not None:
        write_sheet(sheet, {"A": source, "swap": swapped, "B as A (truth)": truth}, a, person)
    return Evaluation(
        {name: score.to_json() for name, score in scores.items()},
        round(scores["swap"].margin - scores["constant"].margin, 3),
        scores["swap"].frames,
        None if sheet is None else str(sheet),
    )


def judged(
    candidates: Mapping[str, Video | Iterator[Frame]],
    given: Video,
    truth: Video,
    *,
    frames: int | None = None,
    report: Report = silent,
) -> dict[str, Scores]:
    """Judges the candidates' frames by name, of the first `frames` moments (None: of all, of which there must be the
    same number). given: the untouched input. Raises InputError where videos do not match in size or number of
    frames."""
    videos = (given, truth, *(each for each in candidates.values() if isinstance(each, Video)))
    _same_size(*videos)
    judge = Judge(tuple(candidates))
    moments = _together({"given": given, "truth": truth, **candidates})
    for done, moment in enumerate(islice(moments, frames), 1):
        pictures = {name: picture(frame) for name, frame in moment.items()}
        judge.add({name: pictures[name] for name in judge.names}, pictures["truth"], pictures["given"])
        report(done)
    return judge.scores()


def rivals(
    source: Path, truth: Path, faces_a: FaceSet, faces_b: FaceSet, settings: CompositeSettings
) -> dict[str, Iterator[Frame]]:
    """The frames of the three controls by name, in place of the most frequent person of `faces_a`, who is in
    `source`."""
    person = faces_a.choose(None)
    return {
        name: _rival(source, truth, faces_a, person, control, settings)
        for name, control in controls(*_faces_of(faces_b)).items()
    }


def picture(frame: Frame) -> Picture:
    """A frame as RGB uint8 [H, W, 3]."""
    planes = frame.planes
    same = torch.eye(2, 3)[None]
    square = warp(planes, same, max(planes.height, planes.width))[0, :, : planes.height, : planes.width]
    return np.asarray((square * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def write_sheet(path: Path, videos: dict[str, Path], faces: FaceSet, person: int) -> None:
    """A picture: a column a video, a row a moment (spread evenly over the person's faces in the first video), each the
    surroundings of the face."""
    import cv2

    rows = _moments(faces, person)
    columns = [_column(video, faces, rows) for video in videos.values()]
    sheet = np.concatenate([np.concatenate(column) for column in columns], axis=1)
    header = np.full((28, sheet.shape[1], 3), 24, np.uint8)
    for index, name in enumerate(videos):
        cv2.putText(
            header, name, (index * _SHEET_SIDE + 8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.concatenate([header, sheet])[..., ::-1])


def _moments(faces: FaceSet, person: int) -> dict[int, int]:
    """Frame -> row of the face shown."""
    groups = list(faces.by_frame(person))
    chosen = np.unique(np.linspace(0, len(groups) - 1, _SHEET_ROWS).round().astype(int))
    return {groups[index][0]: int(groups[index][1][0]) for index in chosen}


def _column(video: Path, faces: FaceSet, rows: dict[int, int]) -> list[Picture]:
    tiles = []
    with open_video(video) as frames:
        for frame in frames:
            if frame.index in rows:
                box = np.array(faces.table["box"][rows[frame.index]].as_py())
                side = float((box[2:] - box[:2]).max()) * (1 + 2 * _SHEET_MARGIN)
                corner = (box[:2] + box[2:]) / 2 - side / 2
                scale = side / _SHEET_SIDE
                matrix = torch.tensor([[[scale, 0, corner[0]], [0, scale, corner[1]]]], dtype=torch.float32)
                crop = warp(frame.planes, matrix, _SHEET_SIDE)[0]
                tiles.append((crop * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
            if frame.index == max(rows):
                break
    return tiles


def _faces_of(faces: FaceSet) -> tuple[Tensor, Tensor]:
    rows = faces.rows(faces.choose(None))
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST_FACES)).round().astype(int)]
    stored = round(SIZE / COVERAGE)
    low = (stored - SIZE) // 2
    window = slice(low, low + SIZE)
    images = torch.from_numpy(faces.images(rows, stored)[:, window, window].copy()).permute(0, 3, 1, 2)
    masks = torch.from_numpy(faces.masks(rows, stored)[:, window, window].copy())[:, None]
    return images.float() / 255, masks.float() / 255


def _rival(
    source: Path, truth: Path, faces: FaceSet, person: int, control: Control, settings: CompositeSettings
) -> Iterator[Frame]:
    with open_video(source) as given, open_video(truth) as wanted:
        yield from swapped_frames(given, faces, person, _generator(wanted, faces, person, control), settings)


def _generator(truth: Video, faces: FaceSet, person: int, control: Control) -> Generate:
    aligned = _aligned(truth, faces, person)

    def generate(given: Tensor) -> tuple[Tensor, Tensor]:
        return control(given, torch.stack([next(aligned) for _ in range(len(given))]))

    return generate


def _aligned(video: Video, faces: FaceSet, person: int) -> Iterator[Tensor]:
    """The faces of `video` where `faces` has them in its own, in order: [3, SIZE, SIZE] each."""
    rows_of: dict[int, NDArray[np.int64]] = dict(faces.by_frame(person))
    for frame in video:
        if frame.index in rows_of:
            matrix = pixel_matrix(faces.alignments(rows_of[frame.index]), SIZE, COVERAGE)
            which = torch.zeros(len(matrix), dtype=torch.int64)
            yield from warp(frame.planes, matrix, SIZE, frame=which)


def _together(streams: dict[str, Video | Iterator[Frame]]) -> Iterator[dict[str, Frame]]:
    try:
        for frames in zip(*streams.values(), strict=True):
            yield dict(zip(streams, frames, strict=True))
    except ValueError as error:
        raise InputError("the input, the swap and the truth do not have the same number of frames") from error


def _same_size(*videos: Video) -> None:
    sizes = {(video.info.width, video.info.height) for video in videos}
    if len(sizes) > 1:
        raise InputError(f"the input, the swap and the truth are of different sizes: {sorted(sizes)}")
