"""A study as a JSON record, which `bench/results/quality.schema.json` describes: the machine, the pairs with what their
controls score, the presets in full, and each run's scores at each mark."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastswap import workers
from fastswap.bench.record import COMMIT, machine, versions
from fastswap.quality.pairs import PAIRS

SCHEMA = 1
SWAP_SCORES = (
    "psnr", "margin", "ssim", "delta_e", "delta_e_p95", "sharpness", "flicker", "seam_gradient", "seam_delta_e", "yaw",
    "pitch", "mouth", "eyes", "found",
)  # fmt: skip


def commit() -> dict[str, Any]:
    """Of the checkout that this file lies in, or of the copy that FASTSWAP_COMMIT names; "unknown" outside of one."""
    here = Path(__file__).resolve().parent
    said = _git("rev-parse", "HEAD", folder=here) or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", folder=here)
    return {"id": os.environ.get(COMMIT) or said, "dirty": bool(changed)}


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
        "schema": SCHEMA,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine({"cpu": {"brand_raw": _processor(), "count": workers.cores()}}),
        "commit": commit(),
        "versions": versions(),
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


def _git(*arguments: str, folder: Path) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")
