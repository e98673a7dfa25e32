"""The pairs of people that trials are made of. The first needs nothing but packages; the others need photos of the test
data, whose licence asks for their names (see CREDITS)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastswap.errors import InputError, UsageError
from fastswap.quality import portraits
from fastswap.quality.puppet import Picture

DATA = "FASTSWAP_TEST_DATA"
"""The environment variable that names the folder of the test data."""
_LONDON = "Face Research Lab London Set (DeBruine and Jones 2017, figshare 5047666), CC BY 4.0"
CREDITS = {
    "astronaut": "Eileen Collins, NASA, public domain",
    "admiral": "Grace Hopper, US Navy, public domain",
    "london": _LONDON,
}


@dataclass(frozen=True)
class Pair:
    """Who performs (a) and who is put in (b), by the names of their portraits; about: what makes the pair hard."""

    name: str
    a: str
    b: str
    about: str

    def credits(self) -> list[str]:
        """Whom the pictures come from."""
        return list(dict.fromkeys(CREDITS[name.partition("_")[0]] for name in (self.a, self.b)))


_ALL = (
    Pair("astronaut-admiral", "astronaut", "admiral", "A smiles with open lips, B wears glasses"),
    Pair("beard-fringe", "london_092", "london_087", "A has a beard, B narrow eyes and loose hair"),
    Pair("lean-round", "london_099", "london_025", "dark skin, a lean face and a round one"),
    Pair("bald-blonde", "london_172", "london_107", "a bald man, a woman with pale brows"),
)
PAIRS = {pair.name: pair for pair in _ALL}
FIRST = _ALL[0]


def find_pair(name: str) -> Pair:
    """Raises UsageError naming the pairs there are."""
    if name not in PAIRS:
        raise UsageError(f"no pair is called '{name}': choose one of {', '.join(PAIRS)}")
    return PAIRS[name]


def portrait(name: str) -> Picture:
    """RGB [h, w, 3]. Raises MissingDependencyError for a portrait whose package is not installed, InputError for a
    photo of the test data where that is absent."""
    if name == "astronaut":
        return portraits.astronaut()
    return portraits.admiral() if name == "admiral" else _photo(name)


def _photo(name: str) -> Picture:
    from PIL import Image

    folder = os.environ.get(DATA)
    path = Path(folder or "", "photos", f"{name}.jpg")
    if not folder or not path.is_file():
        raise InputError(f"photos/{name}.jpg of the test data is needed: set {DATA} to the folder that holds it")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
