"""Summaries for people (stdout, tables) and for programs (one JSON object)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fastswap.bench.run import OpsSummary
from fastswap.bench.table import tables
from fastswap.bench.train import table as training
from fastswap.bench.train.run import TrainingFigures
from fastswap.bench.video import table as video
from fastswap.bench.video.run import VideoFigures
from fastswap.doctor import Diagnosis
from fastswap.models import Summary

_SMALL = 1e-3
"""What three decimals would round away is shown by its leading digits."""


def as_json(summary: Any) -> Any:
    """The summary as plain JSON values."""
    if dataclasses.is_dataclass(summary) and not isinstance(summary, type):
        return {f.name: as_json(getattr(summary, f.name)) for f in dataclasses.fields(summary)}
    if isinstance(summary, Mapping):
        return {str(key): as_json(value) for key, value in summary.items()}
    if isinstance(summary, list | tuple):
        return [as_json(value) for value in summary]
    return str(summary) if isinstance(summary, Path) else summary


def show(summary: Any) -> None:
    """Prints a summary: fields a line each, nested ones as tables."""
    console = Console(highlight=False, soft_wrap=True)
    if isinstance(summary, Diagnosis):
        _show_diagnosis(console, summary)
        return
    if isinstance(summary, OpsSummary):
        _show_bench(console, summary)
        return
    if isinstance(summary, TrainingFigures | VideoFigures):
        tables = training.tables if isinstance(summary, TrainingFigures) else video.tables
        console.print(*tables(summary.record))
        if summary.output is not None:
            console.print(f"written: {summary.output}", markup=False)
        return
    if isinstance(summary, Summary):
        _show_network(console, summary)
        return
    content = as_json(summary)
    for name, value in content.items():
        if isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
            console.print(_table(value))
        else:
            console.print(f"{name.replace('_', ' '):<18} {_plain(value)}", markup=False)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value) or "none"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2g}" if 0 < abs(value) < _SMALL else f"{value:.3f}".rstrip("0").rstrip(".")


def _table(rows: dict[str, dict[str, Any]]) -> Table:
    table = Table()
    table.add_column("")
    for row in rows:
        table.add_column(row, justify="right")
    for name in next(iter(rows.values())):
        table.add_row(name.replace("_", " "), *(_plain(row[name]) for row in rows.values()))
    return table


def _show_bench(console: Console, summary: OpsSummary) -> None:
    for table in tables(summary.record):
        console.print(table)
    for name, reasons in summary.record["absent"].items():
        if reasons:
            said = ", ".join(f"{contender} ({why})" for contender, why in reasons.items())
            console.print(f"{name}: without {said}", markup=False)
    for path in (summary.output, summary.profile):
        if path is not None:
            console.print(f"written: {path}", markup=False)


def _show_diagnosis(console: Console, found: Diagnosis) -> None:
    machine = ("python", "system", "cpu", "cores", "memory_gib", "disk_free_gib", "gpus", "driver")
    simple = (*machine, "networks", "decoding")
    for name in simple:
        value = getattr(found, name)
        console.print(f"{name.replace('_', ' '):<18} {_plain(value) if value else 'none'}", markup=False)
    encoded = [codec for codec, reason in found.nvenc.items() if reason is None]
    reasons = " or ".join(dict.fromkeys(reason for reason in found.nvenc.values() if reason))
    console.print(f"{'nvenc':<18} {_plain(encoded) if encoded else f'none: {reasons}'}", markup=False)
    packages = Table("package", "version")
    for name, version in found.packages.items():
        packages.add_row(name, version or "absent")
    names = list(dict.fromkeys(name for impls in found.implementations.values() for name in impls))
    operations = Table("operation", *names)
    for operation, impls in found.implementations.items():
        operations.add_row(operation, *(_usable(impls[name]) if name in impls else "-" for name in names))
    console.print(packages, operations)
    for line in found.advice:
        console.print(f"- {line}", markup=False)


def _show_network(console: Console, summary: Summary) -> None:
    """A row a layer ("x": how many of it; MMAC: millions of multiply-adds for one face), then the totals."""
    table = Table("layer", "kind", "output", "x", "parameters", "MMAC", box=SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[3:]:
        column.justify = "right"
    for layer in summary.layers:
        shape = "x".join(map(str, layer.output))
        counts = (str(layer.copies), f"{layer.parameters:,}", f"{layer.multiply_adds / 1e6:,.1f}")
        table.add_row(layer.name, layer.kind, shape, *counts)
    console.print(f"{summary.preset}, {summary.size} px, {summary.sides} sides, batch {summary.batch} a side")
    console.print(table)
    for name, count in summary.parameters.items():
        console.print(f"{'parameters, ' + name:<32} {count:>16,}")
    for name, count in summary.flops.items():
        console.print(f"{'GFLOP, ' + name:<32} {count / 1e9:>16,.1f}")
    for name, size in summary.memory_mib.items():
        console.print(f"{'MiB, ' + name:<32} {size:>16,.1f}")


def _usable(reason: str | None) -> str:
    """A cell of the matrix: the reason's first words where an implementation cannot be used here."""
    return "available" if reason is None else reason.partition(":")[0]
