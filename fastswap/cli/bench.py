"""`fastswap bench ...`: the operations measured against their peers, and the page made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastswap.cli.verb import Verb


@dataclass(kw_only=True)
class BenchOps(Verb):
    """Measure the operations beside OpenCV, torch and kornia on the same work, each checked before it is timed."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Operations (default: all)."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where the record goes, as JSON."""
    profile: Path | None = None
    """Also write a trace for Perfetto or chrome://tracing."""
    quick: bool = False
    """One case of each operation, a few rounds: a rehearsal."""

    def run(self) -> Any:
        from fastswap.bench.run import bench_ops

        return bench_ops(self.names, output=self.output, profile=self.profile, quick=self.quick, quiet=self.quiet)


@dataclass(kw_only=True)
class BenchDocs(Verb):
    """Make docs/kernels.md and its plots from the records in bench/results (in a checkout)."""

    def run(self) -> Any:
        from fastswap.bench.page import write_page

        return write_page()


_subcommand = tyro.conf.subcommand
BenchVerb = Annotated[BenchOps, _subcommand("ops")] | Annotated[BenchDocs, _subcommand("docs")]
