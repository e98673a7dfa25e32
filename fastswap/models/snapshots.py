"""Snapshots: checkpoints that are kept for ever, each in a model folder of its own, `snapshots/step-NNNNNNNN`, which
every verb opens like any other model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fastswap.models.checkpoints import FORMAT, MANIFEST, checkpoint_path
from fastswap.models.folder import CONFIG_NAME
from fastswap.storage import atomic, sha256, write_json

FOLDER = "snapshots"


def keep_snapshot(model: Path, iteration: int) -> Path:
    """Keeps the checkpoint of `iteration`, which the folder `model` has, and returns the snapshot's folder. The order
    of the writes is that of a checkpoint; the configuration comes last, and makes it a model."""
    folder = model / FOLDER / f"step-{iteration:08d}"
    source, target = checkpoint_path(model, iteration), checkpoint_path(folder, iteration)
    write_json(target.parent / MANIFEST, {"format": FORMAT, "files": {target.name: sha256(source)}})
    with atomic(target) as temporary:
        _link(source, temporary)
    with atomic(folder / CONFIG_NAME) as temporary:
        shutil.copyfile(model / CONFIG_NAME, temporary)
    return folder


def _link(source: Path, target: Path) -> None:
    """A second name for the same file, which is never written again; a copy where the disk knows no second names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
