"""Work for the GPU that is recorded once and then launched as one: a CUDA graph, its inputs in buffers that stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

Outputs = dict[str, Tensor]
Work = Callable[[], Outputs]


class Captured(Protocol):
    """Recorded work. `outputs` are always the same tensors, filled by `replay`."""

    outputs: Outputs

    def replay(self) -> None: ...


class Recorder(Protocol):
    """How work is run before it is captured, and captured."""

    def warm_up(self, work: Work) -> Outputs: ...

    def capture(self, work: Work) -> Captured: ...


class CudaRecorder:
    """Records on a stream of its own. All graphs share one pool of memory: one at a time runs, and what it leaves
    (weights, moments) lies outside of the pool. generators: those that the work draws random numbers from."""

    def __init__(self, device: torch.device, generators: Sequence[torch.Generator]) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.pool = torch.cuda.graph_pool_handle()
        self.generators = generators

    def warm_up(self, work: Work) -> Outputs:
        """Runs the work where it will be captured: libraries choose their algorithms and workspaces now, which they
        may not while they are recorded."""
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            outputs = work()
        current.wait_stream(self.stream)
        for tensor in outputs.values():
            tensor.record_stream(current)
        return outputs

    def capture(self, work: Work) -> Captured:
        """Records the work without doing it. Other threads may use the device meanwhile (`thread_local`)."""
        return _CudaGraph(self, work)


class _CudaGraph:
    def __init__(self, recorder: CudaRecorder, work: Work) -> None:
        self.graph = torch.cuda.CUDAGraph()
        for generator in recorder.generators:
            self.graph.register_generator_state(generator)
        with torch.cuda.graph(
            self.graph, pool=recorder.pool, stream=recorder.stream, capture_error_mode="thread_local"
        ):
            self.outputs = work()

    def replay(self) -> None:
        self.graph.replay()
