"""Frames that stay on the GPU for NVENC: native planes as FFmpeg's CUDA frames, without a way over the CPU.

FFmpeg hands NVENC one address and one pitch a frame: chroma has to lie right behind luma, in one piece of memory, which
is what is made here (a copy on the device, a hundredth of what the way over the bus costs). The frame belongs to
FFmpeg, by DLPack, until its packet is out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from fastswap.ops.planes import Planes
from fastswap.video._containers import reason

_ALIGNMENT = 256
"""Bytes that a row is a multiple of: FFmpeg's own for CUDA frames."""
_FORMATS = {"nv12": "nv12", "p010": "p010le"}


def packed(planes: Planes) -> tuple[Tensor, Tensor]:
    """(luma [H, W], chroma [H/2, W]) of one frame of nv12 or p010, of even size: views of one piece of memory with the
    same pitch, chroma right behind luma."""
    luma, chroma = planes.data
    height, width = planes.height, planes.width
    unit = _ALIGNMENT // luma.element_size()
    pitch = -(-width // unit) * unit
    memory = torch.empty((height + height // 2, pitch), dtype=luma.dtype, device=luma.device)
    memory[:height, :width].copy_(luma[0])
    memory[height:, :width].copy_(chroma[0].reshape(height // 2, width))
    return memory[:height, :width], memory[height:, :width]


class CudaFrames:
    """Makes the frames of one encoder. They lie in the CUDA context that torch has made, on its device."""

    def __init__(self, device: torch.device) -> None:
        from av.video.frame import CudaContext

        self._device = torch.device("cuda", device.index or 0)
        self._context = CudaContext(device_id=self._device.index, primary_ctx=False, current_ctx=True)

    def picture(self, planes: Planes) -> Any:  # av.VideoFrame
        """One frame for the encoder. Waits for the GPU to have it: NVENC reads it on a stream of its own."""
        from av import VideoFrame

        with torch.cuda.device(self._device):
            luma, chroma = packed(planes.to(self._device))
            torch.cuda.current_stream().synchronize()
            return VideoFrame.from_dlpack((luma, chroma), format=_FORMATS[planes.layout], cuda_context=self._context)

    def refused(self, encoder: str, options: dict[str, str], planes: Planes) -> str | None:
        """Why FFmpeg's encoder takes no such frame from here, or None where it does: one is encoded, and thrown away.
        The driver, torch and FFmpeg share a CUDA context for this, which not every pairing of them can."""
        import av

        context: Any = av.CodecContext.create(encoder, "w")
        context.width, context.height, context.pix_fmt = planes.width, planes.height, "cuda"
        context.time_base, context.framerate, context.options = Fraction(1, 25), Fraction(25), dict(options)
        try:
            context.encode(self.picture(planes))
            context.encode(None)
        except (av.FFmpegError, NotImplementedError, BufferError, ValueError) as error:
            return reason(error)
        return None
