"""Where figures come from: the machine, the commit, the versions."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastswap import workers
from fastswap.bench.record import COMMIT, machine, versions


def head(schema: int, *, quick: bool) -> dict[str, Any]:
    """How a record begins."""
    return {
        "schema": schema,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine({"cpu": {"brand_raw": processor(), "count": workers.cores()}}),
        "commit": commit(),
        "versions": versions(),
    }


def commit() -> dict[str, Any]:
    """Of the checkout that this file lies in, or of the copy that FASTSWAP_COMMIT names; "unknown" outside of one."""
    here = Path(__file__).resolve().parent
    said = _git("rev-parse", "HEAD", folder=here) or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", folder=here)
    return {"id": os.environ.get(COMMIT) or said, "dirty": bool(changed)}


def _git(*arguments: str, folder: Path) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")
