"""docs/video.md, made of its template and the records of the video bench in bench/results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastswap.bench.template import Part, committed, filled
from fastswap.bench.video import reading
from fastswap.bench.video.plots import groups, plot
from fastswap.bench.video.table import COLUMNS, VERBS, cells, contender, number, verdict_value, work
from fastswap.bench.video.trial import OURS

TEMPLATE, PAGE, IMAGES = "docs/video.in.md", "docs/video.md", "docs/img"
_NOTHING = "No run has been recorded yet."
Record = Mapping[str, Any]


def write_page(root: Path) -> int:
    """Writes the page and its plots; returns how many of these."""
    plots = 0
    for stem, record in records(root).items():
        (root / IMAGES).mkdir(exist_ok=True)
        for size in sizes(record):
            plot(record, size, root / image(stem, size))
            plots += 1
    (root / PAGE).write_text(text(root), encoding="utf-8")
    return plots


def records(root: Path) -> dict[str, Any]:
    """Name -> record of every committed run."""
    return committed(root, "video")


def image(stem: str, size: str) -> str:
    return f"{IMAGES}/{stem}-{size}.svg"


def sizes(record: Record) -> list[str]:
    """Those of which there is a plot, in the order measured."""
    return [size for size in dict.fromkeys(clip["size"] for clip in record["clips"]) if groups(record, size)]


def text(root: Path) -> str:
    """The page."""
    parts: dict[str, Part] = {"machines": _machine, "verdicts": _verdicts, "wholes": _wholes, "stages": _stages}
    template = (root / TEMPLATE).read_text(encoding="utf-8")
    return filled(template, parts, records(root), _NOTHING).rstrip("\n") + "\n"


def _machine(stem: str, record: Record) -> Iterator[str]:
    machine, commit, encoder = record["machine"], record["commit"], record["encoder"]
    gpu = f"{machine['gpu']}, driver {machine['driver']}; " if machine["gpu"] else ""
    quick = " **A rehearsal: no figures to keep.**" if record["quick"] else ""
    changed = ", with changes" if commit["dirty"] else ""
    versions = record["versions"]
    where = f"{gpu}{machine['cpu']}, {machine['cores']} cores; torch {versions['torch']}"
    clips = ", ".join(
        f"{clip['size']} {clip['bits_per_second'] / 1e6:.1f} Mbit/s" for clip in record["clips"] if clip["faces"] == 1
    )
    yield (
        f"- `{stem}`, {record['taken'][:10]}: {where}, commit `{commit['id'][:10]}`{changed}. All sides encode with "
        f"{encoder['name']} ({encoder['settings']}). Clips of one face: {clips}.{quick}"
    )


def _verdicts(stem: str, record: Record) -> Iterator[str]:
    found = list(reading.verdicts(record))
    if not found:
        return
    yield f"\n### {_where(record)} ({stem})\n"
    yield from _row("target", "at least", "measured", "")
    yield from _row("---", "--:", "--:", "---")
    for each in found:
        yield from _row(each.text, each.target, verdict_value(each), "PASS" if each.passed else "**FAIL**")


def _wholes(stem: str, record: Record) -> Iterator[str]:
    for verb, title in VERBS.items():
        rows = [row for row in record["rows"] if row["verb"] == verb]
        if rows:
            yield f"\n### {title.capitalize()} on {_where(record)} ({stem})\n"
            idle = any(row["idle"] is not None for row in rows)
            yield from _row("clip", "contender", *COLUMNS, *(["GPU idle"] if idle else []))
            yield from _row("---", "---", *["--:"] * (len(COLUMNS) + idle))
            for row in rows:
                name = contender(row)
                name = f"**{name}**" if str(row["contender"]).startswith(OURS) else name
                extra = ["-" if row["idle"] is None else f"{row['idle']:.0%}"] if idle else []
                yield from _row(work(row), name, *cells(record, row), *extra)


def _stages(stem: str, record: Record) -> Iterator[str]:
    for size in sizes(record):
        yield f"\n### {size} on {_where(record)} ({stem})\n"
        yield f"![stages of a conversion at {size}, {stem}]({image(stem, size).removeprefix('docs/')})"
    for verb, title in (("swap", "Between decoder and encoder"), ("extract", "Extracting")):
        rows = [row for row in record["rows"] if row["verb"] == verb and row["stages"]]
        names = list(dict.fromkeys(name for row in rows for name in row["stages"]))
        names = sorted(names, key=lambda name: name == "rest")
        if rows:
            psnr = ["PSNR, dB"] if verb == "swap" else []
            yield f"\n### {title} on {_where(record)} ({stem}), ms a frame\n"
            yield from _row("clip", "contender", *names, "all", *psnr)
            yield from _row("---", "---", *["--:"] * (len(names) + 1 + len(psnr)))
            for row in rows:
                found = {name: spread["median"] for name, spread in row["stages"].items()}
                whole = row["cpu"]["median"] if verb == "swap" and row["device"] == "cpu" else sum(found.values())
                parts = [number(found.get(name)) for name in names]
                agrees = [number(row["psnr"])] if psnr else []
                yield from _row(work(row), contender(row), *parts, number(whole), *agrees)


def _where(record: Record) -> str:
    return str(record["machine"]["gpu"] or record["machine"]["cpu"])


def _row(*cells: Any) -> Iterator[str]:
    yield "| " + " | ".join(str(cell) for cell in cells) + " |"
