"""Checkpoints: safetensors files with a manifest of their SHA-256 sums.

The order of the writes makes a kill at any moment harmless: the new file is written under a temporary name, the
manifest that lists it is renamed into place, then the file, then files that the manifest no longer lists are deleted.
So a file that the manifest lists and that is missing is one that was never finished, and a file that is not listed is
an old one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fastswap.errors import DamagedFileError
from fastswap.storage import atomic, sha256, write_json

FORMAT = "fastswap-checkpoint-1"
FOLDER = "checkpoints"
MANIFEST = "manifest.json"
_PATTERN = "step-*.safetensors"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose sum is right. numbers: what was saved beside the tensors."""

    path: Path
    iteration: int
    numbers: dict[str, float]

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """The tensors whose names start with `prefix`, named without it, on the CPU."""
        with safe_open(self.path, framework="pt") as file:
            return {name.removeprefix(prefix): file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118


def checkpoint_path(model: Path, iteration: int) -> Path:
    """Where the folder `model` has the checkpoint of that iteration."""
    return model / FOLDER / f"step-{iteration:08d}.safetensors"


def write_checkpoint(
    model: Path,
    iteration: int,
    tensors: Mapping[str, Tensor],
    numbers: Mapping[str, float],
    keep: int,
) -> Path:
    """Saves `tensors` and `numbers` as the checkpoint of `iteration` in the folder `model` and keeps the last
    `keep`."""
    path = checkpoint_path(model, iteration)
    note = {"format": FORMAT, "iteration": str(iteration), "numbers": json.dumps(dict(numbers), sort_keys=True)}
    with atomic(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary, note)
        listed = _read_manifest(model) or {}
        earlier = sorted(name for name in listed if name < path.name and (path.parent / name).exists())
        kept = {name: listed[name] for name in earlier[max(len(earlier) - keep + 1, 0) :]}
        write_json(path.parent / MANIFEST, {"format": FORMAT, "files": {**kept, path.name: sha256(temporary)}})
    for old in path.parent.glob(_PATTERN):
        if old.name != path.name and old.name not in kept:
            old.unlink()
    return path


def newest_checkpoint(model: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole; None where none was written yet. Each damaged one that is passed over is
    named in one line of the log. Raises DamagedFileError where there are checkpoints and none is whole."""
    folder = model / FOLDER
    listed = _read_manifest(model)
    present = sorted(folder.glob(_PATTERN), reverse=True)
    if listed is None and present:
        _LOG.warning("%s is missing or damaged: its checkpoints are read without their sums", folder / MANIFEST)
    candidates = [path for path in present if listed is None or path.name in listed]
    for path in candidates:
        fault = "its SHA-256 is wrong" if listed is not None and sha256(path) != listed[path.name] else None
        checkpoint = None if fault else _open(path)
        if checkpoint is not None:
            return checkpoint
        _LOG.warning("checkpoint %s is damaged (%s): using the one before it", path.name, fault or "it cannot be read")
    if candidates:
        raise DamagedFileError(f"no checkpoint in {folder} is whole: restore one or train into a new folder")
    return None


def _open(path: Path) -> Checkpoint | None:
    """The checkpoint at `path`, None where it is not one."""
    try:
        with safe_open(path, framework="pt") as file:
            note = file.metadata() or {}
        if note.get("format") != FORMAT:
            return None
        numbers = {str(name): float(value) for name, value in json.loads(note["numbers"]).items()}
        return Checkpoint(path, int(note["iteration"]), numbers)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read_manifest(model: Path) -> dict[str, str] | None:
    """File name -> SHA-256, None where there is no manifest or it is not one."""
    try:
        files = json.loads((model / FOLDER / MANIFEST).read_text(encoding="utf-8"))["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
