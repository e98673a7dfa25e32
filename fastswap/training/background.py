"""What is done beside the training: copies of tensors to the host, jobs in a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor


class Background:
    """Jobs in one thread of their own, at most one at a time. What a job raises comes out of the next `start`, `poll`
    or `wait`."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._job: Future[None] | None = None

    def start(self, job: Callable[[], None]) -> None:
        """Begins a job, once the one before is done."""
        self.wait()
        self._job = self._pool.submit(job)

    def poll(self) -> None:
        """Raises what a job that is done has raised."""
        if self._job is not None and self._job.done():
            self.wait()

    def wait(self) -> None:
        """Returns when nothing is left to do."""
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def close(self) -> None:
        """Waits for the last job, whatever becomes of it, and ends the thread."""
        self._pool.shutdown()


class Copies:
    """Tensors on their way to the host."""

    def __init__(self, tensors: dict[str, Tensor], arrival: torch.cuda.Event | None = None) -> None:
        self._tensors, self._arrival = tensors, arrival

    def wait(self) -> dict[str, Tensor]:
        """The tensors, on the CPU, once they have arrived."""
        if self._arrival is not None:
            self._arrival.synchronize()
        return self._tensors


class Copier:
    """Copies tensors as they are now, in the order of the current stream, to the host, which waits for nothing.

    On a GPU they are first copied beside themselves, which takes a thousandth of a second for a gigabyte, then to
    page-locked memory on a stream of their own, while the next steps already change them. The page-locked memory is
    that of the call before: its `Copies` are no longer in use then."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, tensors: Mapping[str, Tensor]) -> Copies:
        devices = {tensor.device for tensor in tensors.values() if tensor.is_cuda}
        if not devices:
            return Copies({name: tensor.detach().clone() for name, tensor in tensors.items()})
        return self._from_gpu(tensors, devices.pop())

    def _from_gpu(self, tensors: Mapping[str, Tensor], device: torch.device) -> Copies:
        current = torch.cuda.current_stream(device)
        try:
            beside = {name: tensor.detach().clone() for name, tensor in tensors.items()}
            self._stream = self._stream or torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        except torch.OutOfMemoryError:  # then from where they are: the next step waits for it
            beside, self._stream = {name: tensor.detach() for name, tensor in tensors.items()}, current
        stream = self._stream
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for name, tensor in beside.items():
                self._buffer(name, tensor).copy_(tensor, non_blocking=True)
                tensor.record_stream(stream)
        return Copies({name: self._buffers[name] for name in beside}, stream.record_event())

    def _buffer(self, name: str, like: Tensor) -> Tensor:
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape != like.shape or buffer.dtype != like.dtype:
            buffer = self._buffers[name] = torch.empty_like(like, device="cpu", pin_memory=True)
        return buffer
