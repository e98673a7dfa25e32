"""Extractions: scans from file to face set on all cores, and what a frame takes, stage by stage on one thread."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from fastswap.bench.train.device import idle_share
from fastswap.bench.video.rounds import Spread, interleaved, one_thread
from fastswap.bench.video.scene import Scene
from fastswap.bench.video.swap import split
from fastswap.bench.video.trial import OURS, Trial
from fastswap.bench.video.watch import Operations, Watch
from fastswap.faces import FaceFinder, networks, persons
from fastswap.faceset.look import Looker
from fastswap.faceset.scan import ScanSettings, describe_source, meta_of, scan
from fastswap.progress import silent
from fastswap.video import Frame, open_video

SIZE = 512
"""Pixels of the aligned faces: what `extract` writes unless it is told otherwise."""
_NETWORKS = {"full": "detect", "short": "detect", "mesh": "mesh"}
_PROFILED = 2


def extract_rows(trial: Trial, scene: Scene, folder: Path) -> list[dict[str, Any]]:
    """One row."""
    scanning = Scanning(trial, scene, folder / "extracted")
    with one_thread():
        looking = Looking(trial, scene, folder / "looked")
        looking.look()  # networks are loaded and kernels compiled on first use
        stages = [looking.stages() for _ in range(trial.rounds)]
        times = interleaved({OURS: scanning.run}, trial.rounds)[OURS]
    spreads = {stage: Spread.of([1e3 * found[stage] for found in stages]) for stage in stages[0]}
    facts = {"verb": "extract", "size": trial.size, "faces": trial.faces, "generator": None, "contender": OURS}
    idle = idle_share(looking.look, _PROFILED, torch.device(trial.device))
    return [
        {**facts, "device": trial.device, "rounds": trial.rounds, **times.figures(), "stages": spreads, "idle": idle}
    ]


class Scanning:
    """What `extract` does, without the checksum of its source."""

    def __init__(self, trial: Trial, scene: Scene, folder: Path) -> None:
        self.frames, self.folder = scene.frames, folder
        self.settings = ScanSettings(scene.path, folder, size=SIZE, device=trial.device)
        with open_video(scene.path) as video:
            self.meta = meta_of(self.settings, describe_source(video))

    def run(self) -> int:
        shutil.rmtree(self.folder, ignore_errors=True)
        scan(self.settings, self.meta, silent)
        return self.frames


class Looking:
    """The first frames of a scene, looked at as a scan does."""

    def __init__(self, trial: Trial, scene: Scene, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.frames: list[Frame] = scene.chunk(trial.device)
        self.watch = Watch(trial.device)
        self.device, self.aspect = trial.device, scene.info.aspect
        self.finder = FaceFinder(trial.device)
        self.look_only, self.look_and_write = self._looker(None), self._looker(folder)

    def look(self) -> None:
        self.look_and_write(self.frames)

    def stages(self) -> dict[str, float]:
        """Seconds a frame: the networks, the crops (those for the networks too), writing the pictures (what they add),
        and the rest. On a GPU networks are graphs that are replayed: what they take is in the rest."""
        with self.watch.part("writes"):
            self.look_and_write(self.frames)
        with self.watch.part("only"):
            self.look_only(self.frames)
        seconds = self.watch.seconds()
        networks_too = heard(self.watch, self.device) if self.device == "cpu" else nullcontext()
        with networks_too, Operations(self.watch), self.watch.part("whole"):
            self.look_only(self.frames)
        found = split(self.watch, len(self.frames))
        found["png"] = max(seconds["writes"] - seconds["only"], 0.0) / len(self.frames)
        return found

    def _looker(self, folder: Path | None) -> Looker:
        method = persons.method(ScanSettings.persons)
        return Looker(self.finder, method, folder, SIZE, ScanSettings.min_size, self.aspect, self.device)


@contextmanager
def heard(watch: Watch, device: str) -> Iterator[None]:
    """While it is entered, `watch` is told when a face network is at work."""
    open_parts: list[Any] = []
    handles = []

    def begin(stage: str) -> None:
        open_parts.append(watch.part(stage))
        open_parts[-1].__enter__()

    def end() -> None:
        open_parts.pop().__exit__(None, None, None)

    for name, stage in _NETWORKS.items():
        network = networks.load(name, device)
        assert isinstance(network, torch.nn.Module)  # as it is on a CPU
        handles.append(network.register_forward_pre_hook(lambda *_, stage=stage: begin(stage)))
        handles.append(network.register_forward_hook(lambda *_: end()))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
