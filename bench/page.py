"""docs/kernels.md, made of its template, the kernels' own module texts, and the records in bench/results.

The page says nothing of its own: what a kernel does stands in its file, what it reaches in a record.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastswap.bench.plots import plot
from fastswap.bench.table import Row, error, groups, ratio, seconds, share
from fastswap.bench.template import committed
from fastswap.errors import FastswapError

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE, PAGE, IMAGES = "docs/kernels.in.md", "docs/kernels.md", "docs/img"
_TRITON_LAUNCH = re.compile(r"^\s+(\w+)\[[^\]]*\]\(", re.MULTILINE)
_CUDA_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")
_MARK = re.compile(r"<!-- (machines|operation: (\w+)) -->\n")


@dataclass(frozen=True)
class PageSummary:
    page: Path
    plots: int
    records: int


def write_page(root: Path = ROOT) -> PageSummary:
    """Writes the page and its plots. Raises FastswapError outside of a checkout."""
    if not (root / TEMPLATE).exists():
        raise FastswapError(f"{root / TEMPLATE} is not there: the page is made in a checkout of fastswap")
    found = records(root)
    (root / IMAGES).mkdir(exist_ok=True)
    plots = 0
    for stem, record in found.items():
        for operation in dict.fromkeys(row["operation"] for row in record["rows"]):
            plot(groups(record["rows"], operation), root / image(stem, operation))
            plots += 1
    (root / PAGE).write_text(text(root), encoding="utf-8")
    return PageSummary(root / PAGE, plots, len(found))


def records(root: Path = ROOT) -> dict[str, Any]:
    """Name -> record, of every committed run of the operations' benches."""
    return committed(root, "ops")


def image(stem: str, operation: str) -> str:
    return f"{IMAGES}/{stem}-{operation}.svg"


def text(root: Path = ROOT) -> str:
    """The page."""
    found = records(root)
    parts = _MARK.split((root / TEMPLATE).read_text(encoding="utf-8"))
    page = [parts[0]]
    for mark, operation, after in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if mark == "machines":
            page += ["\n".join(_machines(found)), "\n", after]
        else:
            lines = [f"## {operation}\n", after.strip(), *_figures(found, operation), *_explained(root, operation)]
            page.append("\n".join(lines) + "\n\n")
    return "".join(page).rstrip("\n") + "\n"


def _machines(found: Mapping[str, Any]) -> Iterator[str]:
    if not found:
        yield "No run has been recorded yet."
        return
    yield from _row("run", "machine", "commit", "copy", "matrix product", "with")
    yield from _row(*["---"] * 6)
    for stem, record in found.items():
        machine, commit = record["machine"], record["commit"]
        gpu = f"{machine['gpu']}, driver {machine['driver']}; " if machine["gpu"] else ""
        rates = [_rates(record, kind) for kind in ("copy", "gemm")]
        versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items() if version)
        dirty = ", with changes" if commit["dirty"] else ""
        where = f"{gpu}{machine['cpu']}, {machine['cores']} cores"
        yield from _row(f"{stem}, {record['taken'][:10]}", where, f"`{commit['id'][:10]}`{dirty}", *rates, versions)


def _rates(record: Mapping[str, Any], kind: str) -> str:
    unit = {"copy": "GB/s", "gemm": "GFLOP/s"}[kind]
    each = [f"{c['device']} {c['rate'] / 1e9:,.0f} {unit}" for c in record["ceilings"] if c["kind"] == kind]
    return ", ".join(each)


def _figures(found: Mapping[str, Any], operation: str) -> Iterator[str]:
    for stem, record in found.items():
        cases = groups(record["rows"], operation)
        if not cases:
            continue
        machine = record["machine"]
        yield f"\n### {operation} on {machine['gpu'] or machine['cpu']} ({stem})\n"
        yield f"![median times of {operation}, {stem}]({image(stem, operation).removeprefix('docs/')})\n"
        yield from _row("case", "contender", "where", "median", "IQR", "rounds", "x our best", "of ceiling", "error")
        yield from _row("---", "---", "---", *["--:"] * 6)
        for title, rows in cases:
            yield from _case(title, rows)
        yield from _notes(record, operation)


def _case(title: str, rows: Sequence[Row]) -> Iterator[str]:
    first = rows[0]
    for row in rows:
        times = ratio(rows, row)
        name = f"**{row['contender']}**" if row["kind"] == "ours" else row["contender"]
        said = f"no figure: {row['reason']}" if row["reason"] else seconds(row["median"])
        ratios = "-" if times is None else f"{times:.2f}"
        work = f"{title} ({row['traffic'] / 1e6:.3g} MB, {row['arithmetic'] / 1e6:.3g} MFLOP)" if row is first else ""
        where = f"{row['device']} {row['mode']}"
        figures = seconds(row["iqr"]), row["rounds"] or "-", ratios, share(row), error(row)
        yield from _row(work, name, where, said, *figures)


def _notes(record: Mapping[str, Any], operation: str) -> Iterator[str]:
    why = {row["contender"]: row["why"] for row in record["rows"] if row["operation"] == operation and row["why"]}
    yield ""
    yield from (f"- {contender}: {reason}." for contender, reason in why.items())
    absent = record["absent"].get(operation, {})
    yield from (f"- {contender} did not take part: {reason}." for contender, reason in absent.items())


def _explained(root: Path, operation: str) -> Iterator[str]:
    """The module texts of an operation's kernels, and how to look into those of a GPU."""
    folder = root / "kernels" / operation
    lines = []
    for name, title in (("triton", "Triton"), ("cupy", "CUDA C"), ("numba", "Numba")):
        for path in _files(folder, name):
            yield f"\n### {title}: `kernels/{operation}/{path.name}`\n"
            yield _module_text(path)
            lines += [_ncu(operation, name, kernel) for kernel in _kernels(path)]
    if lines:
        yield "\n### Nsight Compute\n"
        yield "```"
        yield from lines
        yield "```"


def _files(folder: Path, name: str) -> list[Path]:
    patterns = {"triton": "_triton*.py", "cupy": "*.cu", "numba": "_numba*.py"}
    return sorted(folder.glob(patterns[name]))


def _kernels(path: Path) -> list[str]:
    pattern = _CUDA_KERNEL if path.suffix == ".cu" else _TRITON_LAUNCH
    names = pattern.findall(path.read_text(encoding="utf-8")) if "_numba" not in path.name else []
    return list(dict.fromkeys(names))


def _ncu(operation: str, impl: str, kernel: str) -> str:
    asked = f'--set full --nvtx --nvtx-include "fastswap.{operation}.{impl}/" -k {kernel} -c 1'
    return f"ncu {asked} -o {operation}-{kernel} python -m fastswap.bench.trace {operation} {impl}"


def _module_text(path: Path) -> str:
    """A module's docstring, or the comment that a CUDA C source begins with."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(source)) or "").strip()
    comment = re.match(r"(?://.*\n)+", source)
    return "\n".join(line.removeprefix("//").strip() for line in comment.group().splitlines()) if comment else ""


def _row(*cells: Any) -> Iterator[str]:
    yield "| " + " | ".join(str(cell) for cell in cells) + " |"
