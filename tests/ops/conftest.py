"""One pattern for the operations: every test of behaviour takes `impl` and runs on all implementations, every test of
agreement takes `fast_impl` and holds it against the reference."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["reference", "numba"])
def impl(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["numba"])
def fast_impl(request: pytest.FixtureRequest) -> str:
    """An implementation other than the reference."""
    return str(request.param)
