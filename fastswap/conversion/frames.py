"""The frames of a video with the faces of one person swapped: decode, composite, hand on. Bounded memory, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from fastswap import workers
from fastswap.conversion.composite import CompositeSettings, Generate, composite
from fastswap.errors import InputError
from fastswap.faceset import FaceSet
from fastswap.ops import Planes
from fastswap.video import Frame, Video
from fastswap.video.chunk import chunks


def swapped_frames(
    video: Video,
    faces: FaceSet,
    person: int,
    generate: Generate,
    settings: CompositeSettings,
    *,
    device: str = "cpu",
    threads: int = 1,
) -> Iterator[Frame]:
    """Yields every frame of `video` in order, the faces of `person` (as found in `faces`) replaced by what `generate`
    makes of them. A frame without such a face is the decoded frame itself. With more than one thread `generate` is
    called from several at once, in any order. Raises InputError where the face set was made of another video."""
    source = faces.meta.source
    if (video.info.width, video.info.height) != (source.width, source.height):
        raise InputError(
            f"{faces.path} does not belong to {video.info.path}: its frames were {source.width} x {source.height}"
        )
    swapper = _Swapper(faces, dict(faces.by_frame(person)), generate, settings, device)
    for frames in workers.ordered(swapper, chunks(video), threads):
        yield from frames


@dataclass(frozen=True)
class _Swapper:
    """Swaps the faces of a few frames whose planes stack. rows_of: frame -> rows of the face set."""

    faces: FaceSet
    rows_of: dict[int, NDArray[np.int64]]
    generate: Generate
    settings: CompositeSettings
    device: str

    def __call__(self, frames: list[Frame]) -> list[Frame]:
        found = [i for i, frame in enumerate(frames) if frame.index in self.rows_of]
        if not found:
            return frames
        rows = [self.rows_of[frames[i].index] for i in found]
        self._check([frames[i] for i in found], rows)
        planes = Planes.stack([frames[i].planes for i in found]).to(self.device)
        chosen = np.concatenate(rows)
        which = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(r) for r in rows]))
        alignment, landmarks = self.faces.alignments(chosen), self.faces.landmarks(chosen)
        composite(planes, alignment, landmarks, which, self.generate, self.settings)
        planes = planes.to("cpu")
        swapped = list(frames)
        for slot, i in enumerate(found):
            swapped[i] = replace(frames[i], planes=planes.frame(slot))
        return swapped

    def _check(self, frames: list[Frame], rows: list[NDArray[np.int64]]) -> None:
        """The frame times say whether this is the video that the faces were found in."""
        known = self.faces.table["pts"]
        for frame, numbers in zip(frames, rows, strict=True):
            if frame.pts != known[int(numbers[0])].as_py():
                raise InputError(
                    f"{self.faces.path} does not belong to this video: frame {frame.index} is shown at another time"
                )
