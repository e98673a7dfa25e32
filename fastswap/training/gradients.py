"""The gradients of several ranks become one, in buckets that travel while the backward pass still works.

This is what `torch.nn.parallel.DistributedDataParallel` does, by our own hand, for three reasons:
- DDP lays its buckets out anew after a process's first step, so that a run that was resumed adds the ranks' gradients
  in another order than one that went on: from three ranks on the weights are no longer the same bits (seen with gloo
  after ten steps). Here the layout follows from the parameters alone.
- Which parameters a step reaches changes with the losses' schedules. DDP wants to know them, or searches for them
  at each step (`find_unused_parameters`) and copies a map of them from device to host, which no CUDA graph can hold.
- DDP has to see `forward`, one for each `backward`. A step calls the discriminators on the true and the fake pictures,
  differentiates them twice, and then trains the generator through them.

Under a CUDA graph nothing more is needed: the buckets are allocated once, our hooks keep no node of autograd alive
(DDP's do, which is why it has to be made on a side stream and warmed up for eleven steps), and NCCL's work is captured
with the step's."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fastswap.training import parallel

BUCKET = 25 << 20
"""Bytes a message: what DDP sends, large enough for the network's whole rate, small enough to start early."""


class _Bucket:
    """Some parameters, and room for their gradients in one piece."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        self.flat = torch.zeros(
            sum(p.numel() for p in parameters), dtype=parameters[0].dtype, device=parameters[0].device
        )
        offsets = [sum(p.numel() for p in parameters[:number]) for number in range(len(parameters))]
        self.views = [
            self.flat.as_strided(p.shape, p.stride(), offset) for p, offset in zip(parameters, offsets, strict=True)
        ]
        self.arrived = 0
        self.work: dist.Work | None = None

    def _filled(self) -> tuple[list[Tensor], list[Tensor]]:
        """The views and the gradients of those parameters that the backward pass reached."""
        pairs = [(view, p.grad) for view, p in zip(self.views, self.parameters, strict=True) if p.grad is not None]
        return [view for view, _ in pairs], [gradient for _, gradient in pairs]

    def send(self) -> None:
        views, gradients = self._filled()
        if views:
            torch._foreach_copy_(views, gradients)
            self.work = dist.all_reduce(self.flat, async_op=True)

    def receive(self) -> None:
        """Waits (on a GPU: has the current stream wait) and puts the means in place of the gradients."""
        if self.work is not None:
            self.work.wait()
            self.flat /= parallel.world()
            views, gradients = self._filled()
            torch._foreach_copy_(gradients, views)
        self.work, self.arrived = None, 0


class Gradients:
    """Averages the gradients of `parameters` over the ranks. `start()` before a backward pass has the buckets sent as
    they fill; `finish()` after it sends what is left and waits. Without a `start` (backward passes that accumulate, all
    but the last) gradients stay this rank's. With one process both do nothing.

    All ranks have to reach the same parameters, as they do where all have the same losses. Parameters have to be of one
    dtype and on one device."""

    def __init__(self, parameters: Iterable[nn.Parameter], bucket: int = BUCKET) -> None:
        self.started = False
        self.sent = 0
        self.buckets: list[_Bucket] = []
        if parallel.world() == 1:
            return
        for group in _groups([p for p in parameters if p.requires_grad][::-1], bucket):
            number = len(self.buckets)
            self.buckets.append(_Bucket(group))
            for parameter in group:
                hook = functools.partial(self._arrived, number)
                parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]

    def start(self) -> None:
        self.started = True

    @torch.no_grad()
    def finish(self) -> None:
        """Raises RankLostError where another rank is gone."""
        with parallel.watched():
            self._send(len(self.buckets))
            for bucket in self.buckets:
                bucket.receive()
        self.started, self.sent = False, 0

    @torch.no_grad()
    def _arrived(self, number: int, _: Tensor) -> None:
        """A parameter of that bucket has its gradient. Buckets go in their order, which is that of the backward pass,
        for all ranks have to send the same ones at the same time."""
        if not self.started:
            return
        self.buckets[number].arrived += 1
        full = self.sent
        while full < len(self.buckets) and self.buckets[full].arrived == len(self.buckets[full].parameters):
            full += 1
        with parallel.watched():
            self._send(full)

    def _send(self, end: int) -> None:
        while self.sent < end:
            self.buckets[self.sent].send()
            self.sent += 1


def _groups(parameters: list[nn.Parameter], most: int) -> list[list[nn.Parameter]]:
    """The parameters in their order, in groups of at most `most` bytes, or of one that is larger."""
    groups: list[list[nn.Parameter]] = []
    room = 0
    for parameter in parameters:
        size = parameter.numel() * parameter.element_size()
        if not groups or size > room:
            groups.append([])
            room = most
        groups[-1].append(parameter)
        room -= size
    return groups
