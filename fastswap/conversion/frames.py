"""The frames of a video with the faces of one person swapped: decode, composite, hand on. Bounded memory, in order.

On a CPU a core takes a few frames through everything while their planes are in its cache. On a GPU the halves of a
composite are stages with a stream each, and more frames go together, so that the network sees at least 16 faces where
every other frame has one. Frames go together by their place in the video and nothing else: the same ones however the
work is shared out, so that no result depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.conversion.composite import CompositeSettings, Generated, finish, generated
from fastswap.conversion.generator import Generate
from fastswap.conversion.masks import black
from fastswap.conversion.occlusion import Usual, learn
from fastswap.errors import InputError
from fastswap.faceset import FaceSet
from fastswap.flow import Stage, flow
from fastswap.ops import Planes
from fastswap.streams import flow_on_gpu
from fastswap.video import Frame, Video
from fastswap.video.chunk import chunks

_ON_CPU = (8, 32 << 20)
_ON_GPU = (32, 256 << 20)


def together(device: str) -> tuple[int, int]:
    """How many frames, and how many bytes of them, are swapped together on this device: arguments of `chunks`. On a CPU
    4 to 8 frames of 1080p are the cheapest: more leave its cache, fewer make the network's batches small."""
    return _ON_CPU if device == "cpu" else _ON_GPU


def swapped_frames(
    video: Video,
    faces: FaceSet,
    person: int,
    generate: Generate,
    settings: CompositeSettings,
    *,
    device: str = "cpu",
    threads: int = 1,
    only: Container[int] | None = None,
    all_faces: FaceSet | None = None,
    masks: Callable[[Frame], None] | None = None,
) -> Generator[Frame]:
    """Yields every frame of `video` in order, the faces of `person` (as found in `faces`) replaced by what `generate`
    makes of them, where the frame's number is in `only` (None: everywhere). A frame without such a face is the decoded
    frame itself; others come back to where the video's frames are. all_faces: what `faces` are some of, to learn from
    what is usual for the person (their pictures are looked at, and whose they are). masks: is given, just before each
    frame, a frame that is white where the other is swapped and black where it is not, grey between.

    On a CPU one thread is the caller's own. More decode and swap beside the caller, who writes meanwhile: then
    `generate` is called from several at once, in any order. On a GPU a thread decodes and one is there for each stage.
    To be closed where it may be left early. Raises InputError where the face set was made of another video.
    """
    source = faces.meta.source
    if (video.info.width, video.info.height) != (source.width, source.height):
        raise InputError(
            f"{faces.path} does not belong to {video.info.path}: its frames were {source.width} x {source.height}"
        )
    rows_of = {frame: rows for frame, rows in faces.by_frame(person) if only is None or frame in only}
    expected = None
    if settings.occlusion:
        expected = learn(all_faces or faces, person, generate, settings.size_in, settings.coverage, device)
    swapper = _Swapper(faces, rows_of, generate, settings, device, expected, masks is not None)
    with closing(_swapped(swapper, chunks(video, *together(device)), threads)) as batches:
        for frames in batches:
            for frame, mask in frames:
                if masks is not None and mask is not None:
                    masks(mask)
                yield frame


def _swapped(swapper: _Swapper, batches: Iterator[list[Frame]], threads: int) -> Generator[list[_Done]]:
    if swapper.device != "cpu":
        stages = [Stage("faces", swapper.read), Stage("generate", swapper.generate), Stage("finish", swapper.finish)]
        yield from flow_on_gpu(batches, stages, swapper.device)
    elif threads > 1:
        yield from flow(batches, [Stage("swap", swapper, threads)], ahead=1)
    else:
        yield from map(swapper, batches)


@dataclass(frozen=True)
class _Found:
    """The N faces of a batch. places: which frames of the batch show them; planes: those frames, on the device;
    alignment [N, 2, 3], landmarks [N, 478, 3], frame int64 [N]: see `composite`; masks: float [N, 1, s, s], the user's
    own, where they are asked for."""

    places: list[int]
    planes: Planes
    alignment: Tensor
    landmarks: Tensor
    frame: Tensor
    masks: Tensor | None


@dataclass(frozen=True)
class _Batch:
    """Frames on their way. found: None where no face is to be swapped; made: None before the generator."""

    frames: list[Frame]
    found: _Found | None = None
    made: Generated | None = None


class _Done(NamedTuple):
    """A frame, swapped, and what was pasted in it, where that is asked for."""

    frame: Frame
    mask: Frame | None


@dataclass(frozen=True)
class _Swapper:
    """Swaps the faces of a few frames whose planes stack. rows_of: frame -> rows of the face set; generator: see
    `Generate`; expected: see `occlusion`; draws: whether masks are asked for."""

    faces: FaceSet
    rows_of: dict[int, NDArray[np.int64]]
    generator: Generate
    settings: CompositeSettings
    device: str
    expected: Usual | None
    draws: bool

    def __call__(self, frames: list[Frame]) -> list[_Done]:
        return self.finish(self.generate(self.read(frames)))

    def read(self, frames: list[Frame]) -> _Batch:
        """The faces of the frames, as the face set knows them."""
        places = [place for place, frame in enumerate(frames) if frame.index in self.rows_of]
        if not places:
            return _Batch(frames)
        rows = [self.rows_of[frames[place].index] for place in places]
        self._check([frames[place] for place in places], rows)
        chosen = np.concatenate(rows)
        found = _Found(
            places,
            Planes.stack([frames[place].planes for place in places]).to(self.device),
            self.faces.alignments(chosen),
            self.faces.landmarks(chosen),
            torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(r) for r in rows])),
            self._masks(chosen) if self.settings.mask == "file" else None,
        )
        return _Batch(frames, found)

    def generate(self, batch: _Batch) -> _Batch:
        found = batch.found
        if found is None:
            return batch
        made = generated(found.planes, found.alignment, found.frame, self.generator, self.settings)
        return replace(batch, made=made)

    def finish(self, batch: _Batch) -> list[_Done]:
        """The frames, with the swapped ones where they came from."""
        found = batch.found
        done = [_Done(frame, self._black(frame) if self.draws else None) for frame in batch.frames]
        if found is None or batch.made is None:
            return done
        drawn = black(found.planes) if self.draws else None
        finish(
            found.planes,
            found.alignment,
            found.landmarks,
            found.frame,
            batch.made,
            self.settings,
            given=found.masks,
            expected=self.expected,
            drawn=drawn,
        )
        home = batch.frames[0].planes.device
        planes, masks = found.planes.to(home), None if drawn is None else drawn.to(home)
        for slot, place in enumerate(found.places):
            frame, mask = done[place]
            if mask is not None and masks is not None:
                mask = replace(mask, planes=masks.frame(slot))
            done[place] = _Done(replace(frame, planes=planes.frame(slot)), mask)
        return done

    def _black(self, frame: Frame) -> Frame:
        return replace(frame, planes=black(frame.planes), icc_profile=None)

    def _masks(self, rows: NDArray[np.int64]) -> Tensor:
        """The whole squares, at the scale at which the network sees their middle."""
        size = round(self.settings.size_in / self.settings.coverage)
        return torch.from_numpy(self.faces.masks(rows, size))[:, None].float() / 255

    def _check(self, frames: list[Frame], rows: list[NDArray[np.int64]]) -> None:
        """The frame times say whether this is the video that the faces were found in."""
        known = self.faces.table["pts"]
        for frame, numbers in zip(frames, rows, strict=True):
            seen_at = known[int(numbers[0])].as_py()  # None: filled in between two frames (`presence`)
            if seen_at not in (None, frame.pts):
                raise InputError(
                    f"{self.faces.path} does not belong to this video: frame {frame.index} is shown at another time"
                )
