"""Frames taken together, so that the networks and kernels run in batches, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastswap.video.frame import Frame

CHUNK_FRAMES = 16
CHUNK_BYTES = 64 << 20


def chunks(frames: Iterable[Frame], most: int = CHUNK_FRAMES, most_bytes: int = CHUNK_BYTES) -> Iterator[list[Frame]]:
    """Yields the frames in order, in lists whose planes stack: at most `most` frames and `most_bytes` of planes (but at
    least one frame)."""
    chunk: list[Frame] = []
    for frame in frames:
        if chunk and not chunk[0].planes.stacks_with(frame.planes):
            yield chunk
            chunk = []
        chunk.append(frame)
        if len(chunk) >= max(1, min(most, most_bytes // frame.planes.nbytes)):
            yield chunk
            chunk = []
    if chunk:
        yield chunk
