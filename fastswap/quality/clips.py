"""The clips of a trial with a known answer: A performing, B performing something else, and the truth, B performing what
A does in A's light. Training may see the first two only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch

from fastswap.errors import UsageError
from fastswap.faces import FaceFinder
from fastswap.ops.planes import Planes
from fastswap.progress import Report, silent
from fastswap.quality import portraits
from fastswap.quality.motion import Motion
from fastswap.quality.pairs import FIRST, Pair, portrait
from fastswap.quality.puppet import Picture, Puppet
from fastswap.storage import write_json
from fastswap.video import Frame, VideoInfo, write_video

FPS = 25
FRAMES_A, FRAMES_B = 225, 300  # nine and twelve seconds
CRF = 12  # nothing that a metric would see
_SCHEMA = 1
_SOURCE = Path("puppet")  # what the frames come from, where a file would be named


@dataclass(frozen=True)
class Clips:
    """The files of one trial. motion: JSON, the tracks of A (and so of the truth) and of B, and the seed."""

    a: Path
    b: Path
    truth: Path
    motion: Path

    def motion_a(self) -> Motion:
        return _read_motion(self.motion, "a")

    def motion_b(self) -> Motion:
        return _read_motion(self.motion, "b")


def make_clips(
    folder: Path, seed: int = 0, *, frames_a: int = FRAMES_A, frames_b: int = FRAMES_B, size: int = portraits.SIZE,
    pair: Pair = FIRST, progress: Report = silent,
) -> Clips:  # fmt: skip
    """Writes a.mp4, b.mp4, truth.mp4 and motion.json into `folder`: the pair's portraits, `size` px wide, 25 frames/s.

    One seed makes one trial: other seeds, other motions and other lights over the same ranges. Progress counts the
    frames of all three clips. Raises UsageError for an odd size, MissingDependencyError without scikit-image,
    InputError for a pair whose photos are absent.
    """
    if size < 64 or size % 2:
        raise UsageError(f"a puppet's frame is even and at least 64 px wide, got {size}")
    a, b = puppets(size, pair)
    motion_a, motion_b = motions(seed, frames_a, frames_b)
    clips = Clips(folder / "a.mp4", folder / "b.mp4", folder / "truth.mp4", folder / "motion.json")
    folder.mkdir(parents=True, exist_ok=True)
    done = 0
    for path, puppet, motion in ((clips.a, a, motion_a), (clips.b, b, motion_b), (clips.truth, b, motion_a)):
        done = write_clip(path, puppet, motion, progress, done)
    content = {"schema": _SCHEMA, "seed": seed, "fps": FPS, "a": motion_a.to_json(), "b": motion_b.to_json()}
    write_json(clips.motion, content)
    return clips


def puppets(size: int = portraits.SIZE, pair: Pair = FIRST) -> tuple[Puppet, Puppet]:
    """A and B, at rest with one alignment and in the colours of A's portrait."""
    finder = FaceFinder()
    a = portrait(pair.a)
    b = portraits.graded(portrait(pair.b), a, finder)
    return portraits.puppet(a, finder, size), portraits.puppet(b, finder, size)


def motions(seed: int, frames_a: int = FRAMES_A, frames_b: int = FRAMES_B) -> tuple[Motion, Motion]:
    """What A performs and what B's training clip performs: never the same, of comparable range."""
    return Motion.performance(2 * seed, frames_a, FPS), Motion.performance(2 * seed + 1, frames_b, FPS)


def write_clip(path: Path, puppet: Puppet, motion: Motion, progress: Report = silent, done: int = 0) -> int:
    """Renders a motion into an H.264 file. Returns `done` plus the frames written."""
    info = VideoInfo(
        path=_SOURCE, width=puppet.size, height=puppet.size, frames=len(motion), fps=Fraction(FPS),
        time_base=Fraction(1, FPS), layout="rgb", codec="h264",
    )  # fmt: skip
    with write_video(path, info, codec="h264", quality=CRF) as writer:
        for index, picture in enumerate(frames(puppet, motion)):
            planes = Planes("rgb", (torch.from_numpy(picture)[None],))
            writer.write(Frame(planes, index, pts=index, time_base=info.time_base, duration=1))
            progress(done + index + 1, path.name)
    return done + len(motion)


def frames(puppet: Puppet, motion: Motion) -> Iterator[Picture]:
    """The frames of a performance, RGB uint8 [size, size, 3]."""
    for index in range(len(motion)):
        yield puppet.render(motion, index)


def _read_motion(path: Path, side: str) -> Motion:
    import json

    return Motion.from_json(json.loads(path.read_text(encoding="utf-8"))[side])
