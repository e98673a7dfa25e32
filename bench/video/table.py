"""A record of the video bench as tables for a terminal, and the words that the page shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from fastswap.bench.video import reading
from fastswap.bench.video.trial import OURS

Record = Mapping[str, Any]
VERBS = {"decode": "decoding", "encode": "encoding", "extract": "extracting", "convert": "converting"}
"""From file or to file, with what the page calls it."""
COLUMNS = ("CPU-ms a frame", "IQR", "frames/s", "limit, frames/s", "of limit", "plain / ours", "binds")


def number(value: float | None) -> str:
    """Three digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def work(row: Mapping[str, Any]) -> str:
    """What is done, in words."""
    faces = "" if row["verb"] in ("decode", "encode") else f", {row['faces']} face{'' if row['faces'] == 1 else 's'}"
    network = f", {row['generator']}" if row["generator"] not in (None, "constant") else ""
    return f"{row['size']}{faces}{network}"


def contender(row: Mapping[str, Any]) -> str:
    return f"{row['contender']} (GPU)" if row["device"] == "cuda" else str(row["contender"])


def cells(record: Record, row: Mapping[str, Any]) -> list[str]:
    """Of COLUMNS."""
    if row["reason"]:
        return [f"no figure: {row['reason']}", *["-"] * (len(COLUMNS) - 1)]
    ours = str(row["contender"]).startswith(OURS)
    found = reading.limit(record, row) if ours else None
    gain = reading.gain(record, row) if row["contender"] == OURS else None
    whole = row["verb"] in ("convert", "extract")
    return [
        number(row["cpu"]["median"]),
        number(row["cpu"]["iqr"]),
        number(row["fps"]["median"]),
        f"{number(found[0])} ({found[1]})" if found else "-",
        percent(reading.share(record, row)) if found else "-",
        f"{gain:.2f}" if gain else "-",
        reading.binds(record, row) if whole else "-",
    ]


def tables(record: Record) -> list[Table]:
    """One for each verb, and the verdicts."""
    found = []
    for verb, title in VERBS.items():
        rows = [row for row in record["rows"] if row["verb"] == verb]
        table = Table("clip", "contender", title=title, title_justify="left", title_style="bold")
        for column in COLUMNS:
            table.add_column(column, justify="right")
        for row in rows:
            style = "bold" if str(row["contender"]).startswith(OURS) else ""
            table.add_row(work(row), contender(row), *cells(record, row), style=style)
        found += [table] if rows else []
    judged = Table("target", "at least", "measured", "", title="targets", title_justify="left", title_style="bold")
    for each in reading.verdicts(record):
        judged.add_row(each.text, each.target, verdict_value(each), "PASS" if each.passed else "FAIL")
    return [*found, judged] if judged.row_count else found


def verdict_value(verdict: reading.Verdict) -> str:
    """A share in per cent, all else in three digits, and what it is against the careful plain implementation."""
    value = percent(verdict.value) if verdict.target.endswith("%") else number(verdict.value)
    return f"{value} (in place: {number(verdict.careful)})" if verdict.careful else value
