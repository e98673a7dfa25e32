"""Which precision a device gets, and what float16's scale does."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from synthetic import TINY

from fastswap.errors import UsageError
from fastswap.models import DiscriminatorSpec
from fastswap.training import precision
from fastswap.training.examples import noise
from fastswap.training.plan import Moment
from fastswap.training.precision import LossScale, Precision, choose_precision
from fastswap.training.step import Step

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "native", "chosen"),
    [(CPU, True, "bf16"), (CPU, False, "fp32"), (GPU, True, "bf16"), (GPU, False, "fp16")],
)
def test_auto_is_the_fastest_that_the_hardware_multiplies(
    device: torch.device, native: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_has_bf16", lambda _: native)
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda _: None)
    assert choose_precision("auto", device).name == chosen
    assert (choose_precision("auto", device).dtype is None) == (chosen == "fp32")


@pytest.mark.parametrize(
    ("name", "device", "message"),
    [("half", CPU, "choose one of"), ("fp16", CPU, "for GPUs without bf16"), ("bf16", GPU, "has no bf16")],
)
def test_what_the_device_has_not_is_refused(
    name: str, device: torch.device, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_has_bf16", lambda _: False)
    with pytest.raises(UsageError, match=message):
        choose_precision(name, device)


def test_the_scale_grows_after_many_calm_steps_and_is_halved_by_one_that_overflows() -> None:
    scale = LossScale(CPU)
    first = scale.value.item()
    for _ in range(2000):
        scale.update(torch.tensor(0.0))
    assert scale.value.item() == 2 * first
    scale.update(torch.tensor(1.0))
    assert scale.value.item() == first


def test_an_overflow_leaves_weights_moments_and_average_and_the_next_step_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Float16's way on the CPU: float32 products, with the scale; it is too large at first."""
    monkeypatch.setattr(Precision, "scale", lambda _: LossScale(CPU))
    preset = replace(
        TINY,
        discriminator=DiscriminatorSpec(size=32, channels=(8, 16)),
        objective=replace(TINY.objective, adversary="relativistic", adversarial=0.1, r1=1.0, r2=1.0),
    )
    step = Step(preset, 2, 0, CPU, precision="fp32")
    for optimiser in step.optimisers:
        assert optimiser.scale
        optimiser.scale.value.fill_(3e38)
    before = {name: tensor.clone() for name, tensor in step.state().items()}
    examples = noise(32, 32, 8, CPU)
    losses = step(examples, Moment(0, 0.0))
    changed = {name for name, tensor in step.state().items() if not torch.equal(tensor, before[name])}
    assert changed == {"generator.scale", "discriminators_state.scale"}
    assert losses["faults"] == 0, "an overflow under a scale is no fault"
    for optimiser in step.optimisers:
        assert optimiser.scale
        optimiser.scale.value.fill_(2.0**14)
    step(examples, Moment(1, 0.0))
    assert not any(
        torch.equal(tensor, before[name])
        for name, tensor in step.state().items()
        if name in ("average.encoder.squeeze.weight", "generator.step.encoder.squeeze.weight")
    )


def test_a_loss_that_is_no_number_is_a_fault() -> None:
    step = Step(TINY, 2, 0, CPU)
    examples = noise(32, 32, 8, CPU)
    assert step(examples, Moment(0, 0.0))["faults"] == 0
    broken = replace(examples, target=examples.target * float("nan"))
    assert step(broken, Moment(1, 0.0))["faults"] == 1
    assert step(examples, Moment(2, 0.0))["faults"] == 2, "its weights are no numbers either"
