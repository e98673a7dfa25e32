"""Which faces each iteration shows: a function of the seed and of the examples' numbers alone, so that nothing has to
be kept to resume, and any number of processes shows the same examples.

Examples are numbered over the whole run: iteration i shows i B .. i B + B - 1 of each side, of which a process takes
its share. They are made in blocks of 256, vectorised: 2,000 iterations a second must not wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastswap.errors import UsageError
from fastswap.training.pairing import BLOCK, pair

SAMPLINGS = ("uniform", "yaw")
BIN = 5.0
"""Degrees of yaw that `--sampling yaw` takes for one direction."""
_CYCLES = 64
"""Rounds through the directions whose orders are drawn at once."""
# What a draw is for, in the fourth word of its seed: shorter seeds count as filled with zeros.
_MIX, _TURN, _BINS = 1, 2, 3
_Key = tuple[int, ...]


class Order(Protocol):
    """The order in which a side's faces are shown, without an end."""

    def block(self, start: int) -> NDArray[np.int64]:
        """int64 [BLOCK]: the faces at the places `start` .. `start` + BLOCK - 1."""


class Uniform:
    """Each of `count` faces once, in an order that is new each time round."""

    def __init__(self, seed: int, side: int, count: int, rank: int = 0) -> None:
        self.key, self.count = (seed, side), count
        self.own = (rank << 8,) if rank else ()  # another word, even a zero, is another order where the seed is long

    def block(self, start: int) -> NDArray[np.int64]:
        rounds = range(start // self.count, (start + BLOCK - 1) // self.count + 1)
        return np.concatenate(
            [
                _permutation((*self.key, number, *self.own), self.count)[
                    max(start - number * self.count, 0) : start + BLOCK - number * self.count
                ]
                for number in rounds
            ]
        )


class ByYaw:
    """Each direction of the head equally often, however many faces look there: all directions (bins of BIN degrees that
    have a face) once, in an order that is new each time round; in each its faces in turn."""

    def __init__(self, seed: int, side: int, yaw: NDArray[np.float32], rank: int = 0) -> None:
        _, number = np.unique(np.floor(yaw / BIN), return_inverse=True)
        self.key, self.rank = (seed, side), rank
        self.sizes = np.bincount(number)
        self.starts = np.cumsum(self.sizes) - self.sizes
        mixed = np.random.default_rng((seed, side, 0, rank << 8 | _TURN)).permutation(len(yaw))
        self.faces = mixed[np.argsort(number[mixed], kind="stable")]

    def block(self, start: int) -> NDArray[np.int64]:
        bins = len(self.sizes)
        turn, place = np.divmod(np.arange(start, start + BLOCK), bins)
        chosen = np.empty(BLOCK, dtype=np.int64)
        for group in range(int(turn[0]) // _CYCLES, int(turn[-1]) // _CYCLES + 1):
            here = turn // _CYCLES == group
            orders = _permutations((*self.key, group, self.rank << 8 | _BINS), bins)
            chosen[here] = orders[turn[here] % _CYCLES, place[here]]
        return np.asarray(self.faces[self.starts[chosen] + turn % self.sizes[chosen]])


class Sampler:
    """The faces, numbers and mixing shares of each iteration's examples, for one of `world` processes.

    counts: faces of each side. batch: examples a side of all processes together. performances: float32 [M, 4] a side
    (`pairing.performance`); with them, the faces shown beside each other do about the same thing. yaw: degrees, float32
    [M] a side; with them, directions are shown equally often instead of faces. mixup: the parameter of Beta(a, a), 0
    for none. sharded: the counts are those of this process alone, each shows faces of its own, in its own order.

    Raises UsageError where the batch cannot be shared out."""

    def __init__(
        self,
        counts: Sequence[int],
        batch: int,
        seed: int,
        *,
        performances: Sequence[NDArray[np.float32]] = (),
        yaw: Sequence[NDArray[np.float32]] = (),
        mixup: float = 0.0,
        rank: int = 0,
        world: int = 1,
        sharded: bool = False,
    ) -> None:
        if batch % world:
            raise UsageError(f"a batch of {batch} cannot be shared by {world} processes: give a multiple of {world}")
        self.counts, self.batch, self.seed = list(counts), batch, seed
        self.share, self.rank, self.sharded = batch // world, rank, sharded
        self.performances, self.mixup = performances, mixup
        self.offsets = np.cumsum([0, *self.counts[:-1]])[:, None]
        own = rank if sharded else 0
        self.orders: list[Order] = (
            [ByYaw(seed, side, degrees, own) for side, degrees in enumerate(yaw)]
            if yaw
            else [Uniform(seed, side, count, own) for side, count in enumerate(self.counts)]
        )
        self._faces = lru_cache(maxsize=2)(self._block)
        self._shares = lru_cache(maxsize=2)(self._draw)

    def epoch(self, iteration: int) -> float:
        """How often each face of the largest set was shown before `iteration`; by yaw, how often on average."""
        return iteration * (self.share if self.sharded else self.batch) / max(self.counts)

    def indices(self, iteration: int) -> NDArray[np.int64]:
        """Which faces this process shows: int64 [sides * B / world], side after side, numbered through all sides. The
        faces shown beside each other do about the same thing."""
        first = iteration * self.share if self.sharded else self._first(iteration)
        return np.concatenate([self._faces(n)[:, part] for n, part in _pieces(first, self.share)], axis=1).ravel()

    def samples(self, iteration: int) -> NDArray[np.int64]:
        """The examples' numbers, from which `augment` draws: int64 [sides * B / world]. Faces beside each other share
        one, so that they get the same jitter."""
        first = self._first(iteration)
        return np.tile(np.arange(first, first + self.share), len(self.counts))

    def mix(self, iteration: int) -> NDArray[np.float32]:
        """The share that each example keeps of itself where it is mixed with another (mixup; Zhang et al. 2018), drawn
        from Beta(mixup, mixup) by its number: float32 [sides * B / world], 1 without mixup."""
        drawn = [self._shares(n)[part] for n, part in _pieces(self._first(iteration), self.share)]
        return np.tile(np.concatenate(drawn), len(self.counts))

    def _first(self, iteration: int) -> int:
        return iteration * self.batch + self.rank * self.share

    def _block(self, number: int) -> NDArray[np.int64]:
        """int64 [sides, BLOCK]: the faces of one block of examples."""
        sides = [order.block(number * BLOCK) for order in self.orders]
        if self.performances:
            first = self.performances[0][sides[0]]
            for side in range(1, len(sides)):
                sides[side] = sides[side][pair(first, self.performances[side][sides[side]])]
        return np.asarray(np.stack(sides) + self.offsets, dtype=np.int64)

    def _draw(self, number: int) -> NDArray[np.float32]:
        if self.mixup <= 0:
            return np.ones(BLOCK, dtype=np.float32)
        drawn = np.random.default_rng((self.seed, number, 0, _MIX)).beta(self.mixup, self.mixup, BLOCK)
        return np.asarray(drawn, dtype=np.float32)


def _pieces(first: int, count: int) -> list[tuple[int, slice]]:
    """The examples `first` .. `first` + `count` - 1 as blocks and the part of each."""
    blocks = range(first // BLOCK, (first + count - 1) // BLOCK + 1)
    return [(n, slice(max(first - n * BLOCK, 0), min(first + count - n * BLOCK, BLOCK))) for n in blocks]


@lru_cache(maxsize=8)
def _permutation(key: _Key, count: int) -> NDArray[np.int64]:
    return np.random.default_rng(key).permutation(count)


@lru_cache(maxsize=8)
def _permutations(key: _Key, count: int) -> NDArray[np.int64]:
    """int64 [_CYCLES, count]: that many orders."""
    rows = np.tile(np.arange(count), (_CYCLES, 1))
    return np.random.default_rng(key).permuted(rows, axis=1)
