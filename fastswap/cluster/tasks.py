"""What a worker can be asked to do, and how it is asked: JSON in, JSON out, for workers may be anywhere.

A task names files, never holds their content; doing it twice leaves what doing it once leaves.
"""

from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import fastswap
from fastswap import workers
from fastswap.conversion.job import Job, write_part
from fastswap.conversion.settings import ConvertSettings
from fastswap.errors import FastswapError, InputError
from fastswap.faceset import FaceSet
from fastswap.faceset.format import FaceSetMeta, Source
from fastswap.faceset.scan import ScanSettings, scan_part
from fastswap.progress import silent
from fastswap.video.segments import Part, PartError

Settings = TypeVar("Settings", ScanSettings, ConvertSettings)

_KINDS: list[type[FastswapError]] = [PartError, *FastswapError.__subclasses__()]
_ERRORS = {kind.__name__: kind for kind in _KINDS}


def perform(task: str, cores: int) -> str:
    """Does one task with at most so many cores and returns its answer. What a user can act on is an answer too; other
    exceptions are defects, and answered with their traceback."""
    import torch

    os.environ[workers.CORES_VARIABLE] = str(cores)
    torch.set_num_threads(1)  # as in the threads of `flow`: the same sums in the same order, wherever it runs
    asked = json.loads(task)
    try:
        return json.dumps({"value": _TASKS[asked.pop("do")](asked)})
    except FastswapError as error:
        kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in _ERRORS)
        return json.dumps({"error": kind, "line": str(error)})
    except Exception as error:
        return json.dumps({"error": "Exception", "line": f"{error!r} on {_host()}\n{traceback.format_exc()}"})


def value_of(answer: str) -> Any:
    """The value in an answer. Raises the error that is in it instead."""
    told = json.loads(answer)
    if "error" in told:
        kind = _ERRORS.get(told["error"])
        raise kind(told["line"]) if kind else RuntimeError(told["line"])
    return told["value"]


def check_task(source: Path, marker: Path) -> str:
    """To see whether a node can do its share. marker: a file that was just written where the output goes."""
    content = marker.read_text(encoding="ascii")
    return _text("check", source=str(source), marker=str(marker), content=content, version=fastswap.__version__)


def scan_task(settings: ScanSettings, meta: FaceSetMeta, part: Part) -> str:
    return _text("scan", settings=_plain(settings), meta=meta.to_json(), part=vars(part))


def swap_task(job: Job, rows: Path, all_rows: Path, part: Part) -> str:
    """rows: a table of the faces of the part; all_rows: one of who they all are, with no more columns than that."""
    told = {"meta": job.faces.meta.to_json(), "pictures": str(job.faces.path.resolve())}
    told |= {"rows": str(rows), "all": str(all_rows)}
    return _text("swap", settings=_plain(job.settings), faces=told, person=job.person, part=vars(part))


def _text(name: str, **asked: Any) -> str:
    return json.dumps({"do": name, **asked})


def _check(asked: dict[str, Any]) -> str:
    source, marker = Path(asked["source"]), Path(asked["marker"])
    everywhere = "put it on a file system that every node has at the same path"
    if fastswap.__version__ != asked["version"]:
        raise InputError(f"{_host()} has fastswap {fastswap.__version__}, this is {asked['version']}: install the same")
    if not os.access(source, os.R_OK):
        raise InputError(f"{_host()} cannot read {source}: {everywhere}")
    if not marker.exists() or marker.read_text(encoding="ascii") != asked["content"]:
        raise InputError(f"{_host()} does not see what is written to {marker.parent}: {everywhere}")
    if not os.access(marker.parent, os.W_OK):
        raise InputError(f"{_host()} may not write to {marker.parent}: give it the right to")
    return _host()


def _scan(asked: dict[str, Any]) -> None:
    settings, part = _revived(ScanSettings, asked["settings"]), Part(**asked["part"])
    scan_part(settings, _meta(asked["meta"]), part, silent)


def _swap(asked: dict[str, Any]) -> int:
    import pyarrow.parquet as pq

    told = asked["faces"]
    meta, pictures = _meta(told["meta"]), Path(told["pictures"])
    faces, everyone = (FaceSet(pictures, meta, pq.read_table(told[name])) for name in ("rows", "all"))
    only = frozenset(faces.table["frame"].to_pylist())
    job = Job(_revived(ConvertSettings, asked["settings"]), faces, asked["person"], only, everyone)
    return write_part(job, Part(**asked["part"]))


def _meta(content: dict[str, Any]) -> FaceSetMeta:
    return FaceSetMeta(**{**content, "source": Source(**content["source"])})


def _host() -> str:
    return socket.gethostname()


_TASKS: dict[str, Callable[[dict[str, Any]], Any]] = {"check": _check, "scan": _scan, "swap": _swap}


def _plain(settings: ScanSettings | ConvertSettings) -> dict[str, Any]:
    """The fields that are not as by default: paths as they are everywhere, the rest as JSON has it."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings) if getattr(settings, f.name) != f.default}
    return {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in values.items()}


def _revived(kind: type[Settings], content: dict[str, Any]) -> Settings:
    paths = {f.name for f in fields(kind) if "Path" in str(f.type)}
    values: dict[str, Any] = {
        name: Path(value) if name in paths else tuple(value) if isinstance(value, list) else value
        for name, value in content.items()
    }
    return kind(**values)
