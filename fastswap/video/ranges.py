"""Which frames of a video a user names: "10-200,300-"."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from fastswap.errors import UsageError

_SPAN = re.compile(r"(\d*)-(\d*)|(\d+)", re.ASCII)


@dataclass(frozen=True)
class FrameRanges(Container[int]):
    """Numbers of frames, from 0. spans: first and last, both counted in; a last of None is the video's."""

    spans: tuple[tuple[int, int | None], ...]

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and any(
            first <= frame and (last is None or frame <= last) for first, last in self.spans
        )

    @property
    def last(self) -> int | None:
        """The last frame of all; None where that is the video's."""
        lasts = [last for _, last in self.spans if last is not None]
        return max(lasts) if len(lasts) == len(self.spans) else None

    def are_multiples(self, of: int) -> bool:
        """Whether every frame is a multiple of this number."""
        return of == 1 or all(first == last and first % of == 0 for first, last in self.spans)


def frame_ranges(text: str) -> FrameRanges:
    """Reads frames and ranges of frames between commas: "7", "10-200", "300-" (to the end), "-50" (from the start).
    Raises UsageError for anything else."""
    return FrameRanges(tuple(_span(part.strip(), text) for part in text.split(",")))


def _span(part: str, text: str) -> tuple[int, int | None]:
    match = _SPAN.fullmatch(part)
    if match is None or part == "-":
        got = f"{part!r} in {text!r}" if part else f"an empty part in {text!r}"
        raise UsageError(f"--frames: {got} is no range of frames: write 10-200,300- (from 0, both ends counted)")
    if match[3] is not None:
        return int(match[3]), int(match[3])
    first, last = int(match[1] or 0), int(match[2]) if match[2] else None
    if last is not None and last < first:
        raise UsageError(f"--frames: {part} ends before it begins: did you mean {last}-{first}?")
    return first, last
