"""A network on a GPU as CUDA graphs, one for each of a few batch sizes: a launch in place of hundreds.

The face networks are small and deep. Launched layer by layer, a pass of the mesh costs the host more time than the GPU;
as a graph it costs a launch. Compiling would fuse layers too, but takes tens of seconds at each start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Outputs = tuple[Tensor, ...]
SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Batches are filled up to the next of these."""
_WARM_UPS = 3  # passes before a capture: libraries choose their algorithms and allocate what they work in


@dataclass(frozen=True)
class Recorded:
    """A pass over a batch of one size: fill `source`, `replay`, read `outputs`, which the next replay overwrites."""

    source: Tensor
    replay: Callable[[], Any]
    outputs: Outputs


Record = Callable[[Callable[[Tensor], Outputs], Tensor], Recorded]


def record_graph(network: Callable[[Tensor], Outputs], source: Tensor) -> Recorded:
    """Captures a pass over `source`, on its GPU. Other threads may go on using the GPU meanwhile."""
    beside = torch.cuda.Stream(source.device)  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream(source.device))
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UPS):
            network(source)
    torch.cuda.current_stream(source.device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):
        outputs = network(source)
    return Recorded(source, graph.replay, outputs)


class Captured:
    """Call it as the network: [N, C, H, W] -> its outputs, N of each; N may be 0. A size is recorded when it first
    comes. Threads and streams may share it: passes are queued one after the other, on the streams they are called
    on."""

    def __init__(self, network: Callable[[Tensor], Outputs], record: Record = record_graph) -> None:
        self._network, self._record = network, record
        self._recorded: dict[int, Recorded] = {}
        self._lock = threading.Lock()
        self._read: torch.cuda.Event | None = None  # after it the outputs of the last pass have been read

    def __call__(self, x: Tensor) -> Outputs:
        if not len(x):
            return self._network(x)
        parts = [self._pass(piece) for piece in torch.split(x, SIZES[-1])]
        return parts[0] if len(parts) == 1 else tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))

    def _pass(self, x: Tensor) -> Outputs:
        size = next(size for size in SIZES if size >= len(x))
        with self._lock:
            if self._read is not None:
                torch.cuda.current_stream(x.device).wait_event(self._read)
            if size not in self._recorded:
                self._recorded[size] = self._record(self._network, x.new_zeros(size, *x.shape[1:]))
            recorded = self._recorded[size]
            recorded.source[: len(x)].copy_(x)
            recorded.replay()
            outputs = tuple(output[: len(x)].clone() for output in recorded.outputs)
            self._read = torch.cuda.current_stream(x.device).record_event() if x.is_cuda else None
        return outputs
