"""docs/training.md, made of its template and the records of the training's benches in bench/results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastswap.bench.plots import plot
from fastswap.bench.table import seconds
from fastswap.bench.template import Part, committed, filled
from fastswap.bench.train.parts import PARTS
from fastswap.bench.train.table import PLAIN, best, gain, groups, memory, name, part_cells, percent, rate

TEMPLATE, PAGE, IMAGES = "docs/training.in.md", "docs/training.md", "docs/img"
_NOTHING = "No run has been recorded yet."
Record = Mapping[str, Any]


def write_page(root: Path) -> int:
    """Writes the page and its plots; returns how many of these."""
    plots = 0
    for stem, record in records(root).items():
        (root / IMAGES).mkdir(exist_ok=True)
        for preset in presets(record):
            cases = groups(row for row in record["rows"] if row["preset"] == preset)
            shown = [(title, [_plotted(row) for row in rows]) for title, rows in cases.items()]
            plot(shown, root / image(stem, preset))
            plots += 1
    (root / PAGE).write_text(text(root), encoding="utf-8")
    return plots


def records(root: Path) -> dict[str, Any]:
    """Name -> record of every committed run."""
    return committed(root, "train")


def image(stem: str, preset: str) -> str:
    return f"{IMAGES}/{stem}-{preset}.svg"


def presets(record: Record) -> list[str]:
    """Those of which there is a figure, in the order measured."""
    return list(dict.fromkeys(row["preset"] for row in record["rows"] if row["median"] and row["kind"] != "loader"))


def text(root: Path) -> str:
    """The page."""
    parts: dict[str, Part] = {"machines": _machine, "whole": _whole, "steps": _steps, "parts": _parts}
    template = (root / TEMPLATE).read_text(encoding="utf-8")
    return filled(template, parts, records(root), _NOTHING).rstrip("\n") + "\n"


def _plotted(row: Mapping[str, Any]) -> dict[str, Any]:
    """As the operations' plot wants it."""
    return {**row, "contender": name(row), "mode": row["precision"] or ""}


def _machine(stem: str, record: Record) -> Iterator[str]:
    machine, commit = record["machine"], record["commit"]
    gpu = f"{machine['gpu']}, driver {machine['driver']}; " if machine["gpu"] else ""
    threads = sorted({str(row["threads"]) for row in record["rows"] if row["threads"]})
    rates = ", ".join(f"{c['device']} {c['precision']} {c['rate'] / 1e9:,.0f} GFLOP/s" for c in record["ceilings"])
    quick = " **A rehearsal: no figures to keep.**" if record["quick"] else ""
    changed = ", with changes" if commit["dirty"] else ""
    where = f"{gpu}{machine['cpu']}, {machine['cores']} cores, threads of torch: {' or '.join(threads)}"
    source = f"torch {record['versions']['torch']}, commit `{commit['id'][:10]}`{changed}"
    yield f"- `{stem}`, {record['taken'][:10]}: {where}, {source}. Matrix products: {rates}.{quick}"


def _whole(stem: str, record: Record) -> Iterator[str]:
    """The loader alone, the step alone, both together, and ours, where a loader was measured."""
    head = ("preset, batch", "cv2 loader alone", "plain step alone", "plain step, cv2 loader", "fastswap", "gain")
    lines = list(_gains(record))
    if lines:
        yield f"\n### The whole on {record['machine']['gpu'] or record['machine']['cpu']} ({stem}), EGs/s\n"
        yield from _row(*head)
        yield from _row("---", *["--:"] * 5)
        yield from lines


def _gains(record: Record) -> Iterator[str]:
    cases = {(row["preset"], row["batch"]) for row in record["rows"] if row["kind"] == "loader"}
    for preset, batch in sorted(cases):
        rows = [r for r in record["rows"] if (r["preset"], r["batch"], r["phase"]) == (preset, batch, "end")]
        sorts = [
            [r for r in rows if r["kind"] == "loader"],
            [r for r in rows if r["contender"] == PLAIN],
            [r for r in rows if r["contender"].startswith("loaded")],
            [r for r in rows if r["kind"] == "ours"],
        ]
        chosen = [best(each) for each in sorts]
        cells = ["-" if each is None else f"{rate(each['egs'])} ({name(each)})" for each in chosen]
        together, ours = chosen[2:]
        times = f"**{ours['egs'] / together['egs']:.2f}**" if together and ours else "-"
        yield from _row(f"{preset}, {batch}", *cells, times)


def _steps(stem: str, record: Record) -> Iterator[str]:
    where = record["machine"]["gpu"] or record["machine"]["cpu"]
    for preset in presets(record):
        yield f"\n### {preset} on {where} ({stem})\n"
        yield f"![an iteration of {preset}, {stem}]({image(stem, preset).removeprefix('docs/')})\n"
        yield from _row(
            *("batch, moment", "GFLOP", "contender", "an iteration", "IQR", "rounds", "EGs/s", "x plain", "of GEMM"),
            *("idle", "memory", "CPU time"),
        )
        yield from _row("---", "--:", "---", *["--:"] * 9)
        for title, rows in groups(row for row in record["rows"] if row["preset"] == preset).items():
            for row in rows:
                yield from _contender(title.removeprefix(f"{preset}, "), rows, row)


def _contender(title: str, rows: list[Mapping[str, Any]], row: Mapping[str, Any]) -> Iterator[str]:
    times = gain(rows, row)
    first = row is rows[0]
    said = f"no figure: {row['reason']}" if row["reason"] else seconds(row["median"])
    yield from _row(
        title if first else "",
        f"{row['flops'] / 1e9:,.1f}" if first else "",
        f"**{name(row)}**" if row["kind"] == "ours" else name(row),
        *(said, seconds(row["iqr"]), row["rounds"] or "-", rate(row["egs"])),
        "-" if times is None else f"{times:.2f}",
        *(percent(row["share"]), percent(row["idle"]), memory(row), seconds(row["processor"])),
    )


def _parts(stem: str, record: Record) -> Iterator[str]:
    timed = [row for row in record["rows"] if row["parts"]]
    if not timed:
        return
    yield f"\n### Parts on {record['machine']['gpu'] or record['machine']['cpu']} ({stem})\n"
    yield from _row("preset, batch, moment", *PARTS, "whole")
    yield from _row("---", *["--:"] * (len(PARTS) + 1))
    for row in timed:
        title = next(iter(groups([row])))
        yield from _row(title, *part_cells(row["parts"]))


def _row(*cells: Any) -> Iterator[str]:
    yield "| " + " | ".join(str(cell) for cell in cells) + " |"
