"""A record of the training's benches, read: who is beside whom, how many times as fast, and tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from fastswap.bench.table import seconds
from fastswap.bench.train.parts import PARTS

Row = Mapping[str, Any]
PLAIN = "plain channels_last"
"""What gains are against."""
_MEBIBYTE = 2**20
_MOMENTS = {"end": "all losses", "start": "before the adversary"}


def groups(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Title -> what does the same work: a preset, a batch, a moment of the run. Loaders alone do not train."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["kind"] != "loader":
            found.setdefault(f"{row['preset']}, batch {row['batch']}, {_MOMENTS[row['phase']]}", []).append(row)
    return {title: sorted(each, key=lambda r: (r["median"] is None, r["median"])) for title, each in found.items()}


def name(row: Row) -> str:
    """A contender in words."""
    contender = str(row["contender"])
    if row["kind"] == "ours":
        return f"fastswap, {contender}"
    if row["workers"] is None and "load" not in contender:
        return contender
    where = "in the same process" if "in process" in contender else f"in {row['workers']} processes"
    return f"cv2 loader {where}" if row["kind"] == "loader" else f"{PLAIN}, cv2 loader {where}"


def gain(rows: Sequence[Row], row: Row) -> float | None:
    """How many times as many examples a second as the plain step with resident data: below 1 it is slower."""
    plain = next((each["egs"] for each in rows if each["contender"] == PLAIN), None)
    return row["egs"] / plain if plain and row["egs"] else None


def best(rows: Iterable[Row]) -> Row | None:
    """The fastest of them."""
    return max((row for row in rows if row["egs"]), key=lambda row: float(row["egs"]), default=None)


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def memory(row: Row) -> str:
    return "-" if row["memory"] is None else f"{row['memory'] / _MEBIBYTE:,.0f} MiB"


def rate(egs: float | None) -> str:
    """Examples a second, three digits."""
    if egs is None:
        return "-"
    return f"{egs:,.0f}" if egs >= 100 else f"{egs:.3g}"


def part_cells(parts: Mapping[str, float]) -> list[str]:
    """Each part with its share of the whole, and the whole."""
    whole = parts["whole"]
    return [*(f"{seconds(parts[part])} ({parts[part] / whole:.0%})" for part in PARTS), seconds(whole)]


def tables(record: Mapping[str, Any]) -> list[Table]:
    """One for each preset, batch and moment; then the loaders and the parts."""
    found = [_steps(title, rows) for title, rows in groups(record["rows"]).items()]
    loaders = [row for row in record["rows"] if row["kind"] == "loader"]
    if loaders:
        table = _table("loaders alone", "loader", "preset, batch", "an iteration", "IQR", "EGs/s")
        for row in loaders:
            where = f"{row['preset']}, {row['batch']}"
            table.add_row(
                name(row), where, row["reason"] or seconds(row["median"]), seconds(row["iqr"]), rate(row["egs"])
            )
        found.append(table)
    timed = [row for row in record["rows"] if row["parts"]]
    if timed:
        table = _table("parts of an eager iteration", "preset, batch, moment", *PARTS, "whole")
        for row in timed:
            table.add_row(f"{row['preset']}, {row['batch']}, {row['phase']}", *part_cells(row["parts"]))
        found.append(table)
    return found


def _steps(title: str, rows: Sequence[Row]) -> Table:
    columns = ("an iteration", "IQR", "EGs/s", "x plain", "of GEMM", "idle", "memory")
    table = _table(title, "contender", *columns)
    for row in rows:
        times = gain(rows, row)
        said = row["reason"] or seconds(row["median"])
        figures = (seconds(row["iqr"]), rate(row["egs"]), "-" if times is None else f"{times:.2f}")
        rest = (percent(row["share"]), percent(row["idle"]), memory(row))
        table.add_row(name(row), said, *figures, *rest, style="bold" if row["kind"] == "ours" else "")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(columns[0], title=title, title_justify="left", title_style="bold")
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table
