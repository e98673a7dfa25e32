"""Runs and records of a study, made up."""

from __future__ import annotations

import json
from typing import Any

from fastswap.bench.quality.record import made
from fastswap.models import Preset

PAIR = "astronaut-admiral"
SCORES = {
    "frames": 30, "psnr": 20.0, "margin": 3.0, "ssim": 0.5, "delta_e": 9.0, "delta_e_p95": 20.0, "sharpness": 0.1,
    "flicker": 5.0, "seam_gradient": 0.1, "seam_delta_e": 0.2, "yaw": 0.9, "pitch": 0.8, "mouth": 0.7, "eyes": 0.2,
    "found": 1.0,
}  # fmt: skip


def run(pair: str, label: str, seed: int, *marks: dict[str, Any]) -> dict[str, Any]:
    """marks: what differs from SCORES after 60, 120, ... seconds."""
    judged = [
        {"mark": 60.0 * i, "iteration": 100 * i, "cpu_seconds": 61.0 * i, "wall_seconds": 70.0 * i,
         "scores": {**SCORES, **changed}}
        for i, changed in enumerate(marks, 1)
    ]  # fmt: skip
    return {"pair": pair, "preset": label, "seed": seed, "commit": "c" * 40, "rate": 1.5, "marks": judged}


def record(runs: list[dict[str, Any]], presets: dict[str, Preset], *pairs: str) -> dict[str, Any]:
    controls = {name: {**SCORES, "margin": margin} for name, margin in
                (("recoloured", 0.2), ("constant", 2.0), ("nearest", 3.5))}  # fmt: skip
    ground = {pair: {"frames": 30, "controls": controls} for pair in pairs}
    return json.loads(json.dumps(made(runs, ground, presets, minutes=(1.0, 2.0), clips=0, quick=False)))
