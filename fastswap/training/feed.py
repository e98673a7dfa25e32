"""The examples of each iteration: the faces that the sampler names, distorted by `augment` on their device."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.models import Preset
from fastswap.ops import Jitter, augment, warp
from fastswap.training.emphasis import decode
from fastswap.training.examples import Examples
from fastswap.training.sampler import Sampler
from fastswap.training.staging import upload


class Faces(Protocol):
    """Where a feed finds the faces: a `Store`, or a `dali.Disk`."""

    counts: list[int]
    device: torch.device

    def batch(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """What `augment` is given for the faces `index`: see `Store.batch`."""


class Feed:
    """Makes examples in the order of the current stream, whichever that is; the host waits for nothing.

    dtype: of the pictures (float32, bfloat16 or float16); the emphasis is float32 always."""

    def __init__(
        self,
        store: Faces,
        sampler: Sampler,
        preset: Preset,
        *,
        coverage: float,
        jitter: Jitter,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.store, self.sampler, self.preset = store, sampler, preset
        self.coverage, self.jitter, self.dtype = coverage, jitter, dtype

    @property
    def counts(self) -> list[int]:
        """How many faces each side has here."""
        return self.store.counts

    def epoch(self, iteration: int) -> float:
        """How often each face of the largest set was shown before `iteration`."""
        return self.sampler.epoch(iteration)

    def __call__(self, iteration: int, strength: float = 1.0) -> Examples:
        """This process's examples of an iteration. strength: the share of the geometric jitter. Faces shown beside each
        other get the same jitter: their numbers are the same."""
        device = self.store.device
        faces, index = self.store.batch(self.sampler.indices(iteration))
        warped, target, code = augment(
            faces,
            index,
            upload(self.sampler.samples(iteration), device),
            seed=self.sampler.seed,
            size_in=self.preset.size_in,
            size_out=self.preset.size_out,
            coverage=self.coverage,
            jitter=_weaken(self.jitter, strength),
            dtype=self.dtype,
        )
        mask, emphasis = decode(code, self.preset.objective)
        mix = upload(self.sampler.mix(iteration), device) if self.sampler.mixup else None
        return Examples(warped, target, mask, emphasis.float(), mix)

    def close(self) -> None:
        """Ends what works in the background: of a store, nothing."""

    def plain(self, side: int, count: int) -> tuple[Tensor, Tensor]:
        """`count` faces spread evenly over a side, always the same, as they are: index int64 [count] and float
        [count, 3, size_in, size_in]."""
        chosen = torch.linspace(0, self.counts[side] - 1, count).round().long() + sum(self.counts[:side])
        faces, index = self.store.batch(chosen.numpy())
        size, stored = self.preset.size_in, faces.shape[1]
        scale = stored * self.coverage / size
        shift = (stored * (1 - self.coverage) + scale - 1) / 2
        matrix = torch.tensor([[scale, 0.0, shift], [0.0, scale, shift]], device=faces.device)
        pictures = faces[index, ..., :3].permute(0, 3, 1, 2).float() / 255
        return chosen, warp(pictures.contiguous(), matrix.expand(count, 2, 3).contiguous(), size)


def _weaken(jitter: Jitter, strength: float) -> Jitter:
    return replace(
        jitter,
        rotation=jitter.rotation * strength,
        zoom=jitter.zoom * strength,
        shift=jitter.shift * strength,
        grid=jitter.grid * strength,
    )
