"""A record's medians as points: one picture an operation, one panel a case, time on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastswap.bench.table import Row, seconds

_OURS, _PEER = "#1b6ca8", "#8a8a8a"
_BAR, _PANEL = 0.2, 0.75  # inches: of a bar, and of a panel's title and axis


def plot(cases: Sequence[tuple[str, Sequence[Row]]], path: Path) -> None:
    """Writes an SVG, the same bytes for the same record. Contenders without a figure are not shown."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = [(title, [row for row in rows if row["median"]]) for title, rows in cases]
    shown = [(title, rows) for title, rows in shown if rows]
    if not shown:
        return
    heights = [_PANEL + _BAR * len(rows) for _, rows in shown]
    with rc_context({"svg.hashsalt": "fastswap", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(8, sum(heights)), layout="constrained")
        panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
        for panel, (title, rows) in zip(panels, shown, strict=True):
            for place, row in enumerate(rows):
                colour, median, half = (
                    _OURS if row["kind"] == "ours" else _PEER,
                    row["median"] * 1e3,
                    row["iqr"] / 2 * 1e3,
                )
                panel.errorbar(
                    median, place, xerr=half, fmt="o", markersize=5, color=colour, ecolor="black", elinewidth=1
                )
                panel.annotate(
                    seconds(row["median"]), (median, place), (8, -3), textcoords="offset points", color=colour
                )
            panel.set_yticks(range(len(rows)), [f"{row['contender']}, {row['device']} {row['mode']}" for row in rows])
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_formatter("")
            panel.margins(x=0.12, y=0.2)
            panel.grid(axis="x", color="#e4e4e4")
            panel.invert_yaxis()
            panel.set_title(title, loc="left")
            panel.set_xlabel("ms a call (median; the line is the interquartile range)")
            panel.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, format="svg", metadata={"Date": None})
