"""The nearest plain implementation: what one writes with OpenCV and NumPy, as the tools of this field do.

Frames are BGR arrays from `cv2.VideoCapture`. A face is cut out by `cv2.warpAffine`, takes the target's colours after
Reinhard et al. 2001 in OpenCV's CIELAB, and is warped back, with its eroded and blurred mask, to the size of the whole
frame, where both are mixed in float32. All of it in threads, one a core, and the network sees the faces of as many
frames at once as with ours. `CarefulSwapper` is the same after a profiler: no full-frame temporaries, and OpenCV makes
the encoder's YUV.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap import workers
from fastswap.bench.video.encoding import Encoder, Format, encode
from fastswap.conversion import Generate
from fastswap.conversion.frames import together
from fastswap.faces import pixel_matrix

Bgr = NDArray[np.uint8]
"""A frame [H, W, 3]."""
Floats = NDArray[np.float32]
Matrices = Sequence[NDArray[np.float64]]
"""Of the faces in a frame, each [2, 3]: the face's px -> the frame's px."""


_LEAST = 1e-6  # a deviation of L, a or b that is not divided by


def read(path: Path) -> Iterator[Bgr]:
    """The frames of a video."""
    capture = cv2.VideoCapture(str(path))
    try:
        while True:
            there, frame = capture.read()
            if not there:
                return
            yield np.asarray(frame, np.uint8)
    finally:
        capture.release()


@dataclass
class PlainSwapper:
    """Swaps the faces of BGR frames. size: of the faces given to the generator, in px; coverage, feather: as of
    `CompositeSettings`. Its parts are functions of their own so that each can be timed."""

    generate: Generate
    size: int
    coverage: float
    feather: float

    def matrices(self, alignment: Tensor, size: int) -> Matrices:
        return list(pixel_matrix(alignment, size, self.coverage).double().numpy())

    def crop(self, frame: Bgr, matrix: NDArray[np.float64], size: int) -> Floats:
        """The face, BGR [size, size, 3] in 0..1."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        face = cv2.warpAffine(frame, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(face.astype(np.float32) / 255)

    def predict(self, faces: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
        """What the network makes of N faces: N pictures BGR [s, s, 3] and N masks [s, s]."""
        batch = torch.from_numpy(np.stack(faces)[..., ::-1].transpose(0, 3, 1, 2).copy())
        colour, mask = self.generate(batch)
        pictures = np.ascontiguousarray(colour.numpy().transpose(0, 2, 3, 1)[..., ::-1])
        return list(pictures), list(mask[:, 0].numpy())

    def colour(self, face: Floats, target: Floats, mask: Floats) -> Floats:
        """The face in the target's colours: mean and deviation in CIELAB."""
        inside = (mask > 0.5).astype(np.uint8)
        own, other = (cv2.cvtColor(picture, cv2.COLOR_BGR2LAB) for picture in (face, target))
        mean, deviation = (stats.reshape(3) for stats in cv2.meanStdDev(own, mask=inside))
        wanted_mean, wanted = (stats.reshape(3) for stats in cv2.meanStdDev(other, mask=inside))
        gain = wanted / np.maximum(deviation, _LEAST)
        own *= gain.astype(np.float32)
        own += (wanted_mean - gain * mean).astype(np.float32)
        return np.asarray(np.clip(cv2.cvtColor(own, cv2.COLOR_LAB2BGR), 0, 1))

    def soften(self, mask: Floats) -> Floats:
        """The mask with a soft edge that lies inside of it."""
        width = round(self.feather * len(mask)) // 2 * 2 + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        eroded = cv2.erode((mask * 255).astype(np.uint8), kernel, borderValue=0)
        return np.asarray(cv2.GaussianBlur(eroded, (width, width), 0).astype(np.float32) / 255)

    def paste(self, frame: Bgr, faces: Sequence[Floats], masks: Sequence[Floats], matrices: Matrices) -> Bgr:
        """The frame with the faces in it, mixed in float32."""
        height, width = frame.shape[:2]
        mixed = frame.astype(np.float32) / 255
        for face, mask, matrix in zip(faces, masks, matrices, strict=True):
            layer = cv2.warpAffine(face, matrix, (width, height))
            weight = cv2.warpAffine(mask, matrix, (width, height))[..., None]
            mixed = layer * weight + mixed * (1 - weight)
        return np.asarray(np.rint(mixed.clip(0, 1) * 255), np.uint8)

    def picture(self, frame: Bgr) -> Any:  # av.VideoFrame
        return picture(frame)

    def __call__(self, work: Sequence[tuple[Bgr, Tensor | None]]) -> list[Bgr]:
        """work: frames, each with its faces' alignment [n, 2, 3] or None. Returns the frames, swapped."""
        size = self.size
        placed = [(frame, self.matrices(alignment, size)) for frame, alignment in work if alignment is not None]
        crops = [self.crop(frame, matrix, size) for frame, matrices in placed for matrix in matrices]
        if not crops:
            return [frame for frame, _ in work]
        made = iter(zip(*self.predict(crops), crops, strict=True))
        return [frame if alignment is None else self._swap(frame, alignment, made) for frame, alignment in work]

    def _swap(self, frame: Bgr, alignment: Tensor, made: Iterator[tuple[Floats, Floats, Floats]]) -> Bgr:
        found = list(itertools.islice(made, len(alignment)))
        matrices = self.matrices(alignment, len(found[0][0]))
        faces, masks = [], []
        for (face, mask, crop), matrix in zip(found, matrices, strict=True):
            target = crop if len(crop) == len(face) else self.crop(frame, matrix, len(face))
            faces.append(self.colour(face, target, mask))
            masks.append(self.soften(mask))
        return self.paste(frame, faces, masks, matrices)


class CarefulSwapper(PlainSwapper):
    """The same without temporaries of the frame's size where it can be helped."""

    def paste(self, frame: Bgr, faces: Sequence[Floats], masks: Sequence[Floats], matrices: Matrices) -> Bgr:
        height, width = frame.shape[:2]
        mixed = frame.astype(np.float32)
        for face, mask, matrix in zip(faces, masks, matrices, strict=True):
            layer: NDArray[Any] = cv2.warpAffine(face * 255, matrix, (width, height))
            layer -= mixed
            layer *= cv2.warpAffine(mask, matrix, (width, height))[..., None]
            mixed += layer
        return np.asarray(cv2.convertScaleAbs(mixed))

    def picture(self, frame: Bgr) -> Any:  # av.VideoFrame
        import av

        yuv: NDArray[Any] = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)
        return av.VideoFrame.from_ndarray(yuv, "yuv420p")


def convert(
    path: Path, output: Path, form: Format, encoder: Encoder, alignment: Callable[[int], Tensor | None],
    swapper: PlainSwapper, threads: int,
) -> int:  # fmt: skip
    """From file to file: frames are decoded and encoded here, swapped in threads. alignment: of the faces in a frame,
    by its number. Returns the number of frames."""
    frames = ((frame, alignment(index)) for index, frame in enumerate(read(path)))
    swapped = itertools.chain.from_iterable(workers.ordered(swapper, _chunks(frames), threads))
    return encode(map(swapper.picture, swapped), output, form, encoder)


def picture(frame: Bgr) -> Any:  # av.VideoFrame
    """As an encoder is given it; PyAV makes YUV of it."""
    import av

    return av.VideoFrame.from_ndarray(frame, "bgr24")


def _chunks(items: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(itertools.islice(items, together("cpu")[0])):
        yield chunk
