"""`fastswap bench docs`: the pages that are made of records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastswap.bench import page
from fastswap.bench.quality import page as quality
from fastswap.bench.train import page as training
from fastswap.bench.video import page as video


@dataclass(frozen=True)
class DocsSummary:
    pages: list[Path]
    plots: int
    records: int


def write_docs(root: Path = page.ROOT) -> DocsSummary:
    """Writes the pages and their plots. Raises FastswapError outside of a checkout."""
    kernels = page.write_page(root)
    others = (quality, training, video)
    plots = kernels.plots + sum(other.write_page(root) for other in others)
    records = kernels.records + sum(len(other.records(root)) for other in others)
    return DocsSummary([kernels.page, *(root / other.PAGE for other in others)], plots, records)
