"""Faces from disk, for face sets that neither the device nor the host's memory holds: `--loader dali`.

DALI does what costs: it reads and decodes the pictures and shrinks them to the stored size, a few iterations ahead, on
its own threads and on the GPU. What it hands over are the same uint8 faces that the resident store holds, and `augment`
makes the examples of them in one pass. So warp, mirror and colours are not drawn a second time by another library's
operators: an example follows the same distribution because the same kernel makes it from the same random numbers, and a
run may change its loader between two starts. (DALI's grid warp, `remap`, exists on GPUs only; and as a chain of its
operators an example would be resampled three times, as Faceswap's is.)

A picture is decoded to the bits that OpenCV gives. Where a face set is larger than training needs, DALI's Gaussian
filter shrinks it: of its filters the nearest to the mean over a pixel's area, which the resident store takes (on a
photograph 42 to 48 dB, the triangular one 36 to 48). Examples then agree to 55 dB and more; unshrunk, bit for bit.

Mask and emphasis are drawn from landmarks, 1.8 ms a face of 341 px: once, when a face is first shown. Then they are
kept deflated, 2.5 KB a face in place of 116, and inflated in 0.05 ms.

"mixed" decoding uses the GPU for JPEG. PNG, which `extract` writes, has no decoder there: it is decoded on DALI's
threads and its pixels go to the device, so that the host's cores bound the speed.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from fastswap import workers
from fastswap.errors import DamagedFileError, FastswapError, InputError, MissingDependencyError
from fastswap.models import Objective
from fastswap.training import parallel
from fastswap.training.emphasis import fourth_channel, shares
from fastswap.training.examples import Examples
from fastswap.training.feed import Feed
from fastswap.training.sampler import Sampler
from fastswap.training.sides import Side
from fastswap.training.staging import upload

AHEAD = 2
"""Batches that are being decoded while one is trained on."""
_CHUNK = 16
"""Faces whose fourth channel one thread makes at a time."""
_INPUT = "paths"


def has_dali() -> bool:
    """Whether DALI is installed, without importing it."""
    return find_spec("nvidia") is not None and find_spec("nvidia.dali") is not None


def threads() -> int:
    """How many read for one process: this machine's cores, shared with the processes beside it. A GPU's step leaves
    them idle, and they are what bounds the speed."""
    return max(1, workers.cores() // parallel.neighbours())


def pipeline(batch: int, size: int, *, shrinks: bool, decoder: str, device_id: int | None) -> Any:
    """The DALI pipeline: paths -> uint8 [batch, size, size, 3] RGB, and the shapes [batch, 3] that the pictures have on
    disk. decoder: "cpu", or "mixed" for one whose pictures are on the GPU `device_id`. Raises MissingDependencyError
    without DALI."""
    try:
        from nvidia.dali import fn, pipeline_def, types
    except ImportError:
        raise MissingDependencyError(
            '--loader dali needs NVIDIA DALI, which is not installed: pip install "fastswap[cuda]"'
        ) from None

    @pipeline_def(  # type: ignore[untyped-decorator]
        batch_size=batch,
        num_threads=threads(),
        device_id=device_id,
        prefetch_queue_depth=AHEAD,
    )
    def faces() -> Any:
        paths = fn.external_source(name=_INPUT, dtype=types.UINT8, ndim=1)
        files = fn.io.file.read(paths, dont_use_mmap=True)  # mapped, one that is cut short meanwhile ends the process
        pictures = fn.decoders.image(files, device=decoder, output_type=types.RGB)
        shapes = pictures.shape()
        if shrinks:
            pictures = fn.resize(
                pictures, size=[size, size], min_filter=types.INTERP_GAUSSIAN, mag_filter=types.INTERP_LINEAR
            )
        return pictures, shapes

    return faces()


class FourthChannel:
    """The fourth channel of every face of the sides, drawn when a face is first asked for and then kept deflated."""

    def __init__(self, sides: Sequence[Side], share: dict[str, float], size: int) -> None:
        self.sides, self.share, self.size = sides, share, size
        self.offsets = np.cumsum([0, *(len(side.rows) for side in sides)])
        self._kept: dict[int, bytes] = {}

    def __call__(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 [n, S, S] of the faces `index`, numbered through all sides. Threads may call it at the same time: what
        two of them miss is drawn twice, to the same bits."""
        for number, side in enumerate(self.sides):
            first, end = self.offsets[number : number + 2]
            missing = [face for face in np.unique(index) if first <= face < end and face not in self._kept]
            if missing:
                drawn = fourth_channel(side.faces, side.rows[np.array(missing) - first], self.share, self.size)
                for face, plane in zip(missing, drawn.numpy(), strict=True):
                    self._kept[face] = zlib.compress(plane, level=1)
        flat = bytearray().join(zlib.decompress(self._kept[face]) for face in index)
        return np.frombuffer(flat, np.uint8).reshape(len(index), self.size, self.size)


@dataclass(frozen=True)
class _Batch:
    """One that is under way."""

    iteration: int
    index: NDArray[np.int64]
    planes: list[Future[NDArray[np.uint8]]]


class Disk:
    """The faces of the sides where they are, on disk: in a feed it takes the place of `Store`."""

    def __init__(
        self, sides: Sequence[Side], objective: Objective, size: int, sampler: Sampler, device: torch.device
    ) -> None:
        self.sides, self.size, self.sampler, self.device = sides, size, sampler, device
        self.counts = [len(side.rows) for side in sides]
        self._starts = np.cumsum([0, *self.counts])
        self._names = [side.faces.table["file"].take(side.rows).to_pylist() for side in sides]
        self._fourth = FourthChannel(sides, shares(objective), size)
        self._pool = ThreadPoolExecutor(threads())
        self._queue: deque[_Batch] = deque()
        self._pipeline = self._build()

    def expect(self, iteration: int) -> None:
        """Has the faces of an iteration, and those of the next ones, read in the background. Iterations that follow
        each other are ready when they are asked for; a jump throws away what was read ahead."""
        if self._queue and self._queue[0].iteration == iteration:
            return
        if self._queue:  # the pipeline is at work on what nobody waits for any more
            self._queue.clear()
            self._pipeline = self._build()
        for ahead in range(AHEAD):
            self._ask(iteration + ahead)
        self._pipeline.schedule_run()  # a pipeline's first: all that it was asked for

    def batch(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """As `Store.batch`. The faces of the iteration that was expected come from DALI, any others (a preview's) are
        read here and now. Raises DamagedFileError naming a picture that is not what the face set says, InputError where
        one is gone."""
        if self._queue and np.array_equal(self._queue[0].index, index):
            pictures = self._take()
            expected = self._queue.popleft()
            self._ask(expected.iteration + AHEAD)
            self._pipeline.schedule_run()
            planes = np.concatenate([piece.result() for piece in expected.planes])
        else:
            pictures = torch.from_numpy(np.concatenate([self._read(face) for face in index])).to(self.device)
            planes = self._fourth(index)
        faces = torch.cat((pictures, upload(planes, self.device).unsqueeze(-1)), dim=-1)
        return faces, torch.arange(len(index), device=self.device)

    def close(self) -> None:
        """Ends the threads."""
        self._queue.clear()
        self._pipeline = None
        self._pool.shutdown(cancel_futures=True)

    def _build(self) -> Any:
        decoder, device_id = "cpu", None
        if self.device.type == "cuda":
            decoder = "mixed"
            device_id = torch.cuda.current_device() if self.device.index is None else self.device.index
        shrinks = any(side.faces.meta.size != self.size for side in self.sides)
        count = len(self.sampler.indices(0))
        built = pipeline(count, self.size, shrinks=shrinks, decoder=decoder, device_id=device_id)
        built.build()
        return built

    def _ask(self, iteration: int) -> None:
        index = self.sampler.indices(iteration)
        paths = [np.frombuffer(os.fsencode(self._find(face)[2]), np.uint8) for face in index]
        self._pipeline.feed_input(_INPUT, paths)
        pieces = np.split(index, range(_CHUNK, len(index), _CHUNK))
        planes = [self._pool.submit(self._fourth, piece) for piece in pieces]
        self._queue.append(_Batch(iteration, index, planes))

    def _take(self) -> Tensor:
        """The pictures of the first batch in the queue, in the memory where DALI made them: its executor gives that
        memory away until the tensor is dropped, in the order of the stream that is named here."""
        stream = torch.cuda.current_stream(self.device) if self.device.type == "cuda" else None
        try:
            pictures, shapes = self._pipeline.share_outputs(stream)
        except RuntimeError as error:
            raise self._explain(error) from error
        self._pipeline.release_outputs()
        expected = [[self._find(face)[0].faces.meta.size] for face in self._queue[0].index]
        if (shapes.as_array()[:, :2] != expected).any():
            raise self._explain(None)
        return from_dlpack(pictures.as_tensor())

    def _find(self, face: int) -> tuple[Side, int, Path]:
        """The side, the row and the picture of a face, numbered through all sides."""
        number = int(np.searchsorted(self._starts, face, side="right")) - 1
        side, place = self.sides[number], int(face - self._starts[number])
        return side, int(side.rows[place]), side.faces.path / self._names[number][place]

    def _read(self, face: int) -> NDArray[np.uint8]:
        """uint8 [1, S, S, 3], by OpenCV."""
        side, row, path = self._find(face)
        if not path.exists():
            raise InputError(f"{path} was deleted while it was trained on: run the same command again without it")
        return side.faces.images([row], self.size)

    def _explain(self, error: RuntimeError | None) -> FastswapError:
        """DALI does not say at which picture it failed; OpenCV, at the same pictures, does."""
        for face in np.unique(np.concatenate([batch.index for batch in self._queue])):
            try:
                self._read(face)
            except FastswapError as named:
                return named
        return DamagedFileError(f"DALI cannot decode what OpenCV can: train with --loader resident ({error})")


class DaliFeed(Feed):
    """The examples of `Feed`, from faces that are read, decoded and shrunk as they are shown. Keeps `AHEAD` batches of
    pictures and a few kilobytes a face, however many faces there are."""

    store: Disk

    def __call__(self, iteration: int, strength: float = 1.0) -> Examples:
        self.store.expect(iteration)
        return super().__call__(iteration, strength)

    def close(self) -> None:
        """Ends the threads that read ahead."""
        self.store.close()
