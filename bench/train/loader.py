"""What Faceswap's loader does for every sample, with what it does it with (OpenCV, on the CPU): a picture of 512 px is
decoded, the face cut out of it by its alignment, colours, position and shape are jittered. In its order:

1. colours in CIELAB, CLAHE on L for every second face;
2. turned, zoomed and shifted, the border replicated;
3. mirrored; the target and its mask are this;
4. warped by a grid of 5 x 5 nodes, outside of which there is nothing.

Written from the description of that order, as a `torch.utils.data` dataset, which is how anybody would feed it to a
step. Faceswap's own loader works in threads of one process; this one may have processes, so it is rather faster."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fastswap.bench.ops.bench_augment import grid
from fastswap.bench.pictures import Array
from fastswap.models import Preset
from fastswap.ops import Jitter
from fastswap.training.examples import Examples

STORED = 512
MASK = 128
"""Pixels of a stored face, and of its mask, which lies compressed beside it."""
_CLAHE = 0.5, 2.0
"""How often, and its clip limit."""
_TEXTURE = ((8, 50), (128, 6))
"""Cells a side, and the deviation of their colours: a picture of light and shade, and of skin and hair."""
Item = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Stored:
    """A face on disk: its picture [512, 512, 3] as PNG, its mask [128, 128] compressed, and where in the picture the
    aligned square lies, [2, 3] from the square's unit coordinates to pixels."""

    picture: Path
    mask: bytes
    matrix: Array


def write_faces(folder: Path, count: int, seed: int = 0) -> list[Stored]:
    """`count` pictures that are as hard to decode as photos of faces are (about 400 kB), with an oval as the mask."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    mask = np.zeros((MASK, MASK), np.uint8)
    cv2.ellipse(mask, (MASK // 2, MASK // 2), (MASK * 3 // 8, MASK * 7 // 16), 0, 0, 360, 255, -1, cv2.LINE_AA)
    faces = []
    for number in range(count):
        path = folder / f"{number:06d}.png"
        picture = rng.normal(128, 1.5, (STORED, STORED, 3))
        for side, spread in _TEXTURE:
            part = rng.normal(0, spread, (side, side, 3))
            picture += cv2.resize(part, (STORED, STORED), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(path), np.clip(picture, 0, 255).astype(np.uint8))
        angle, shift = rng.uniform(-0.1, 0.1), STORED * (0.5 + rng.uniform(-0.02, 0.02, 2))
        matrix = _similarity(angle, 0.625 * STORED, shift)  # the face's square is five eighths of the picture
        faces.append(Stored(path, zlib.compress(mask.tobytes()), matrix))
    return faces


def _similarity(angle: float, scale: float, centre: Array) -> Array:
    """The middle of the unit square to `centre`."""
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.column_stack([turn, centre - turn @ (0.5, 0.5)])


class Faces(Dataset[Item]):
    """Faces as (warped [3, in, in], target [3, out, out], mask [1, out, out]), uint8: a quarter of what floats would
    take on their way from process to process and to the device."""

    def __init__(self, faces: list[Stored], preset: Preset, jitter: Jitter, seed: int = 0) -> None:
        self.faces, self.jitter, self.seed = faces, jitter, seed
        self.size_in, self.size_out, self.colour = preset.size_in, preset.size_out, preset.colour
        self.coverage = preset.coverage

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, number: int) -> Item:
        face, rng = self.faces[number], np.random.default_rng((self.seed, int(torch.randint(2**31, ()))))
        size = max(self.size_in, self.size_out)
        picture, mask = self._aligned(face, size)
        if self.colour:
            picture = recolour(picture, self.jitter, rng)
        picture, mask = place(np.dstack([picture, mask]), self.jitter, rng)
        warped = warp(picture, self.jitter, rng)
        target = _planes(picture, self.size_out)
        return _planes(warped, self.size_in), target, _planes(mask[..., None], self.size_out)

    def _aligned(self, face: Stored, size: int) -> tuple[Array, Array]:
        """Decodes; picture [size, size, 3] RGB and mask [size, size], uint8, of the covered part of the square."""
        decoded = cv2.imread(str(face.picture), cv2.IMREAD_COLOR)
        if decoded is None:
            raise FileNotFoundError(face.picture)
        margin = (1 - self.coverage) / 2
        crop = np.array([[self.coverage / size, 0, margin], [0, self.coverage / size, margin], [0, 0, 1]])
        cut = face.matrix @ crop
        flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), cut, (size, size), flags=flags)
        stored = np.frombuffer(zlib.decompress(face.mask), np.uint8).reshape(MASK, MASK)
        return picture, cv2.warpAffine(
            stored, MASK * crop[:2], (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )


def recolour(picture: Array, jitter: Jitter, rng: np.random.Generator) -> Array:
    """L, a and b pulled towards their ends, and L's histogram evened out now and then."""
    level = np.arange(256, dtype=np.float32)
    pulls = rng.uniform(-1, 1, 3) * (jitter.lightness, jitter.ab, jitter.ab)
    table = np.stack([(255 - level) * r + level if r >= 0 else level * (1 + r) for r in pulls], -1)
    lab = cv2.LUT(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB), np.rint(table).astype(np.uint8)[None])
    often, limit = _CLAHE
    if rng.random() < often:
        lab[..., 0] = cv2.createCLAHE(limit).apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def place(picture: Array, jitter: Jitter, rng: np.random.Generator) -> tuple[Array, Array]:
    """[size, size, 4] turned, zoomed, shifted and mirrored: colours and mask."""
    size = len(picture)
    angle, zoom = rng.uniform(-jitter.rotation, jitter.rotation), 1 + rng.uniform(-jitter.zoom, jitter.zoom)
    matrix = np.asarray(cv2.getRotationMatrix2D((size / 2, size / 2), angle, zoom))
    matrix[:, 2] = matrix[:, 2] + rng.uniform(-jitter.shift, jitter.shift, 2) * size
    picture = cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < jitter.flip:
        picture = cv2.flip(picture, 1)
    return np.ascontiguousarray(picture[..., :3]), picture[..., 3]


def warp(picture: Array, jitter: Jitter, rng: np.random.Generator) -> Array:
    """[size, size, 3] through the grid."""
    columns, rows = grid(len(picture), rng.normal(0, jitter.grid, (5, 5, 2)))
    return cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _planes(picture: Array, size: int) -> Tensor:
    """uint8 [s, s, c] -> [c, size, size]."""
    if len(picture) != size:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA).reshape(size, size, -1)
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


class Batches(Sampler[list[int]]):
    """Lists of `batch` faces of each side, side after side, without an end. counts: faces of each side."""

    def __init__(self, counts: list[int], batch: int, seed: int = 0) -> None:
        self.counts, self.batch, self.seed = counts, batch, seed

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng(self.seed)
        starts = np.cumsum([0, *self.counts[:-1]])
        while True:
            sides = [
                start + rng.integers(count, size=self.batch) for start, count in zip(starts, self.counts, strict=True)
            ]
            yield np.concatenate(sides).tolist()


def open_loader(faces: Faces, counts: list[int], batch: int, workers: int, *, pin: bool = False) -> DataLoader[Item]:
    """Batches without an end. workers: processes, 0 for none."""
    return DataLoader(
        faces,
        batch_sampler=Batches(counts, batch),
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=_one_thread,
    )


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)


def examples(batch: list[Tensor], device: torch.device) -> Examples:
    """A batch of the loader on its device, floats 0..1. There are no shares for mixup (everything is of the true
    picture), and eyes and mouth weigh as much as the rest."""
    warped, target, mask = (part.to(device, non_blocking=True).float() / 255 for part in batch)
    return Examples(warped, target, mask, torch.ones_like(mask))
