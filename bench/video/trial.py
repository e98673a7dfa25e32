"""What is measured, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastswap.bench.video.clip import SIZES
from fastswap.bench.video.scene import GENERATORS
from fastswap.errors import UsageError

FACES = (0, 1, 4)
JUDGED = ("1080p", 1)
"""The size and the number of faces that the targets are for: measured in more rounds, with a network, and against the
careful plain implementation too."""
OURS, PLAIN, CAREFUL, CODEC = "fastswap", "plain", "plain, in place", "codec alone"
_FRAMES = {"480p": 96, "720p": 96, "1080p": 64, "2160p": 24}
_ROUNDS, _JUDGED_ROUNDS = 3, 5
_QUICK_FRAMES, _QUICK_ROUNDS = 8, 2


@dataclass(frozen=True)
class Trial:
    """frames: of the clip; generators: names of `scene.GENERATORS`."""

    size: str
    faces: int
    device: str
    quick: bool

    def __str__(self) -> str:
        return f"{self.size}, {self.faces} face{'' if self.faces == 1 else 's'}"

    @property
    def judged(self) -> bool:
        return (self.size, self.faces) == JUDGED

    @property
    def frames(self) -> int:
        return _QUICK_FRAMES if self.quick else _FRAMES[self.size]

    @property
    def rounds(self) -> int:
        if self.quick:
            return _QUICK_ROUNDS
        return _JUDGED_ROUNDS if self.judged else _ROUNDS

    @property
    def generators(self) -> tuple[str, ...]:
        """The network takes part where the targets ask for it."""
        return GENERATORS if self.judged or self.quick else GENERATORS[:1]

    @property
    def contenders(self) -> tuple[str, ...]:
        """Of a conversion. The plain ones are of the CPU."""
        if self.device == "cuda":
            return (OURS,)
        return (OURS, PLAIN, CAREFUL) if self.judged or self.quick else (OURS, PLAIN)


def trials(sizes: Sequence[str], faces: Sequence[int], device: str, *, quick: bool) -> Iterator[Trial]:
    """Sizes and numbers of faces (none: all; of a rehearsal the smallest size with one face). Raises UsageError for a
    size that there is none of."""
    unknown = sorted(set(sizes) - set(SIZES))
    if unknown:
        raise UsageError(f"no size {', '.join(unknown)}: there are {', '.join(SIZES)}")
    if any(count not in FACES for count in faces):
        raise UsageError(f"--faces {' '.join(map(str, faces))}: each is one of {', '.join(map(str, FACES))}")
    usual: tuple[Sequence[str], Sequence[int]] = (("480p",), (1,)) if quick else (tuple(SIZES), FACES)
    for size in sizes or usual[0]:
        for count in faces or usual[1]:
            yield Trial(size, count, device, quick)
