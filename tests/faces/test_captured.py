"""Networks as graphs of fixed sizes: filled up, split, recorded once. On the CPU a pass stands in for the graph."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastswap.faces import networks
from fastswap.faces._captured import SIZES, Captured, Outputs, Recorded


def network(x: Tensor) -> Outputs:
    """Two outputs that tell every picture of a batch."""
    return x.sum((1, 2, 3)), x[:, :1] * 2


class Recorder:
    """Records as a graph does: outputs are the same memory at every replay."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, network, source: Tensor) -> Recorded:
        self.sizes.append(len(source))
        outputs = network(source)

        def replay() -> None:
            for old, new in zip(outputs, network(source), strict=True):
                old.copy_(new)

        return Recorded(source, replay, outputs)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


class TestPadding:
    @pytest.mark.parametrize("count", [0, 1, 3, 16, SIZES[-1], SIZES[-1] + 5])
    def test_a_batch_of_any_size_is_the_networks_own(self, recorder, count):
        x = torch.rand(count, 3, 4, 4)
        for output, expected in zip(Captured(network, recorder)(x), network(x), strict=True):
            torch.testing.assert_close(output, expected)

    def test_a_size_is_recorded_once(self, recorder):
        captured = Captured(network, recorder)
        for count in (3, 4, 3, 9, 70):
            captured(torch.rand(count, 3, 4, 4))
        assert recorder.sizes == [4, 16, 64, 8]

    def test_what_was_returned_stays(self, recorder):
        captured = Captured(network, recorder)
        first = captured(torch.ones(2, 3, 4, 4))[0]
        captured(torch.zeros(2, 3, 4, 4))
        assert first.tolist() == [48.0, 48.0]


@pytest.mark.gpu
class TestOnAGPU:
    @pytest.fixture(params=[("short", 128), ("full", 192), ("mesh", 192)], ids=lambda pair: pair[0])
    def named(self, request):
        return request.param

    def test_graphs_in_float16_give_the_cpus_numbers(self, cuda, named):
        name, size = named
        x = torch.rand(5, 3, size, size, generator=torch.Generator().manual_seed(1))
        captured = networks.load(name, cuda)
        assert isinstance(captured, Captured)
        for output, expected in zip(captured(x.to(cuda)), networks.load(name)(x), strict=True):
            assert output.dtype == torch.float32
            torch.testing.assert_close(output.cpu(), expected, rtol=0.02, atol=0.3)

    def test_streams_may_share_one(self, cuda):
        captured = networks.load("full", cuda)
        x = [torch.full((2, 3, 192, 192), value, device=cuda) for value in (-1.0, 1.0)]
        alone = [captured(each)[1].clone() for each in x]
        torch.cuda.synchronize()
        results = []
        for turn in range(20):
            with torch.cuda.stream(torch.cuda.Stream()):
                results.append(captured(x[turn % 2])[1])
        torch.cuda.synchronize()
        for turn, result in enumerate(results):
            torch.testing.assert_close(result, alone[turn % 2])
