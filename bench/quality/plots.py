"""A pair's curves: a panel a metric, scores against seconds: the median over seeds as a line in the range of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastswap.bench.quality.verdict import Record, controls, curve, labels, value

PANELS = {
    "margin": "identity margin, dB", "psnr": "PSNR in the face, dB", "ssim": "SSIM in the face",
    "yaw": "yaw followed, correlation", "pitch": "pitch followed", "mouth": "mouth followed",
    "eyes": "eyes (blinks) followed", "sharpness": "sharpness, share of the truth's",
    "flicker": "flicker, levels of 255",
}  # fmt: skip
_COLOURS = ("#1b6ca8", "#c8553d", "#5a9367", "#8d6cab", "#b8860b", "#444444")
_CONTROLS = {"recoloured": ":", "constant": "--", "nearest": "-."}
_COLUMNS = 3


def plot(record: Record, pair: str, path: Path) -> None:
    """Writes an SVG, the same bytes for the same record."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "fastswap", "svg.fonttype": "none", "font.size": 8}):
        rows = -(-len(PANELS) // _COLUMNS)
        figure = Figure(figsize=(9, 2.4 * rows + 0.5), layout="constrained")
        panels = figure.subplots(rows, _COLUMNS, sharex=True).ravel()
        for panel, (metric, title) in zip(panels, PANELS.items(), strict=True):
            _panel(panel, record, pair, metric)
            panel.set_title(title, loc="left", fontsize=8)
            panel.grid(color="#ececec")
            panel.spines[["top", "right"]].set_visible(False)
        for panel in panels[-_COLUMNS:]:
            panel.set_xlabel("seconds of training, one core")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _panel(panel: Any, record: Record, pair: str, metric: str) -> None:
    for label, colour in zip(labels(record), _COLOURS * len(labels(record)), strict=False):
        points = curve(record, pair, label, metric)
        if points:
            seconds = [point.seconds for point in points]
            panel.plot(seconds, [point.middle for point in points], "o-", color=colour, markersize=3, label=label)
            low, high = ([getattr(point, end) for point in points] for end in ("low", "high"))
            panel.fill_between(seconds, low, high, color=colour, alpha=0.18, linewidth=0)
    found = controls(record, pair)
    for name, style in _CONTROLS.items():
        level = value(metric, found[name], found)
        if level is not None:
            panel.axhline(level, color="#777777", linestyle=style, linewidth=0.9, label=name)
    if metric == "sharpness":
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter("{x:g}")
