"""Where the time of a conversion goes: a bar for each contender, its parts the stages, a panel for each number of
faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastswap.bench.video import reading
from fastswap.bench.video.table import Record, contender

STAGES = ("decode", "crop", "generate", "colour", "mask", "blend", "sharpen", "paste", "rest", "encode")
_COLOURS = dict(
    zip(
        STAGES,
        ("#b9c4cc", "#1b6ca8", "#8d6cab", "#c8553d", "#5a9367", "#7a7a3a", "#a05a7a", "#b8860b", "#444444", "#dcd3c4"),
        strict=True,
    )
)
_OTHER = "#000000"
_BAR, _PANEL = 0.3, 0.75  # inches: of a bar, and of a panel's title and axis


def plot(record: Record, size: str, path: Path) -> None:
    """Writes an SVG, the same bytes for the same record."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = [(title, rows) for title, rows in groups(record, size) if rows]
    if not panels:
        return
    heights = [_PANEL + _BAR * len(rows) for _, rows in panels]
    with rc_context({"svg.hashsalt": "fastswap", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(8, sum(heights) + 0.4), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights, sharex=True)[:, 0]
        for panel, (title, rows) in zip(axes, panels, strict=True):
            _panel(panel, record, rows)
            panel.set_title(title, loc="left", fontsize=8)
        axes[-1].set_xlabel("CPU milliseconds a frame, one after the other on one thread")
        legends = [axis.get_legend_handles_labels() for axis in axes]
        handles = {label: handle for found in legends for handle, label in zip(*found, strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=10, frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def groups(record: Record, size: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Title -> conversions of the same work, on the CPU."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in record["rows"]:
        if (row["verb"], row["size"], row["device"], row["reason"]) == ("convert", size, "cpu", None):
            network = "" if row["generator"] == "constant" else f", {row['generator']}"
            found.setdefault(f"{row['faces']} face{'' if row['faces'] == 1 else 's'}{network}", []).append(row)
    return list(found.items())


def _panel(panel: Any, record: Record, rows: Sequence[dict[str, Any]]) -> None:
    for place, row in enumerate(rows):
        left = 0.0
        stages = reading.stages(record, row)
        for name in sorted(stages, key=lambda stage: STAGES.index(stage) if stage in STAGES else len(STAGES)):
            colour = _COLOURS.get(name, _OTHER)
            panel.barh(place, stages[name], left=left, color=colour, label=name if place == 0 else "_", height=0.7)
            left += stages[name]
        panel.annotate(f"{left:.3g} ms", (left, place), (4, -3), textcoords="offset points")
    panel.set_yticks(range(len(rows)), [contender(row) for row in rows])
    panel.invert_yaxis()
    panel.margins(x=0.1)
    panel.grid(axis="x", color="#e4e4e4")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
