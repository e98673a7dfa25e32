"""Who runs against whom: our implementations and the peers, on one case, each checked before it is timed.

A trial is one measurement: a contender on a case, on one device, called from Python or replayed as a CUDA graph. The
judge of every trial is the reference's result on the same arguments.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fastswap.bench.cases import CASES, Case
from fastswap.ops import implementations

Timed = Callable[[], Any]
OURS_MAX = 1.0  # levels of 255: no sample of ours is further from the reference
_WARM_UP = 3  # calls on a side stream before a capture, as CUDA graphs ask for
BOTH = ("cpu", "cuda")
_GPU_ONLY = ("triton", "cupy")


@dataclass(frozen=True)
class Shape:
    """The arguments of a case builder but the device. Hashable: the case is built once for all its contenders."""

    size: int
    batch: int
    options: tuple[tuple[str, Any], ...] = ()

    def case(self, operation: str, device: str, *, resident: bool) -> Case:
        options = dict(self.options)
        if operation in ("warp", "paste"):
            options["resident"] = resident
        return CASES[operation](self.size, self.batch, device, **options)


def shape(size: int, batch: int, **options: Any) -> Shape:
    return Shape(size, batch, tuple(sorted(options.items())))


@dataclass(frozen=True)
class Peer:
    """Somebody else's way to do a case's work.

    prepare: from a case to what is timed; what it does itself is not. pictures: from what the timed call returns to
    tensors laid out as the operation's results. error: levels of 255 that its mean distance to the reference may be,
    and `why` it has any. fits: whether it can do a shape of these options at all. once: on the
    CPU on the first shape only, for what takes half a minute to compile.
    """

    name: str
    prepare: Callable[[Case], Timed]
    pictures: Callable[[Any], Sequence[Tensor]]
    error: float
    why: str
    devices: tuple[str, ...] = ("cpu",)
    package: str | None = None
    fits: Callable[[Mapping[str, Any]], bool] = lambda options: True
    once: bool = False


@dataclass(frozen=True)
class Trial:
    operation: str
    shape: Shape
    contender: str | Peer
    device: str = "cpu"
    graph: bool = False

    @property
    def name(self) -> str:
        return self.contender.name if isinstance(self.contender, Peer) else self.contender

    @property
    def mode(self) -> str:
        return "graph" if self.graph else "call"

    @property
    def case(self) -> Case:
        return _case(self.operation, self.shape, self.device, self.graph)

    def __str__(self) -> str:
        options = "-".join(plain(value) for _, value in self.shape.options)
        parts = self.shape.size, self.shape.batch, options, self.name, self.device, self.mode
        return "-".join(str(part).replace(" ", "_") for part in parts if part != "")


@dataclass(frozen=True)
class Check:
    """Distance to the reference in levels of 255. `limit` holds for `of` it: our largest, a peer's mean."""

    largest: float
    mean: float
    limit: float
    of: str

    @property
    def passed(self) -> bool:
        return bool((self.largest if self.of == "largest" else self.mean) <= self.limit)  # False for NaN


def ready(trial: Trial) -> tuple[Timed, Check]:
    """What is to be timed, and how far its first result is from the reference's."""
    case = trial.case
    if isinstance(trial.contender, Peer):
        timed = trial.contender.prepare(case)
        pictures, limit, of = trial.contender.pictures, trial.contender.error, "mean"
        first = timed()
        results = tuple(value.detach().clone() for value in pictures(first))
    else:
        timed = functools.partial(case.fresh().call, trial.contender)
        limit, of = OURS_MAX, "largest"
        results = case.results(trial.contender)
    check = _distance(results, _expected(trial.operation, trial.shape, trial.device, trial.graph), case, limit, of)
    return (captured(timed) if trial.graph else timed), check


def captured(timed: Timed) -> Timed:
    """The same work as one CUDA graph: what is left is the GPU's own time, without any launch from Python."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            timed()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        timed()
    return graph.replay


def trials(
    operation: str,
    shapes: Mapping[str, Sequence[Shape]],  # device -> shapes
    peers: Sequence[Peer],
    devices: Sequence[str],
) -> list[Trial]:
    """Every usable contender on every shape of each device; on a GPU once called and once as a graph."""
    usable = [name for name, reason in implementations(operation).items() if reason is None]
    found = []
    for device in devices:
        ours = [name for name in usable if name == "reference" or (name in _GPU_ONLY) == (device == "cuda")]
        for each in shapes[device]:
            options = dict(each.options)
            theirs = [p for p in peers if device in p.devices and p.fits(options) and lacking(p) is None]
            theirs = [p for p in theirs if not p.once or device == "cuda" or each is shapes[device][0]]
            contenders: tuple[str | Peer, ...] = (*ours, *theirs)
            for contender in contenders:
                found += [Trial(operation, each, contender, device, graph) for graph in (False, True)[: _modes(device)]]
    return found


def plain(value: Any) -> str:
    """An option as it is shown: float16, nv12, 1920x1080."""
    if isinstance(value, tuple):
        return "x".join(str(part) for part in reversed(value))  # height and width
    return str(value).removeprefix("torch.")


def lacking(peer: Peer) -> str | None:
    """Why a peer cannot be asked here, or None."""
    here = peer.package is None or importlib.util.find_spec(peer.package) is not None
    return None if here else f'{peer.package} is not installed: pip install "fastswap[bench]"'


def _modes(device: str) -> int:
    return 2 if device == "cuda" else 1


@functools.lru_cache(maxsize=2)
def _case(operation: str, each: Shape, device: str, resident: bool) -> Case:
    return each.case(operation, device, resident=resident)


@functools.lru_cache(maxsize=2)
def _expected(operation: str, each: Shape, device: str, resident: bool) -> tuple[Tensor, ...]:
    return _case(operation, each, device, resident).results("reference")


def _distance(results: Sequence[Tensor], expected: Sequence[Tensor], case: Case, limit: float, of: str) -> Check:
    largest, total, count = 0.0, 0.0, 0
    for result, wanted in zip(results, expected, strict=True):
        apart = (result.to(wanted.device).float() - wanted.float()).abs() * case.level
        largest, total, count = max(largest, float(apart.max())), total + float(apart.sum()), count + apart.numel()
    return Check(largest, total / count, limit, of)
