"""Seconds by stage, without a word in what is measured: every operation of ours is one `fastswap::` call of torch's, so
a dispatch mode sees each of them go by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

STAGES = {
    "warp": "crop", "match_colour": "colour", "sharpen": "sharpen", "soft_mask": "mask", "blend_pyramid": "blend",
    "blend_poisson": "blend", "paste": "paste",
}  # fmt: skip
"""Operation -> stage of a conversion; another one is a stage of its own name."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Watch:
    """Adds up seconds by name: CPU time of this process, or of a GPU the time between events in the stream."""

    def __init__(self, device: str = "cpu") -> None:
        self._on_gpu = device == "cuda"
        self._marks: list[tuple[str, Any, Any]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begin = self._now()
        try:
            yield
        finally:
            self._marks.append((name, begin, self._now()))

    def around(self, name: str, function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        """The function, timed as that part."""

        @wraps(function)
        def timed(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
            with self.part(name):
                return function(*arguments, **named)

        return timed

    def seconds(self) -> dict[str, float]:
        """By name, since the last time this was asked."""
        if self._on_gpu:
            torch.cuda.synchronize()
        found: dict[str, float] = {}
        for name, begin, end in self._marks:
            found[name] = found.get(name, 0.0) + (begin.elapsed_time(end) / 1000 if self._on_gpu else end - begin)
        self._marks.clear()
        return found

    def _now(self) -> Any:
        if not self._on_gpu:
            return time.process_time()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, tells `watch` what stage every operation of ours is."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch = watch

    def __torch_dispatch__(
        self,
        function: Any,  # torch._ops.OpOverload
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        namespace, _, name = function.name().partition("::")
        if namespace != "fastswap":
            return function(*args, **(kwargs or {}))
        with self.watch.part(STAGES.get(name, name)):
            return function(*args, **(kwargs or {}))
