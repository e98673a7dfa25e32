"""The records that are committed, and filling the marks of a page's template, `<!-- name -->`, with what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Part = Callable[[str, Any], Iterator[str]]
"""The lines that a page has of one record: of (its name, the record)."""
RESULTS = "bench/results"
_MARK = re.compile(r"<!-- (\w+) -->")


def committed(root: Path, kind: str) -> dict[str, Any]:
    """Name -> record of every run of a kind (ops, train, video, quality) in the checkout `root`."""
    files = sorted((root / RESULTS).glob(f"{kind}-*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def filled(template: str, parts: Mapping[str, Part], records: Mapping[str, Any], nothing: str) -> str:
    """The template with each mark replaced by the lines of its part, record after record; by `nothing` where there is
    no record. Raises KeyError for a mark without a part."""

    def lines(mark: re.Match[str]) -> str:
        part = parts[mark.group(1)]
        return "\n".join(line for name, record in records.items() for line in part(name, record)) or nothing

    return _MARK.sub(lines, template)
