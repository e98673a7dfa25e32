"""The frames of a video with the faces of one person swapped: decode, composite, hand on. Bounded memory, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from fastswap.conversion.composite import CompositeSettings, Generate, composite
from fastswap.errors import InputError
from fastswap.faceset import FaceSet
from fastswap.ops import Planes
from fastswap.video import Frame, Video
from fastswap.video.chunk import chunks

_CHUNK_FRAMES = 16
"""Frames swapped together: the generator's batch, where each has one face."""


def swapped_frames(
    video: Video, faces: FaceSet, person: int, generate: Generate, settings: CompositeSettings, device: str = "cpu"
) -> Iterator[Frame]:
    """Yields every frame of `video` in order, the faces of `person` (as found in `faces`) replaced by what `generate`
    makes of them. A frame without such a face is the decoded frame itself. Raises InputError where the face set was
    made of another video."""
    rows_of = dict(faces.by_frame(person))
    known_pts = np.asarray(faces.table["pts"].to_numpy())
    for chunk in chunks(video, _CHUNK_FRAMES):
        found = [(i, rows_of[frame.index]) for i, frame in enumerate(chunk) if frame.index in rows_of]
        if not found:
            yield from chunk
            continue
        for i, rows in found:
            if chunk[i].pts != known_pts[rows[0]]:
                raise InputError(
                    f"{faces.path} does not belong to {video.info.path}: frame {chunk[i].index} is another one"
                )
        planes = _swap(
            [chunk[i].planes for i, _ in found], [rows for _, rows in found], faces, generate, settings, device
        )
        changed = {i: planes.frame(slot).to("cpu") for slot, (i, _) in enumerate(found)}
        for i, frame in enumerate(chunk):
            yield replace(frame, planes=changed[i]) if i in changed else frame


def _swap(
    frames: list[Planes],
    rows: list[NDArray[np.int64]],
    faces: FaceSet,
    generate: Generate,
    settings: CompositeSettings,
    device: str,
) -> Planes:
    planes = Planes.stack(frames).to(device)
    chosen = np.concatenate(rows)
    frame = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(r) for r in rows])).to(device)
    alignment, landmarks = faces.alignments(chosen).to(device), faces.landmarks(chosen).to(device)
    composite(planes, alignment, landmarks, frame, generate, settings)
    return planes
