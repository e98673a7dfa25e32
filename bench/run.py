"""`fastswap bench ops`: runs the benches of the operations in a process of their own, and reads their record."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastswap
from fastswap.errors import FastswapError, MissingDependencyError, UsageError

FOLDER = Path(__file__).resolve().parent
_NEEDED = ("pytest", "pytest_benchmark")
_LENGTH = {False: ("--benchmark-max-time=0.7", "--benchmark-min-rounds=5"),
           True: ("--benchmark-max-time=0.05", "--benchmark-min-rounds=3", "--quick")}  # fmt: skip
_FAILED_TESTS = 1  # pytest's exit status where it ran and something failed


@dataclass(frozen=True)
class OpsSummary:
    """record: what `results/schema.json` describes; output: where it was written; profile: the trace, if one was."""

    record: dict[str, Any]
    output: Path | None
    profile: Path | None = None


def operations() -> tuple[str, ...]:
    """Those that have a bench."""
    names = (path.stem.removeprefix("bench_") for path in (FOLDER / "ops").glob("bench_*.py"))
    return tuple(sorted(name for name in names if name != "ceiling"))


def bench_ops(
    names: Sequence[str] = (),
    *,
    output: Path | None = None,
    profile: Path | None = None,
    quick: bool = False,
    quiet: bool = False,
) -> OpsSummary:
    """Measures these operations (none: all) and the machine's ceilings; then writes a trace of them if asked to.

    Raises UsageError for a name that has no bench, MissingDependencyError without pytest and pytest-benchmark, and
    FastswapError where the benches could not run, or one of our implementations failed its check: the record, which is
    written all the same, says which.
    """
    unknown = sorted(set(names) - set(operations()))
    if unknown:
        raise UsageError(f"no bench of {', '.join(unknown)}: there are {', '.join(operations())}")
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise MissingDependencyError(f'{" and ".join(absent)} not installed: pip install "fastswap[bench]"')
    with tempfile.TemporaryDirectory() as folder:
        path = (output or Path(folder) / "ops.json").resolve()
        status = _pytest(names or operations(), path, quick=quick, quiet=quiet)
        if status not in (0, _FAILED_TESTS) or not path.exists():
            raise FastswapError(f"the benches did not run: pytest ended with status {status}")
        record = json.loads(path.read_text(encoding="utf-8"))
    failed = [f"{r['operation']} by {r['contender']}" for r in record["rows"] if r["reason"] and r["kind"] == "ours"]
    if failed:
        raise FastswapError(f"a check failed, so there is no figure of {', '.join(sorted(set(failed)))}")
    if profile is not None:
        from fastswap.bench.trace import trace

        trace(names or operations(), profile)
    return OpsSummary(record, output, profile)


def _environment() -> dict[str, str]:
    """One thread, and this very fastswap, also where it is not installed."""
    inherited = [str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    paths = [str(Path(fastswap.__file__).resolve().parents[1]), *inherited]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}


def _pytest(names: Sequence[str], output: Path, *, quick: bool, quiet: bool) -> int:
    """Output goes to stderr: what is printed on stdout is the result. Its settings do not depend on where it runs."""
    files = [str(FOLDER / "ops" / f"bench_{name}.py") for name in ("ceiling", *names)]
    settings = ["-c", os.devnull, "--rootdir", str(FOLDER), "--import-mode=importlib", "-o", "python_files=bench_*.py"]
    style = ["-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "--benchmark-quiet", "--disable-warnings"]
    measured = [f"--benchmark-json={output}", *_LENGTH[quick]]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *style, *measured, *files],
        stdout=subprocess.DEVNULL if quiet else 2,
        cwd=FOLDER,
        env=_environment(),
        check=False,
    )
    return done.returncode
