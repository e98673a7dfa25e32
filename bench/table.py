"""A record as tables: each contender's time, its ratio to our best on the same case, and its share of the ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

Row = Mapping[str, Any]
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def groups(rows: Iterable[Row], operation: str) -> list[tuple[str, list[Row]]]:
    """Title and rows of each case of an operation, in the order measured; rows by median, those without at the end."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["operation"] == operation:
            dtype = row["options"].get("dtype", "float32")
            found.setdefault(f"{row['case']}, {dtype}, batch {row['batch']}", []).append(row)
    return [(title, sorted(each, key=lambda r: (r["median"] is None, r["median"]))) for title, each in found.items()]


def best(rows: Sequence[Row], like: Row) -> Row | None:
    """Our fastest on the same device in the same mode: what `auto` should run. On a CPU's rows, that of the CPU."""
    ours = [r for r in rows if r["kind"] == "ours" and r["median"] and r["contender"] != "reference"]
    ours = ours or [r for r in rows if r["kind"] == "ours" and r["median"]]
    same = [r for r in ours if (r["device"], r["mode"]) == (like["device"], like["mode"])]
    return min(same, key=lambda r: float(r["median"]), default=None)


def ratio(rows: Sequence[Row], row: Row) -> float | None:
    """How many times as long as our best a contender takes: below 1 it is the faster one."""
    ours = best(rows, row)
    return None if ours is None or row["median"] is None else float(row["median"] / ours["median"])


def seconds(value: float | None) -> str:
    """Three digits and a unit."""
    if value is None:
        return "-"
    scale, unit = next((pair for pair in _UNITS if value >= pair[0]), _UNITS[-1])
    return f"{value / scale:.3g} {unit}"


def share(row: Row) -> str:
    return "-" if row["share"] is None else f"{row['share']:.1%} of {row['ceiling']}"


def error(row: Row) -> str:
    """Of the check, in levels of 255: that which the limit holds for."""
    check = row["check"]
    return "-" if check is None else f"{check[check['of']]:.2g}"


def tables(record: Mapping[str, Any]) -> list[Table]:
    """One for each case of each operation."""
    operations = dict.fromkeys(row["operation"] for row in record["rows"])
    return [_table(f"{name}: {title}", rows) for name in operations for title, rows in groups(record["rows"], name)]


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table("contender", "where", title=title, title_justify="left", title_style="bold")
    for column in ("median", "IQR", "x our best", "of ceiling", "error"):
        table.add_column(column, justify="right")
    for row in rows:
        times = ratio(rows, row)
        lost = row["kind"] == "peer" and times is not None and times < 1
        figures = [seconds(row["median"]), seconds(row["iqr"]), "-" if times is None else f"{times:.2f}", share(row)]
        said = row["reason"] if row["reason"] else error(row)
        style = "red" if lost or row["reason"] else "bold" if row["kind"] == "ours" else ""
        table.add_row(row["contender"], f"{row['device']} {row['mode']}", *figures, said, style=style)
    return table
