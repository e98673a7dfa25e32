"""Frames taken together, so that the networks and kernels run in batches, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastswap.video.frame import Frame, VideoInfo

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
        if len(chunk) >= _length(frame.planes.nbytes, most, most_bytes):
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def chunk_length(info: VideoInfo, most: int = CHUNK_FRAMES, most_bytes: int = CHUNK_BYTES) -> int:
    """How many frames of a video a chunk has: the k-th chunk begins with frame k times this."""
    luma, chroma = info.width * info.height, 2 * -(-info.width // 2) * -(-info.height // 2)
    samples = 3 * luma if info.layout == "rgb" else luma + chroma
    return _length(samples * (2 if info.layout == "p010" else 1), most, most_bytes)


def _length(frame_bytes: int, most: int, most_bytes: int) -> int:
    return max(1, min(most, most_bytes // frame_bytes))
