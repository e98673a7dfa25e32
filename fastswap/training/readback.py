"""Numbers on their way from the device: sent after each step, read when they have arrived."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

LEAD = 2
"""How many steps the host may be ahead: enough for the device never to wait, few enough for a stop or a budget of
minutes to be exact."""


@dataclass(frozen=True)
class Reading:
    """Step `number`, counted from 1, and its numbers."""

    number: int
    values: dict[str, float]


@dataclass(frozen=True)
class _Sent:
    number: int
    names: tuple[str, ...]
    values: Tensor
    arrival: torch.cuda.Event | None


class Readback:
    """The numbers of each step, in order."""

    def __init__(self) -> None:
        self.number = 0
        self._sent: deque[_Sent] = deque()

    def send(self, values: Mapping[str, Tensor]) -> None:
        """Starts a step's scalars on their way. Waits where the device is `LEAD` steps behind."""
        self.number += 1
        together = torch.stack([value.detach().float() for value in values.values()])
        arrival = None
        if together.is_cuda:
            host = torch.empty(together.shape, dtype=together.dtype, pin_memory=True)
            together, arrival = host.copy_(together, non_blocking=True), torch.cuda.Event()
            arrival.record()
        self._sent.append(_Sent(self.number, tuple(values), together, arrival))
        if len(self._sent) > LEAD and (oldest := self._sent[-1 - LEAD].arrival) is not None:
            oldest.synchronize()

    def newest(self, *, wait: bool = False) -> Reading | None:
        """The numbers of the newest step that have arrived, or with `wait` those of the last one sent; None where there
        are none that were not given out before."""
        latest: _Sent | None = None
        while self._sent and (self._sent[0].arrival is None or wait or self._sent[0].arrival.query()):
            latest = self._sent.popleft()
        if latest is None:
            return None
        if latest.arrival is not None:
            latest.arrival.synchronize()
        return Reading(latest.number, dict(zip(latest.names, latest.values.tolist(), strict=True)))
