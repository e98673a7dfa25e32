"""What `warp` and `paste` ask of their matrices on the host, once per call: whether they can be used, how many taps an
output pixel takes, which frame each face belongs to. All implementations get these numbers, so none can differ in them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

MAX_TAPS = 64  # along one side of an output pixel: past this an output pixel skips source pixels
_TAP_SLACK = 1e-3  # a rotation whose scale rounds to 1.0000001 is no reduction
_CPU = torch.device("cpu")
_FLATTEST = 1e-6  # the ratio of a matrix's singular values below which it maps the plane onto a line
_of_thread = threading.local()


@contextmanager
def unchecked() -> Iterator[None]:
    """Inside, this thread's matrices and frames that lie on a GPU are not checked, and so nobody waits for them: as
    while a CUDA graph is captured, a face whose matrix is degenerate gives zeros or is left out. For matrices that were
    computed there and feed the next network."""
    before = getattr(_of_thread, "unchecked", False)
    _of_thread.unchecked = True
    try:
        yield
    finally:
        _of_thread.unchecked = before


def check_shapes(matrix: Tensor, frame: Tensor | None, frames: int, device: torch.device) -> None:
    """Raises TypeError or ValueError unless matrix is float [N, 2, 3] and frame int64 [N], on `device` or the CPU."""
    if not matrix.is_floating_point():
        raise TypeError(f"matrix is a float tensor, got {matrix.dtype}")
    if matrix.dim() != 3 or tuple(matrix.shape[1:]) != (2, 3):
        raise ValueError(f"matrix is [N, 2, 3], got {tuple(matrix.shape)}")
    if frame is None:
        if matrix.shape[0] != frames:
            raise ValueError(f"{matrix.shape[0]} matrices for {frames} frames: say which with frame=")
    elif frame.dtype != torch.int64:
        raise TypeError(f"frame is int64, got {frame.dtype}")
    elif tuple(frame.shape) != (matrix.shape[0],):
        raise ValueError(f"frame is [{matrix.shape[0]}] as there are matrices, got {tuple(frame.shape)}")
    for name, tensor in (("matrix", matrix), ("frame", frame)):
        if tensor is not None and tensor.device not in (device, _CPU):
            raise ValueError(f"{name} is on the CPU or with the frames on {device}, got {tensor.device}")


def host_matrix(matrix: Tensor) -> Tensor:
    """The matrices as float64 on the CPU. Raises ValueError where one is not finite or cannot be inverted."""
    host = matrix.detach().to("cpu", torch.float64)
    scale = singular_values(host)
    usable = host.isfinite().flatten(1).all(1) & (scale[:, 1] > _FLATTEST * scale[:, 0])
    if not bool(usable.all()):
        index = int(usable.int().argmin())
        raise ValueError(f"matrix {index} is not finite or maps everything onto a line: {host[index].tolist()}")
    return host


def host_frame(frame: Tensor | None, frames: int, count: int) -> Tensor:
    """Which frame each of `count` faces belongs to, int64 on the CPU. Raises IndexError for one not there."""
    if frame is None:
        return torch.arange(count)
    host = frame.to("cpu")
    if count and not 0 <= int(host.min()) <= int(host.max()) < frames:
        raise IndexError(f"frame counts from 0 to {frames - 1} here, got {int(host.min())} to {int(host.max())}")
    return host


def on_device(matrix: Tensor, frame: Tensor | None, frames: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For the kernels of a GPU: matrices float32 [N, 2, 3] and frames int64 [N] on `device`, contiguous.

    Both are checked as `host_matrix` and `host_frame` do, but for those on a GPU inside `unchecked` and while a CUDA
    graph is captured: nobody can wait for them then. Raises ValueError for matrices on the CPU during a capture, which
    would freeze them.
    """
    capturing = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
    if capturing and (matrix.device == _CPU or (frame is not None and frame.device == _CPU)):
        raise ValueError("while a CUDA graph is captured, matrix and frame lie on the GPU: it replays what it saw")
    trusted = capturing or getattr(_of_thread, "unchecked", False)
    if matrix.device == _CPU or not trusted:
        host_matrix(matrix)
    if trusted and frame is None:
        which = torch.arange(len(matrix), device=device)
    elif frame is not None and trusted and frame.device != _CPU:
        which = frame
    else:
        which = host_frame(frame, frames, len(matrix))
    return _sent(matrix.detach().to(torch.float32), device), _sent(which, device)


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On `device`, contiguous; from the CPU through pinned memory, so that nothing waits."""
    if device.type == "cuda" and tensor.device == _CPU:
        return tensor.contiguous().pin_memory().to(device, non_blocking=True)
    return tensor.contiguous()


def singular_values(matrix: Tensor) -> Tensor:
    """Larger and smaller singular value of the 2 x 2 parts: [N, 2, 3] -> [N, 2], in closed form."""
    a, b, c, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1]
    determinant = a * d - b * c
    larger = (torch.hypot(a + d, c - b) + torch.hypot(a - d, b + c)) / 2
    return torch.stack([larger, determinant.abs() / larger.clamp_min(1e-300)], dim=1)


def tap_counts(larger: Tensor) -> Tensor:
    """n of the n x n taps of an output pixel, int64, from the larger singular value."""
    return torch.ceil(larger - _TAP_SLACK).clamp(1, MAX_TAPS).to(torch.int64)


def chroma_from_frame(matrix: Tensor, siting: Sequence[float]) -> Tensor:
    """A map out of frame px as a map out of the chroma plane's px, of which i lies at luma pixel 2 i + siting."""
    shift = matrix[:, :, :2] @ matrix.new_tensor(siting) + matrix[:, :, 2]
    return torch.cat([2 * matrix[:, :, :2], shift.unsqueeze(-1)], dim=2)


def rectangles(matrix: Tensor, side: int, width: int, height: int) -> Tensor:
    """Where in a plane of width x height a square of `side` px shows: int64 [N, 4], x0, y0, x1, y1, ends excluded.

    matrix [N, 2, 3]: plane px -> square's px. A bilinear sample reaches one pixel past the square, and the taps of a
    plane's pixel half a pixel past its centre.
    """
    low, high = -1.0, float(side)
    corners = matrix.new_tensor([[low, low], [high, low], [low, high], [high, high]]).T
    places = torch.linalg.inv(matrix[:, :, :2]) @ (corners - matrix[:, :, 2:])
    first, last = torch.floor(places.amin(2) - 0.5), torch.ceil(places.amax(2) + 0.5) + 1
    limit = matrix.new_tensor([width, height])
    return torch.cat([first, last], dim=1).clamp(min=0).minimum(limit.repeat(2)).to(torch.int64)
