"""docs/quality.md, made of its template and the studies' records in bench/results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastswap.bench.quality.plots import plot
from fastswap.bench.quality.verdict import (
    OVER_CONSTANT,
    SHOWN,
    Point,
    Record,
    Verdict,
    controls,
    curve,
    labels,
    ours,
    pairs,
    value,
    verdicts,
)
from fastswap.bench.template import Part, committed, filled

TEMPLATE, PAGE, IMAGES = "docs/quality.in.md", "docs/quality.md", "docs/quality"
_NOTHING = "No study has been recorded yet."


def write_page(root: Path) -> int:
    """Writes the page and its curves; returns how many of these."""
    plots = 0
    for stem, record in records(root).items():
        (root / IMAGES).mkdir(exist_ok=True)
        for pair in pairs(record):
            plot(record, pair, root / IMAGES / f"{stem}-{pair}.svg")
            plots += 1
    (root / PAGE).write_text(text(root), encoding="utf-8")
    return plots


def records(root: Path) -> dict[str, Any]:
    """Name -> record of every committed study."""
    return committed(root, "quality")


def text(root: Path) -> str:
    """The page."""
    parts: dict[str, Part] = {
        "machine": _machine, "verdicts": _verdicts, "pairs": _pairs, "presets": _presets, "credits": _credits,
    }  # fmt: skip
    return filled((root / TEMPLATE).read_text(encoding="utf-8"), parts, records(root), _NOTHING)


def _machine(stem: str, record: Record) -> Iterator[str]:
    machine, commit = record["machine"], record["commit"]
    made_by = sorted({run["commit"][:10] for run in record["runs"]})
    seeds = sorted({run["seed"] for run in record["runs"]})
    quick = " **A rehearsal: no figures to keep.**" if record["quick"] else ""
    yield (
        f"- `{stem}`, {record['taken'][:10]}: {machine['cpu']}, {machine['cores']} cores, torch "
        f"{record['versions']['torch']}; recorded at commit `{commit['id'][:10]}`, runs made at "
        f"{', '.join(f'`{each}`' for each in made_by)}; {len(seeds)} seeds ({', '.join(map(str, seeds))}), judged on "
        f"{record['frames']} frames.{quick}"
    )


def _verdicts(stem: str, record: Record) -> Iterator[str]:
    last = _minutes(record["minutes"][-1])
    yield f"### After {last} of one core ({stem})\n"
    yield from _row("preset", "pair", "margin, dB", "over constant, dB", "following", "eyes", "sharpness", "flicker")
    yield from _row("---", "---", *["--:"] * 6)
    for label in labels(record):
        for pair in pairs(record):
            ends = [
                curve(record, pair, label, metric)
                for metric in ("margin", "over_constant", "following", "eyes", "sharpness", "flicker")
            ]
            yield from _row(f"`{label}`", pair, *(_spread(points[-1]) if points else "-" for points in ends))
    own = ours(record)
    if own is None:
        return
    found = list(verdicts(record))
    yield (
        f"\nIs `{own}` better than each other preset in margin, following and sharpness (nearer to 1), and its margin "
        f"at least {OVER_CONSTANT:g} dB above the constant picture's? **Bold** where all seeds agree.\n"
    )
    rivals = [label for label in labels(record) if label != own]
    yield from _row("pair", *(f"than `{rival}`" for rival in rivals), f"{OVER_CONSTANT:g} dB over constant")
    yield from _row("---", *["---"] * (len(rivals) + 1))
    for pair in pairs(record):
        cells = [[each for each in found if (each.pair, each.rival) == (pair, rival)] for rival in (*rivals, None)]
        yield from _row(pair, *("; ".join(map(_said, cell)) or "-" for cell in cells))
    lost = [each for each in found if not each.wins]
    yield f"\n{len(found) - len(lost)} of {len(found)} questions are answered with yes."


def _said(verdict: Verdict) -> str:
    answer = "yes" if verdict.wins else "no"
    answer = f"**{answer}**" if verdict.apart else answer
    if verdict.rival is None:
        return f"{answer}: {verdict.own.middle:+.2f}"
    return f"{verdict.metric} {answer} ({verdict.own.middle:.3g} to {verdict.other:.3g})"


def _pairs(stem: str, record: Record) -> Iterator[str]:
    for pair in record["pairs"]:
        name, about = pair["name"], pair["about"]
        yield f"## {name}: {about}\n"
        yield f"![A, the swaps, and the truth]({_image(f'{name}.jpg')})\n"
        yield f"![curves of {name}]({_image(f'{stem}-{name}.svg')})\n"
        yield from _row("", *(metric.replace("_", " ") for metric in SHOWN))
        yield from _row("---", *["--:"] * len(SHOWN))
        for label in labels(record):
            ends = [curve(record, name, label, metric) for metric in SHOWN]
            yield from _row(f"`{label}`", *(_spread(points[-1]) if points else "-" for points in ends))
        scored = controls(record, name)
        for control, scores in scored.items():
            yield from _row(control, *(_plain(value(metric, scores, scored)) for metric in SHOWN))
        yield ""


def _presets(stem: str, record: Record) -> Iterator[str]:
    last = _minutes(record["minutes"][-1])
    yield from _row("preset", "px", "batch a side", f"iterations in {last}", "seconds an iteration", "optimiser, rate")
    yield from _row("---", "--:", "--:", "--:", "--:", "---")
    for each in record["presets"]:
        preset, label = each["preset"], each["label"]
        ends = [run["marks"][-1] for run in record["runs"] if run["preset"] == label]
        if not ends:
            continue
        iterations = sorted(end["iteration"] for end in ends)[len(ends) // 2]
        cost = sorted(end["cpu_seconds"] / end["iteration"] for end in ends)[len(ends) // 2]
        optimisation, size = preset["optimisation"], preset["generator"]["size_out"]
        way = f"{optimisation['optimiser']}, {optimisation['learning_rate']:g}"
        yield from _row(f"`{label}`", size, preset["batch"], iterations, f"{cost:.3f}", way)


def _credits(stem: str, record: Record) -> Iterator[str]:
    for pair in record["pairs"]:
        yield f"- {pair['name']}: {'; '.join(pair['credits'])}. Shown as puppets: turned, relit, recoloured, swapped."


def _minutes(minutes: float) -> str:
    return f"{minutes:g} min" if minutes >= 1 else f"{60 * minutes:g} s"


def _image(name: str) -> str:
    return f"{IMAGES.removeprefix('docs/')}/{name}"


def _spread(point: Point) -> str:
    return (
        f"{_plain(point.middle)} ({_plain(point.low)} to {_plain(point.high)})"
        if point.seeds > 1
        else _plain(point.middle)
    )


def _plain(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f}" if abs(number) >= 0.995 else f"{number:.3f}"


def _row(*cells: Any) -> Iterator[str]:
    yield "| " + " | ".join(str(cell) for cell in cells) + " |"
