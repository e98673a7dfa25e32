"""What lies between decoder and encoder, on one thread: ours and the plain ones on the same frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fastswap.bench.train.device import idle_share
from fastswap.bench.video import plain
from fastswap.bench.video.rounds import Spread, interleaved, one_thread
from fastswap.bench.video.scene import FEATHER, Scene
from fastswap.bench.video.trial import CAREFUL, OURS, PLAIN, Trial
from fastswap.bench.video.watch import Operations, Watch
from fastswap.conversion import CompositeSettings, Generate, composite
from fastswap.ops import Planes

Row = dict[str, Any]
PLAINS: dict[str, type[plain.PlainSwapper]] = {PLAIN: plain.PlainSwapper, CAREFUL: plain.CarefulSwapper}
LEAST_PSNR = 35.0
"""dB inside of the faces' boxes, below which two swaps are not the same work. Samples of YUV here and of BGR there, a
ramp here and a Gaussian there at the mask's edge: about 42."""
_METHODS = {"crop": "crop", "predict": "generate", "colour": "colour", "soften": "mask", "paste": "paste"}
"""Of a plain swapper, with the stage that each is."""
_PROFILED = 4  # calls in which a GPU's idle time is looked for


@dataclass(frozen=True)
class Work:
    """A scene with a generator, whose settings `composite` takes."""

    trial: Trial
    scene: Scene
    name: str
    generate: Generate
    settings: CompositeSettings

    def plain(self, kind: type[plain.PlainSwapper]) -> plain.PlainSwapper:
        """That does the same."""
        return kind(self.generate, self.settings.size_in, self.settings.coverage, FEATHER)

    def row(self, verb: str, contender: str, figures: Row) -> Row:
        """What was measured of a contender, with what it was."""
        facts = {"verb": verb, "size": self.trial.size, "faces": self.trial.faces, "generator": self.name}
        return {**facts, "contender": contender, "device": self.trial.device, "rounds": self.trial.rounds, **figures}


class Subject(Protocol):
    """A way to swap the first frames of a scene."""

    def run(self) -> int: ...

    def stages(self) -> dict[str, float]: ...

    def pictures(self) -> list[plain.Bgr]: ...


def swap_rows(work: Work) -> list[Row]:
    """A row a contender. A plain one whose pictures are not ours has a reason and no figures."""
    if not work.scene.faces:
        return []
    with one_thread():
        ours = Ours(work)
        plains = {name: Plain(work, PLAINS[name]) for name in work.trial.contenders[1:]}
        expected = ours.pictures()
        psnr = {name: agreement(work.scene, expected, each.pictures()) for name, each in plains.items()}
        same: dict[str, Subject] = {OURS: ours}
        same |= {name: each for name, each in plains.items() if psnr[name] >= LEAST_PSNR}
        times = interleaved({name: each.run for name, each in same.items()}, work.trial.rounds)
        idle = idle_share(ours.step, _PROFILED, torch.device(work.trial.device))
        rows = []
        for name, each in same.items():
            figures = {**times[name].figures(), "stages": _stages(each, work.trial.rounds), "psnr": psnr.get(name)}
            rows.append(work.row("swap", name, {**figures, "idle": idle if name == OURS else None}))
    lost = {name: each for name, each in psnr.items() if name not in same}
    return rows + [
        work.row("swap", name, {"psnr": each, "reason": f"other pictures, {each:.1f} dB"})
        for name, each in lost.items()
    ]


def _stages(subject: Subject, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds a frame."""
    found = [subject.stages() for _ in range(rounds)]
    return {stage: Spread.of([1e3 * seconds[stage] for seconds in found]) for stage in found[0]}


class Ours:
    """`composite` on native frames."""

    def __init__(self, work: Work) -> None:
        scene, self.work = work.scene, work
        frames = scene.chunk(work.trial.device)
        self.planes = Planes.stack([frame.planes for frame in frames]).to(work.trial.device)
        rows = np.concatenate([scene.rows[frame.index] for frame in frames])
        self.alignment, self.landmarks = scene.found.alignments(rows), scene.found.landmarks(rows)
        self.frame = torch.arange(len(frames)).repeat_interleave(scene.faces)
        self.watch = Watch(work.trial.device)
        self.timed = self.watch.around("generate", work.generate)

    def run(self) -> int:
        self.step()
        return self.planes.frames

    def step(self) -> None:
        self._composite(self.planes, self.work.generate)

    def stages(self) -> dict[str, float]:
        """Seconds a frame."""
        with Operations(self.watch), self.watch.part("whole"):
            self._composite(self.planes, self.timed)
        return split(self.watch, self.planes.frames)

    def pictures(self) -> list[plain.Bgr]:
        planes = self.planes.clone()
        self._composite(planes, self.work.generate)
        luma, chroma = (plane.cpu().numpy() for plane in planes.data)
        return [
            np.asarray(cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12)) for y, uv in zip(luma, chroma, strict=True)
        ]

    def _composite(self, planes: Planes, generate: Generate) -> None:
        composite(planes, self.alignment, self.landmarks, self.frame, generate, self.work.settings)


class Plain:
    """The plain implementation on BGR frames."""

    def __init__(self, work: Work, kind: type[plain.PlainSwapper]) -> None:
        count = len(work.scene.chunk())
        frames = islice(plain.read(work.scene.path), count)
        self.jobs = [(frame, work.scene.alignment(index)) for index, frame in enumerate(frames)]
        self.swapper, self.timed = work.plain(kind), work.plain(kind)
        self.watch = Watch()
        for method, stage in _METHODS.items():
            setattr(self.timed, method, self.watch.around(stage, getattr(self.timed, method)))

    def run(self) -> int:
        return len(self.swapper(self.jobs))

    def stages(self) -> dict[str, float]:
        """Seconds a frame."""
        with self.watch.part("whole"):
            self.timed(self.jobs)
        return split(self.watch, len(self.jobs))

    def pictures(self) -> list[plain.Bgr]:
        return self.swapper(self.jobs)


def split(watch: Watch, frames: int) -> dict[str, float]:
    """Seconds a frame of each stage, and of the rest that no stage is."""
    found = {name: seconds / frames for name, seconds in watch.seconds().items()}
    whole = found.pop("whole")
    return {**found, "rest": max(whole - sum(found.values()), 0.0)}


def agreement(scene: Scene, ours: Sequence[plain.Bgr], theirs: Sequence[plain.Bgr]) -> float:
    """PSNR in dB over the boxes of all faces."""
    errors: list[NDArray[np.float64]] = []
    for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for row in scene.rows[index]:
            x0, y0, x1, y1 = (round(value) for value in scene.found.table["box"][int(row)].as_py())
            errors.append((np.subtract(a[y0:y1, x0:x1], b[y0:y1, x0:x1], dtype=np.float64) ** 2).ravel())
    return float(10 * np.log10(255**2 / np.concatenate(errors).mean()))
