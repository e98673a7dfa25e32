"""One training on several processes, one a GPU, on one machine or more, as torchrun starts them. Each process (rank)
trains the same networks on its share of every batch; what is one number or one batch for all ranks goes through here.

With one process each function is what it says for one: nothing is initialised and nothing is sent.

CPU tensors go through gloo, CUDA tensors through NCCL. Decisions (`agree`) are CPU tensors even where the networks are
on GPUs: no kernel waits for them, and when a process dies its sockets close, so that the others hear of it at their
next decision, where NCCL's kernels would wait for the end of the time limit (replayed in a CUDA graph, for ever)."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from fastswap.errors import FastswapError, TrainingError, UsageError

LIMIT = timedelta(minutes=10)
"""How long a rank waits for another that says nothing: longer than the first start of a rank 0 that decodes large face
sets. A process that dies closes its connections and is noticed at once; the limit is for a machine that vanishes."""
_BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
_LOG = logging.getLogger("fastswap")


class RankLostError(TrainingError):
    """Another process of this training is gone, or cannot be reached."""


def rank() -> int:
    """This process's number, 0 .. world() - 1, unique over all machines."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def neighbours() -> int:
    """How many processes of this training run on this machine, this one counted; torchrun says it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if dist.is_initialized() else 1


def writer() -> bool:
    """True on the one rank that writes checkpoints, previews and metrics, and talks to the user."""
    return rank() == 0


def launched() -> int | None:
    """The rank that torchrun gave this process; None where it trains alone. Raises UsageError for half an
    environment."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise UsageError(f"WORLD_SIZE is set and {', '.join(missing)} not: start with torchrun, or unset WORLD_SIZE")
    return int(os.environ["RANK"])


@contextmanager
def session(device: torch.device) -> Iterator[torch.device]:
    """While the block runs this process trains with the others that torchrun started; gives the device of this rank
    (the LOCAL_RANK-th GPU for "cuda"). Ranks other than 0 log errors only, and what they raise carries their number.

    Raises UsageError where the machine has fewer GPUs than processes, TrainingError where the others cannot be
    reached."""
    number = launched()
    if number is None:
        yield device
        return
    if device.type == "cuda":
        device = _local_gpu()
    level = _LOG.level
    try:
        _join(device)
        if number:
            _LOG.setLevel(logging.ERROR)
        yield device
        barrier()  # gloo's threads of a rank that still receives do not survive the others' leaving
        dist.destroy_process_group()
    except BaseException as error:
        _abandon(device)
        if number and isinstance(error, FastswapError):
            raise type(error)(f"rank {number}: {error}") from error
        raise
    finally:
        _LOG.setLevel(level)


def _local_gpu() -> torch.device:
    local, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if local >= count:
        raise UsageError(f"torchrun started process {local + 1} on a machine of {count} GPUs: --nproc-per-node {count}")
    device = torch.device("cuda", local)
    torch.cuda.set_device(device)
    return device


def _join(device: torch.device) -> None:
    """Connects to the others. `device_id` has NCCL connect now: it cannot while a graph is captured."""
    bound = device if device.type == "cuda" else None
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store, number, count = next(rendezvous("env://", timeout=LIMIT))
        # torchrun keeps its store over a restart: without a prefix a rank may read where a dead one listened
        store = PrefixStore(f"attempt-{attempt}", store)
        dist.init_process_group(
            _BACKENDS[device.type], timeout=LIMIT, device_id=bound, store=store, rank=number, world_size=count
        )
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise TrainingError(f"the other processes cannot be reached at {address} ({_reason(error)})") from error


def _abandon(device: torch.device) -> None:
    """Leaves without the others. NCCL's kernels that wait for them are aborted: they would keep the process from
    ending."""
    if not dist.is_initialized():
        return
    if device.type == "cuda":
        dist.distributed_c10d._abort_process_group()
    else:
        dist.destroy_process_group()


@contextmanager
def watched() -> Iterator[None]:
    """A block of collectives: their failure is a RankLostError. Memory that ran out stays what it is."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        who = f"rank {1 - rank()}" if world() == 2 else "another rank"
        raise RankLostError(f"{who} is gone ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    """The first sentence, without the place in gloo's source that it begins with."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[\S+:\d+\] ", "", line).split(". ")[0].rstrip(".")


def average(x: Tensor) -> Tensor:
    """The mean over the ranks, the same bits on all of them, without a gradient."""
    if world() == 1:
        return x
    total = x.detach().clone()
    with watched():
        dist.all_reduce(total)
    return total / world()


def gather(
    x: Tensor,  # [sides * n, ...], side after side
    sides: int = 1,
) -> Tensor:
    """The rows of all ranks, [sides * n * world, ...], side after side and in each rank after rank: the rows that one
    process would have in the batch's order. What follows from them is the same on all ranks; the gradient is this
    rank's part of it, times world(), for the gradients of weights are averaged over the ranks where the global one is
    their sum. Differentiable once."""
    if world() == 1:
        return x
    gathered: Tensor = _Gather.apply(x, sides)  # type: ignore[no-untyped-call]
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sides: int) -> Tensor:
        ctx.sides = sides
        parts = x.new_empty(world(), *x.shape)
        with watched():
            dist.all_gather(list(parts.unbind()), x.contiguous())
        return parts.view(world(), sides, -1, *x.shape[1:]).transpose(0, 1).flatten(0, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        own = gradient.reshape(ctx.sides, world(), -1, *gradient.shape[1:])[:, rank()].flatten(0, 1)
        return own * world(), None


def agree(flag: bool, number: float = 0.0) -> tuple[bool, float]:
    """Whether any rank's flag is set, and rank 0's number: what the loop asks at every step, in one message. It is also
    where a rank hears that another is gone."""
    if world() == 1:
        return flag, number
    votes = torch.tensor([float(flag), number if writer() else 0.0], dtype=torch.float64)
    with watched():
        dist.all_reduce(votes)
    return votes[0].item() > 0, votes[1].item()


def broadcast(text: str) -> str:
    """Rank 0's text on every rank."""
    if world() == 1:
        return text
    content = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8) if text else torch.empty(0).byte()
    length = torch.tensor([len(content)])
    with watched():
        dist.broadcast(length, 0)
        if not writer():
            content = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(content, 0)
    return content.numpy().tobytes().decode()


def replicate(tensors: Iterable[Tensor]) -> None:
    """Rank 0's values into the tensors of all ranks, in place."""
    if world() == 1:
        return
    with torch.no_grad(), watched():
        for tensor in tensors:
            whole = tensor.contiguous()
            dist.broadcast(whole, 0)
            if whole.data_ptr() != tensor.data_ptr():
                tensor.copy_(whole)


def barrier() -> None:
    """Returns once all ranks are here. A decision rather than a collective of the GPUs: nothing is queued on them."""
    agree(False)
