"""A study as a JSON record, which `bench/results/quality.schema.json` describes: the machine, the pairs with what their
controls score, the presets in full, and each run's scores at each mark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from fastswap.bench.provenance import head
from fastswap.quality.pairs import PAIRS

SCHEMA = 1
SWAP_SCORES = (
    "psnr", "margin", "ssim", "delta_e", "delta_e_p95", "sharpness", "flicker", "seam_gradient", "seam_delta_e", "yaw",
    "pitch", "mouth", "eyes", "found",
)  # fmt: skip


def made(
    runs: Iterable[Mapping[str, Any]],  # of `job.run`, with their pair, preset (label) and seed
    pairs: Mapping[str, Mapping[str, Any]],  # name -> what `ground.prepare` left
    presets: Mapping[str, Any],  # label -> Preset
    *,
    minutes: tuple[float, ...],
    clips: int,
    quick: bool,
) -> dict[str, Any]:
    """The record."""
    return {
        **head(SCHEMA, quick=quick),
        "clips": clips,
        "frames": next(iter(pairs.values()))["frames"],
        "minutes": sorted(minutes),
        "pairs": [
            {**asdict(PAIRS[name]), "credits": PAIRS[name].credits(), "controls": ground["controls"]}
            for name, ground in pairs.items()
        ],
        "presets": [{"label": label, "preset": asdict(preset)} for label, preset in presets.items()],
        "runs": [dict(run) for run in runs],
    }
