"""Conversions from file to file on all cores, ours and the plain ones in turn."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from fastswap import workers
from fastswap.bench.video import codec, plain
from fastswap.bench.video.rounds import Run, interleaved, one_thread
from fastswap.bench.video.swap import PLAINS, Work
from fastswap.bench.video.trial import OURS
from fastswap.conversion import swapped_frames
from fastswap.video import open_video, write_video


def convert_rows(work: Work, folder: Path) -> list[dict[str, Any]]:
    """A row a contender. Raises FastswapError where they do not encode alike."""
    subjects: dict[str, Run] = {}
    outputs = {name: folder / f"{place}-{codec.OUTPUT}" for place, name in enumerate(work.trial.contenders)}
    for name, output in outputs.items():
        subjects[name] = partial(ours if name == OURS else plainly, work, output, name)
    with one_thread():
        times = interleaved(subjects, work.trial.rounds)
    if len(outputs) > 1:
        codec.check(*outputs.values())
    return [work.row("convert", name, found.figures()) for name, found in times.items()]


def ours(work: Work, output: Path, name: str = OURS) -> int:
    """What `convert` does once it has the model and the faces."""
    scene, device = work.scene, work.trial.device
    encoder = "cpu" if device == "cpu" else "auto"
    frames = 0
    with open_video(scene.path, device=device) as video, write_video(output, video.info, encoder=encoder) as writer:
        for frame in swapped_frames(
            video, scene.found, scene.person, work.generate, work.settings,
            device=device, threads=workers.for_device(device),
        ):  # fmt: skip
            writer.write(frame)
            frames += 1
    return frames


def plainly(work: Work, output: Path, name: str) -> int:
    """The same by the plain implementation of that name."""
    scene, swapper = work.scene, work.plain(PLAINS[name])
    return plain.convert(
        scene.path, output, scene.format, codec.ENCODER, scene.alignment, swapper, workers.for_device("cpu")
    )
