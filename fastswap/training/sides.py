"""The two sides of a training: whose faces, and which of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastswap.errors import InputError
from fastswap.faceset import FaceSet

FEWEST = 8
"""Fewer faces of a person than this are a mistake, not a training set."""
_OVERSAMPLING = 2
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


def shard(side: Side, rank: int, world: int) -> Side:
    """The part of a side that one of `world` processes holds where no device holds all: every world-th face, so that
    each has its share of every scene. Raises InputError where that leaves too few."""
    rows = side.rows[rank::world]
    if len(side.rows) // world < FEWEST:
        raise InputError(
            f"{side.faces.path} has {len(side.rows)} faces of person {side.person}, not {FEWEST} for each of {world} "
            "processes: leave out --shard"
        )
    return replace(side, rows=rows)


def stored_size(sides: Sequence[Side], size_out: int, coverage: float) -> int:
    """The size that faces are kept at: twice what the network's output needs, so that an example is still sharp after
    it was turned and resampled; at most what every face set has."""
    return min(math.floor(_OVERSAMPLING * size_out / coverage), *(side.faces.meta.size for side in sides))
