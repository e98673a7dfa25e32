"""The two puppets, made once: small, so that rendering and finding them is quick."""

from __future__ import annotations

import pytest

from fastswap.quality import clips
from fastswap.quality.puppet import Puppet

SIZE = 320


@pytest.fixture(scope="session")
def pair() -> tuple[Puppet, Puppet]:
    """A and B, 320 px."""
    return clips.puppets(SIZE)
