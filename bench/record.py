"""One run of the benches as a JSON record: the machine, the commit, the ceilings, and a row for every trial.

`results/schema.json` says what is in it. A row whose check failed has a reason and no figures. A share is the floor of
the work over the median: bytes over the measured copy, products over the measured matrix product, whichever is longer.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from fastswap.bench.contender import Peer, Trial, plain

SCHEMA = 1
_PACKAGES = ("fastswap", "torch", "triton", "cupy-cuda13x", "numba", "numpy", "opencv-python-headless", "kornia")
COMMIT = "FASTSWAP_COMMIT"  # the commit of a copy without .git, as on a machine lent for a run
_FIGURES = ("median", "iqr", "min", "rounds", "iterations")

Row = dict[str, Any]


def facts(trial: Trial) -> Row:
    """What is known of a trial before it runs."""
    case = trial.case
    peer = trial.contender if isinstance(trial.contender, Peer) else None
    return {
        "operation": trial.operation,
        "case": case.title,
        "size": case.size,
        "batch": case.batch,
        "options": {name: plain(value) for name, value in trial.shape.options},
        "contender": trial.name,
        "kind": "peer" if peer else "ours",
        "why": peer.why if peer else "",
        "device": trial.device,
        "mode": trial.mode,
        "traffic": case.traffic,
        "arithmetic": case.arithmetic,
        "products": case.products,
    }


def machine(info: Mapping[str, Any]) -> dict[str, Any]:
    """CPU and GPU, from what pytest-benchmark found and from torch."""
    cpu = info.get("cpu", {})
    gpu = torch.cuda.is_available()
    return {
        "cpu": cpu.get("brand_raw", platform.processor() or "unknown"),
        "cores": cpu.get("count", torch.get_num_threads()),
        "system": f"{platform.system()} {platform.machine()}",
        "gpu": torch.cuda.get_device_name() if gpu else None,
        "gpu_memory_gib": round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1) if gpu else None,
        "driver": _driver() if gpu else None,
    }


def made(
    measured: Mapping[str, Any],  # pytest-benchmark's JSON
    failed: Sequence[Row],
    absent: Mapping[str, Mapping[str, str]],
    *,
    quick: bool,
) -> dict[str, Any]:
    """The record."""
    benchmarks = measured["benchmarks"]
    ceilings = [_ceiling(each) for each in benchmarks if "ceiling" in each["extra_info"]]
    rates = {(each["device"], each["kind"]): each["rate"] for each in ceilings}
    rows = [_timed(each, rates) for each in benchmarks if "trial" in each["extra_info"]]
    rows += [{**row, **dict.fromkeys(_FIGURES), "share": None, "ceiling": None} for row in failed]
    commit = measured["commit_info"]
    return {
        "schema": SCHEMA,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": measured["machine_info"]["fastswap"],
        "commit": {"id": os.environ.get(COMMIT) or commit["id"], "dirty": bool(commit.get("dirty"))},
        "versions": versions(),
        "ceilings": ceilings,
        "rows": rows,
        "absent": {operation: dict(reasons) for operation, reasons in absent.items()},
    }


def _ceiling(benchmark: Mapping[str, Any]) -> Row:
    """A rate in bytes or operations a second, from the median."""
    about = benchmark["extra_info"]["ceiling"]
    stats = {name: benchmark["stats"][name] for name in _FIGURES}
    return {**about, **stats, "rate": about["amount"] / stats["median"]}


def _timed(benchmark: Mapping[str, Any], rates: Mapping[tuple[str, str], float]) -> Row:
    row = dict(benchmark["extra_info"]["trial"])
    row |= {name: benchmark["stats"][name] for name in _FIGURES} | {"reason": None}
    share, ceiling = _share(row, rates)
    return {**row, "share": share, "ceiling": ceiling}


def _share(row: Row, rates: Mapping[tuple[str, str], float]) -> tuple[float | None, str | None]:
    """Of the ceiling that binds: the part of it that was reached, and its name. A matrix product is no floor on the
    CPU, where a solver with fewer operations wins."""
    device = row["device"]
    amounts = {"copy": row["traffic"], "gemm": row["products"] if device == "cuda" else 0}
    floors = {kind: amounts[kind] / rates[device, kind] for kind in amounts if (device, kind) in rates}
    if not floors:
        return None, None
    kind = max(floors, key=lambda name: floors[name])
    return floors[kind] / row["median"], kind


def versions() -> dict[str, str | None]:
    """Of Python, CUDA and the packages that figures depend on; None where one is absent."""
    found: dict[str, str | None] = {"python": platform.python_version(), "cuda": torch.version.cuda}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _driver() -> str | None:
    try:
        said = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=30, check=False).stdout
    except OSError:
        return None
    found = re.search(r"Driver Version:\s*([\d.]+)", said)
    return found.group(1) if found else None
