"""What a study's record says: medians over seeds, and whether ours wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

Record = Mapping[str, Any]
OURS = "gan"
AGAINST = ("lite", "original")
OVER_CONSTANT = 1.0  # dB, that a swap's margin has to lie above the constant picture's
FOLLOWING = ("yaw", "pitch", "mouth", "eyes")
SHOWN = ("margin", "over_constant", "psnr", "ssim", "following", *FOLLOWING, "sharpness", "flicker")


@dataclass(frozen=True)
class Point:
    """A metric of one preset on one pair at one mark: over the seeds."""

    mark: float
    seconds: float
    middle: float
    low: float
    high: float


def value(
    metric: str, scores: Mapping[str, float | None], controls: Mapping[str, Mapping[str, float | None]]
) -> float | None:
    """A metric of a swap. over_constant: its margin less the constant picture's, dB; following: the mean of the four
    correlations, of which one that could not be measured counts 0: nothing was followed."""
    if metric == "following":
        return fmean(scores[name] or 0.0 for name in FOLLOWING)
    if metric == "over_constant":
        own, constant = scores["margin"], controls["constant"]["margin"]
        return None if own is None or constant is None else own - constant
    return scores[metric]


def curve(record: Record, pair: str, label: str, metric: str) -> list[Point]:
    """A point a mark."""
    controls = next(each["controls"] for each in record["pairs"] if each["name"] == pair)
    marks: dict[float, list[tuple[float, float]]] = {}
    for run in record["runs"]:
        if (run["pair"], run["preset"]) == (pair, label):
            for each in run["marks"]:
                found = value(metric, each["scores"], controls)
                if found is not None:
                    marks.setdefault(each["mark"], []).append((each["cpu_seconds"], found))
    points = []
    for mark, measured in sorted(marks.items()):
        seconds, values = zip(*measured, strict=True)
        points.append(Point(mark, median(seconds), median(values), min(values), max(values)))
    return points


def last_scores(record: Record) -> dict[str, dict[str, float | None]]:
    """label -> metric -> the value at the longest mark, the mean over pairs of the medians over seeds."""
    pairs = [each["name"] for each in record["pairs"]]
    result: dict[str, dict[str, float | None]] = {}
    for label in labels(record):
        ends = {metric: [curve(record, pair, label, metric) for pair in pairs] for metric in SHOWN}
        result[label] = {
            metric: round(fmean(points[-1].middle for points in curves), 4) if all(curves) else None
            for metric, curves in ends.items()
        }
    return result


def labels(record: Record) -> list[str]:
    return [each["label"] for each in record["presets"]]
