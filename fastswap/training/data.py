"""The faces, decoded once and kept on the device, and which of them each iteration shows.

There is no loader: a face set of 5,000 faces of 128 pixels takes 330 MB. Which faces an iteration sees is a function
of the seed and the iteration's number alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.errors import InputError
from fastswap.faces import mesh_mask, pixel_matrix
from fastswap.faceset import FaceSet
from fastswap.models import Preset
from fastswap.ops import Jitter, augment, warp
from fastswap.training.examples import Examples
from fastswap.training.pairing import BLOCK, pair

FEWEST = 8
"""Fewer faces of a person than this are a mistake, not a training set."""
_OVERSAMPLING = 2
_CHUNK = 256
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """One side's face set and the rows of it that are trained on, in order of frames."""

    name: str
    faces: FaceSet
    person: int
    rows: NDArray[np.int64]


def choose_side(name: str, faces: FaceSet, person: int | None) -> Side:
    """The side's person, the others named in one line of the log. Raises InputError where there are too few faces."""
    chosen = faces.choose(person)
    others = [f"{number} ({count} faces)" for number, count in faces.persons().items() if number != chosen]
    if others and person is None:
        _LOG.info("side %s: training person %d of %s; also there: %s", name, chosen, faces.path, ", ".join(others))
    rows = faces.rows(chosen)
    if len(rows) < FEWEST:
        raise InputError(f"{faces.path} has {len(rows)} faces of person {chosen}, training needs at least {FEWEST}")
    return Side(name, faces, chosen, rows)


def stored_size(sides: Sequence[Side], size_out: int, coverage: float) -> int:
    """The size that faces are kept at: twice what the network's output needs, so that an example is still sharp after
    it was turned and resampled; at most what every face set has."""
    return min(math.floor(_OVERSAMPLING * size_out / coverage), *(side.faces.meta.size for side in sides))


def load(side: Side, preset: Preset, size: int) -> Tensor:
    """The faces of a side: uint8 [M, size, size, 4], RGB and in the fourth channel mask and emphasis (see `decode`)."""
    parts = []
    for start in range(0, len(side.rows), _CHUNK):
        rows = side.rows[start : start + _CHUNK]
        code = encode(torch.from_numpy(side.faces.masks(rows, size)), _priority(side, rows, preset, size))
        parts.append(torch.cat((torch.from_numpy(side.faces.images(rows, size)), code.unsqueeze(-1)), dim=-1))
    return torch.cat(parts)


def _priority(side: Side, rows: NDArray[np.int64], preset: Preset, size: int) -> Tensor:
    """How far above the rest of the face each pixel counts: float [n, size, size], 1 where the preset weighs most."""
    matrix = pixel_matrix(side.faces.alignments(rows), size)
    landmarks = side.faces.landmarks(rows)
    priority = torch.zeros(len(rows), size, size)
    for region, weight in (("eyes", preset.objective.eyes), ("mouth", preset.objective.mouth)):
        if weight > 1:
            share = (weight - 1) / (_top(preset) - 1)
            priority = torch.maximum(priority, share * mesh_mask(landmarks, matrix, size, region)[:, 0])
    return priority


def _top(preset: Preset) -> float:
    return max(preset.objective.eyes, preset.objective.mouth, 1.0)


def encode(mask: Tensor, priority: Tensor) -> Tensor:
    """mask uint8 [...] and priority float [...] 0..1 -> one uint8 plane, so that one augmentation moves both: 0..127
    is the mask outside of eyes and mouth, 128..255 is inside the mask with rising priority."""
    return (mask.float() * (1 + priority.clamp(0, 1)) / 2).round().to(torch.uint8)


def decode(code: Tensor, preset: Preset) -> tuple[Tensor, Tensor]:
    """The plane of `encode`, as floats 0..1 after interpolation -> mask 0..1 and emphasis >= 1."""
    emphasis = 1 + (_top(preset) - 1) * (2 * code - 1).clamp(0, 1)
    return (2 * code).clamp(0, 1), emphasis


class Feed:
    """The faces of all sides on the device, and the examples of each iteration."""

    def __init__(
        self,
        faces: Sequence[Tensor],  # uint8 [M, S, S, 4], one a side
        preset: Preset,
        *,
        batch: int,
        seed: int,
        coverage: float,
        jitter: Jitter,
        device: torch.device,
        performances: Sequence[NDArray[np.float32]] = (),  # [M, 4], one a side: what each face does (none: not paired)
    ) -> None:
        self.counts = [len(side) for side in faces]
        self.offsets = [sum(self.counts[:side]) for side in range(len(faces))]
        self.faces = torch.cat(list(faces)).to(device)
        self.preset = preset
        self.batch = batch
        self.seed = seed
        self.coverage = coverage
        self.jitter = jitter
        self.performances = performances
        self._blocks = lru_cache(maxsize=2)(self._block)

    def epoch(self, iteration: int) -> float:
        """How often each face of the largest set was shown before `iteration`."""
        return iteration * self.batch / max(self.counts)

    def indices(self, iteration: int) -> Tensor:
        """Which faces the iteration shows: int64 [sides * B], side after side. Each side goes through its own faces in
        an order that is new each time round; the faces shown beside each other do about the same thing."""
        shown = range(iteration * self.batch, (iteration + 1) * self.batch)
        return torch.from_numpy(np.stack([self._blocks(n // BLOCK)[:, n % BLOCK] for n in shown], axis=1).ravel())

    def _block(self, block: int) -> NDArray[np.int64]:
        """int64 [sides, BLOCK]: the faces of one block of examples."""
        shown = range(block * BLOCK, (block + 1) * BLOCK)
        sides = [
            np.array([_order(self.seed, side, n // count, count)[n % count] for n in shown])
            for side, count in enumerate(self.counts)
        ]
        if self.performances:
            first = self.performances[0][sides[0]]
            for side in range(1, len(sides)):
                sides[side] = sides[side][pair(first, self.performances[side][sides[side]])]
        return np.asarray(np.stack(sides) + np.array(self.offsets)[:, None], dtype=np.int64)

    def __call__(self, iteration: int, strength: float = 1.0) -> Examples:
        """The examples of an iteration. strength: the share of the geometric jitter. Faces shown beside each other get
        the same jitter: their numbers are the same."""
        index = self.indices(iteration)
        sample = (iteration * self.batch + torch.arange(self.batch)).repeat(len(self.counts))
        warped, target, code = augment(
            self.faces,
            index.to(self.faces.device),
            sample.to(self.faces.device),
            seed=self.seed,
            size_in=self.preset.size_in,
            size_out=self.preset.size_out,
            coverage=self.coverage,
            jitter=_weaken(self.jitter, strength),
        )
        mask, emphasis = decode(code, self.preset)
        return Examples(warped, target, mask, emphasis)

    def plain(self, side: int, count: int) -> tuple[Tensor, Tensor]:
        """`count` faces spread evenly over a side, always the same, as they are: index int64 [count] and float
        [count, 3, size_in, size_in]."""
        chosen = torch.linspace(0, self.counts[side] - 1, count).round().long() + self.offsets[side]
        size = self.preset.size_in
        stored = self.faces.shape[1]
        scale = stored * self.coverage / size
        shift = (stored * (1 - self.coverage) + scale - 1) / 2
        matrix = torch.tensor([[scale, 0.0, shift], [0.0, scale, shift]], device=self.faces.device)
        pictures = self.faces[chosen.to(self.faces.device), ..., :3].permute(0, 3, 1, 2).float() / 255
        return chosen, warp(pictures.contiguous(), matrix.expand(count, 2, 3).contiguous(), size)


def _weaken(jitter: Jitter, strength: float) -> Jitter:
    return replace(
        jitter,
        rotation=jitter.rotation * strength,
        zoom=jitter.zoom * strength,
        shift=jitter.shift * strength,
        grid=jitter.grid * strength,
    )


@lru_cache(maxsize=8)
def _order(seed: int, side: int, cycle: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, side, cycle)).permutation(count)
