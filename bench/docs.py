"""`fastswap bench docs`: the pages that are made of records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastswap.bench import page
from fastswap.bench.quality import page as quality


@dataclass(frozen=True)
class DocsSummary:
    pages: list[Path]
    plots: int
    records: int


def write_docs(root: Path = page.ROOT) -> DocsSummary:
    """Writes the pages and their plots. Raises FastswapError outside of a checkout."""
    kernels = page.write_page(root)
    plots = quality.write_page(root)
    records = kernels.records + len(quality.records(root))
    return DocsSummary([kernels.page, root / quality.PAGE], kernels.plots + plots, records)
