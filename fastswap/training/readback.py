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

    def here(self) -> bool:
        return self.arrival is None or bool(self.arrival.query())  # type: ignore[no-untyped-call]

    def read(self) -> Reading:
        if self.arrival is not None:
            self.arrival.synchronize()
        return Reading(self.number, dict(zip(self.names, self.values.tolist(), strict=True)))


class Readback:
    """The numbers of each step, in order."""

    def __init__(self) -> None:
        self.number = 0
        self._sent: deque[_Sent] = deque()

    def send(self, values: Mapping[str, Tensor]) -> None:
        """Starts a step's scalars on their way. Waits where the device is more than `LEAD` steps behind."""
        self.number += 1
        together = torch.stack([value.detach().float() for value in values.values()])
        arrival = None
        if together.is_cuda:
            host = torch.empty(together.shape, dtype=together.dtype, pin_memory=True)
            together = host.copy_(together, non_blocking=True)
            arrival = torch.cuda.current_stream().record_event()
        self._sent.append(_Sent(self.number, tuple(values), together, arrival))
        if len(self._sent) > LEAD:
            late = self._sent[-1 - LEAD].arrival
            if late is not None:
                late.synchronize()

    def arrived(self, *, wait: bool = False) -> list[Reading]:
        """The numbers that have arrived and were not given out before; with `wait`, of all steps."""
        readings = []
        while self._sent and (wait or self._sent[0].here()):
            readings.append(self._sent.popleft().read())
        return readings
