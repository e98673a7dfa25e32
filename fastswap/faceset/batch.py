"""How many frames are looked at at once.

Faces are followed from frame to frame within a window, a chunk of the video, so what is found depends on where windows
begin, and on nothing else: a GPU takes as many windows together as its memory has room for, and finds what a CPU finds.
"""

from __future__ import annotations

import torch

from fastswap.device import free_memory
from fastswap.video import VideoInfo
from fastswap.video.chunk import CHUNK_BYTES, chunk_length

_MOST_WINDOWS = 4
"""64 frames of a small video: the networks' largest batch."""
_SHARE = 0.25
"""Of the memory that is free."""
_IN_FLIGHT = 5
"""Batches of frames that a pipeline holds at once: decoded, waiting, looked at."""
_NETWORK_BYTES = 32 << 20
"""Of a network's layers, a picture."""
_CROP_COPIES = 3


def windows(info: VideoInfo, size: int, device: str) -> int:
    """How many windows a batch has. size: of the aligned faces, in pixels, of which a frame has one on average."""
    if device == "cpu" or info.is_pictures:
        return 1
    crop = _CROP_COPIES * 3 * 4 * size**2
    window = _IN_FLIGHT * CHUNK_BYTES + chunk_length(info) * (_NETWORK_BYTES + crop)
    return max(1, min(_MOST_WINDOWS, int(free_memory(torch.device(device)) * _SHARE) // window))
