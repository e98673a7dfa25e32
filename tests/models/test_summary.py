"""The summary: counted by hand, and what it says of memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fastswap.models import LITE, DiscriminatorSpec, GeneratorSpec, Objective, Preset, SwapModel, find_preset, summarise
from fastswap.models.summary import _activations

HAND = replace(
    LITE,
    generator=GeneratorSpec(
        size_in=16, size_out=16, stem=2, kernel=3, encoder=(8,), dense=10, seed_size=4, seed_channels=6, shared_up=0,
        decoder=(4,), residual=(1,), head=True, attention=(8,),
    ),
)  # fmt: skip
ENCODER = {"stem": 8 * 8 * 8 * 12 * 9, "halving": 4 * 4 * 8 * 8 * 9, "squeeze": 128 * 10, "unfold": 10 * 96}
ATTENTION = {"project": 64 * 4 * 6, "products": 2 * 64 * 64 * 2, "out": 64 * 2 * 4}
DECODER = {"up": 4 * 4 * 6 * 16 * 9, "residual": 2 * 8 * 8 * 4 * 4 * 9, **ATTENTION, "head": 8 * 8 * 4 * 16 * 9}


def test_multiply_adds_are_those_counted_by_hand() -> None:
    summary = summarise(HAND, sides=3, batch=5)
    rows = {layer.name: layer.multiply_adds for layer in summary.layers}
    assert sum(count for name, count in rows.items() if name.startswith("encoder")) == sum(ENCODER.values())
    assert sum(count for name, count in rows.items() if name.startswith("decoder")) == sum(DECODER.values())


def test_an_iteration_is_three_passes_without_the_gradient_at_the_input() -> None:
    summary = summarise(HAND, sides=3, batch=5)
    face = 3 * sum(ENCODER.values()) + 3 * sum(DECODER.values()) - ENCODER["stem"]
    assert summary.flops["iteration"] == 2 * 3 * 5 * face
    assert summary.flops["penalties"] == 0


def test_the_discriminators_are_counted_as_the_step_runs_them() -> None:
    spec = DiscriminatorSpec(size=16, channels=(8,), kernel=3)
    objective = Objective(l1=1.0, adversary="relativistic", adversarial=1.0)
    plain = replace(HAND, discriminator=spec, objective=objective)
    first, judge = 8 * 8 * 3 * 8 * 9, 8 * 8 * 8 * 9
    own = 2 * (3 * (first + judge) - first)  # real and made: forward, and all gradients but that at the picture
    through = 3 * (first + judge)  # made: forward and the gradient at the picture; real: forward
    assert summarise(plain, batch=1).flops["discriminators"] == 2 * 2 * own
    without = summarise(HAND, batch=1).flops["generator"]
    assert summarise(plain, batch=1).flops["generator"] == without + 2 * 2 * through
    penalised = summarise(replace(plain, objective=replace(objective, r1=1.0, r2=1.0)), batch=1)
    assert penalised.flops["iteration"] == summarise(plain, batch=1).flops["iteration"]
    assert penalised.flops["penalties"] >= 2 * 2 * own // 2


@pytest.mark.parametrize("preset", [LITE, find_preset("gan", 64)], ids=lambda preset: preset.name)
def test_parameters_and_weights_are_those_of_the_network(preset: Preset) -> None:
    summary = summarise(preset, batch=2)
    count = sum(p.numel() for p in SwapModel(preset.generator).parameters())
    assert summary.parameters["generator"] == count
    assert sum(layer.copies * layer.parameters for layer in summary.layers) == sum(summary.parameters.values())
    assert summary.memory_mib["average"] == round(4 * count / 2**20, 1)
    assert summary.memory_mib["moments"] == pytest.approx(2 * summary.memory_mib["weights"], abs=0.2)


def test_activations_are_what_autograd_keeps() -> None:
    """Beside those that a real pass keeps, of tensors that have a content."""
    model = SwapModel(HAND.generator)
    known = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    faces = torch.rand(8, 3, 16, 16)
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16):
        model.reconstruct(faces)
    measured = sum(tensor.untyped_storage().nbytes() for address, tensor in kept.items() if address not in known)
    assert _activations(HAND, sides=2, count=4) == pytest.approx(measured, rel=0.1)


def test_twice_the_batch_is_twice_the_work_and_more_memory() -> None:
    small, large = summarise(HAND, batch=8), summarise(HAND, batch=16)
    assert large.flops["iteration"] == 2 * small.flops["iteration"]
    assert 1.5 < large.memory_mib["activations"] / small.memory_mib["activations"] <= 2.1
    assert large.memory_mib["weights"] == small.memory_mib["weights"]
