"""What a study's record says: medians over seeds, and whether ours wins, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

Record = Mapping[str, Any]
Values = Mapping[str, float | None]

OURS = "gan"
FOLLOWING = ("yaw", "pitch", "mouth", "eyes")
JUDGED = ("margin", "following", "sharpness")
"""What ours has to win in."""
OVER_CONSTANT = 1.0  # dB, that a swap's margin has to lie above the constant picture's
SHOWN = ("margin", "over_constant", "psnr", "ssim", "following", *FOLLOWING, "sharpness", "flicker", "delta_e")


@dataclass(frozen=True)
class Point:
    """A metric of one preset on one pair at one mark, over the seeds. mark: seconds asked for; seconds: the median of
    those that it took, of the processor."""

    mark: float
    seconds: float
    middle: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Verdict:
    """At the longest mark of a pair. rival: None where the metric is held against a limit; apart: the worst seed of the
    winner is better than the best of the loser; never with a single seed."""

    pair: str
    rival: str | None
    metric: str
    own: Point
    other: float
    wins: bool
    apart: bool


def value(metric: str, scores: Values, controls: Mapping[str, Values]) -> float | None:
    """A metric of a swap. over_constant: its margin less the constant picture's, dB; following: the mean of the four
    correlations, of which one that could not be measured counts 0: nothing was followed."""
    if metric == "following":
        return fmean(scores[name] or 0.0 for name in FOLLOWING)
    if metric == "over_constant":
        own, constant = scores["margin"], controls["constant"]["margin"]
        return None if own is None or constant is None else own - constant
    return scores[metric]


def curve(record: Record, pair: str, label: str, metric: str) -> list[Point]:
    """A point a mark, rising; marks at which no seed could be measured are left out."""
    marks: dict[float, list[tuple[float, float]]] = {}
    for run in record["runs"]:
        if (run["pair"], run["preset"]) == (pair, label):
            for each in run["marks"]:
                found = value(metric, each["scores"], controls(record, pair))
                if found is not None:
                    marks.setdefault(each["mark"], []).append((each["cpu_seconds"], found))
    points = []
    for mark, measured in sorted(marks.items()):
        seconds, values = zip(*measured, strict=True)
        points.append(Point(mark, median(seconds), median(values), min(values), max(values), len(values)))
    return points


def last_scores(record: Record) -> dict[str, dict[str, float | None]]:
    """label -> metric -> the value at the longest mark, the mean over pairs of the medians over seeds."""
    result: dict[str, dict[str, float | None]] = {}
    for label in labels(record):
        ends = {metric: [curve(record, pair, label, metric) for pair in pairs(record)] for metric in SHOWN}
        result[label] = {
            metric: round(fmean(points[-1].middle for points in curves), 4) if all(curves) else None
            for metric, curves in ends.items()
        }
    return result


def verdicts(record: Record) -> Iterator[Verdict]:
    """Of our GAN, where it takes part: against every other preset in what it has to win, and its distance to the
    constant picture, on every pair."""
    own_label = ours(record)
    if own_label is None:
        return
    for pair in pairs(record):
        for rival in (label for label in labels(record) if label != own_label):
            for metric in JUDGED:
                own, other = (curve(record, pair, label, metric) for label in (own_label, rival))
                if own and other:
                    yield _against(pair, rival, metric, own[-1], other[-1])
        over = curve(record, pair, own_label, "over_constant")
        if over:
            wins, apart = over[-1].middle >= OVER_CONSTANT, over[-1].seeds > 1 and over[-1].low >= OVER_CONSTANT
            yield Verdict(pair, None, "over_constant", over[-1], OVER_CONSTANT, wins, apart)


def ours(record: Record) -> str | None:
    """The label of our GAN with nothing changed; of several sizes the first."""
    for each in record["presets"]:
        if each["preset"]["name"] == OURS and " " not in each["label"]:
            return str(each["label"])
    return None


def labels(record: Record) -> list[str]:
    return [each["label"] for each in record["presets"]]


def pairs(record: Record) -> list[str]:
    return [each["name"] for each in record["pairs"]]


def controls(record: Record, pair: str) -> Mapping[str, Values]:
    found: Mapping[str, Values] = next(each["controls"] for each in record["pairs"] if each["name"] == pair)
    return found


def goodness(metric: str, number: float) -> float:
    """More is better. Of sharpness: how near it is to the truth's in octaves, since noise is no detail."""
    return -abs(math.log2(max(number, 1e-9))) if metric == "sharpness" else number


def _against(pair: str, rival: str, metric: str, own: Point, other: Point) -> Verdict:
    wins = goodness(metric, own.middle) > goodness(metric, other.middle)
    better, worse = (own, other) if wins else (other, own)
    least = min(goodness(metric, each) for each in (better.low, better.high))
    most = max(goodness(metric, each) for each in (worse.low, worse.middle, worse.high))
    several = min(own.seeds, other.seeds) > 1
    return Verdict(pair, rival, metric, own, other.middle, wins, several and least > most)
