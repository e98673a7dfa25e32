"""What test_parallel.py asks of several processes at once: torchrun ranks.py FOLDER. Each rank leaves what it got in
FOLDER/rank-N.safetensors; one process without torchrun does the same with the whole batch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fastswap.training import parallel
from fastswap.training.gradients import Gradients

ROWS = 6
"""Of each of two sides, over all ranks."""


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with parallel.session(torch.device("cpu")) as device:
        found = dict(_numbers()) | dict(_rows()) | dict(_decisions()) | dict(_training())
        assert device.type == "cpu"
        save_file(
            {name: tensor.contiguous() for name, tensor in found.items()},
            folder / f"rank-{parallel.rank()}.safetensors",
        )


def _numbers() -> Iterator[tuple[str, Tensor]]:
    yield "average", parallel.average(torch.arange(3.0) * parallel.rank())
    mine = torch.full((2, 3, 4, 4), float(parallel.rank())).contiguous(memory_format=torch.channels_last)
    parallel.replicate([mine])
    yield "replicated", mine


def _rows() -> Iterator[tuple[str, Tensor]]:
    """The gradient of a loss that every row has a part in, by a weight that every rank has."""
    weight = torch.linspace(-1, 1, 5).requires_grad_()
    codes = torch.sin(_mine(torch.arange(2 * ROWS * 5.0).view(2 * ROWS, 5)) * weight)
    gathered = parallel.gather(codes, sides=2)
    groups = gathered.view(2, ROWS, 5)
    loss = (groups[0] - groups[1]).square().sum() / (gathered - gathered.mean(0)).square().sum()
    loss.backward()
    assert weight.grad is not None
    yield "gathered", gathered.detach()
    yield "gathered_gradient", parallel.average(weight.grad)


def _mine(x: Tensor) -> Tensor:
    """This rank's rows of [2 * n, ...]."""
    share = len(x) // 2 // parallel.world()
    begin = parallel.rank() * share
    return x.unflatten(0, (2, -1))[:, begin : begin + share].flatten(0, 1)


def _decisions() -> Iterator[tuple[str, Tensor]]:
    last = parallel.rank() == parallel.world() - 1
    yield "agree", torch.tensor([*parallel.agree(last, 10.0 + parallel.rank()), *parallel.agree(False, 0.5)]).double()
    yield "writer", torch.tensor(parallel.writer())
    text = parallel.broadcast(f"from {parallel.rank()} é") + parallel.broadcast("")
    yield "text", torch.tensor(list(text.encode()), dtype=torch.uint8)


class Judge(nn.Module):
    """A network with a convolution in channels_last, and a layer that only some steps reach."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.second = nn.Conv2d(8, 4, 3)
        self.rare = nn.Conv2d(8, 4, 3)

    def forward(self, x: Tensor, *, rare: bool) -> Tensor:
        inner = torch.tanh(self.first(x))
        scores: Tensor = self.second(inner) + (self.rare(inner) if rare else 0)
        return scores.mean((1, 2, 3))


def _training() -> Iterator[tuple[str, Tensor]]:
    yield from _trained("whole", begin=0, network=(network := _network()), end=4)
    del network
    cut = _network()
    list(_trained("", begin=0, network=cut, end=2))
    yield from _trained("resumed", begin=2, network=cut, end=4)


def _network() -> Judge:
    torch.manual_seed(0)
    return Judge()


def _trained(name: str, *, begin: int, network: Judge, end: int) -> Iterator[tuple[str, Tensor]]:
    """Steps with a second derivative, in two backward passes of which the last sends; the odd ones reach a layer more.
    Small buckets, so that there are several."""
    gradients = Gradients(network.parameters(), bucket=1000)
    for step in range(begin, end):
        pictures = _mine(torch.rand(2 * ROWS, 3, 8, 8, generator=torch.Generator().manual_seed(step)))
        network.zero_grad(set_to_none=True)
        for part, pieces in enumerate(pictures.split(len(pictures) // 2)):
            if part == 1:
                gradients.start()
            pieces.requires_grad_()
            scores = network(pieces, rare=step % 2 == 1)
            (slope,) = torch.autograd.grad(scores.sum(), pieces, create_graph=True)
            loss = (scores - 1).square().mean() + slope.square().sum((1, 2, 3)).mean()
            (loss / 2).backward()
        gradients.finish()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
    for key, parameter in network.named_parameters():
        yield f"{name}.{key}", parameter.detach().clone()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
