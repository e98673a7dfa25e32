"""The order in which `auto` tries the implementations, fastest first, and the measurement that each order comes from.

`tests/ops/test_impl.py` holds the orders of a device against the medians in its result file. An order without a file is
a prediction, and says so.
"""

from __future__ import annotations

from typing import NamedTuple


class Order(NamedTuple):
    """names: operation -> implementations, fastest first; measured: the file under bench/results, or None."""

    names: dict[str, tuple[str, ...]]
    measured: str | None


_CPU = ("numba", "reference")
_FUSED = ("triton", "cupy", "reference")

FASTEST = {
    "cpu": Order(
        {
            "warp": _CPU,
            "augment": _CPU,
            "soft_mask": _CPU,
            "match_colour": _CPU,
            "sharpen": _CPU,
            "blend_pyramid": _CPU,
            "blend_poisson": _CPU,
            "paste": _CPU,
        },
        measured="ops-cpu.json",
    ),
    "cuda": Order(
        {
            "warp": _FUSED,
            "augment": ("triton", "reference"),
            "soft_mask": ("triton", "reference"),
            "match_colour": _FUSED,
            "sharpen": ("triton", "reference"),
            "blend_pyramid": ("cupy", "reference"),
            "blend_poisson": ("cupy", "reference"),
            "paste": _FUSED,
        },
        measured=None,  # a prediction: no GPU has run them yet
    ),
}
