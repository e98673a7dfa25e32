"""The ways a step is run reach the same weights; what a captured one reads, and when its losses arrive."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from synthetic import TINY
from torch import Tensor
from torch._dynamo.utils import counters

from fastswap.errors import UsageError
from fastswap.models import DiscriminatorSpec, Preset, Schedule
from fastswap.training.capture import Captured, Outputs, Work
from fastswap.training.engine import WARM_UP, Engine, choose_mode
from fastswap.training.examples import Examples
from fastswap.training.plan import Moment
from fastswap.training.step import Step

CPU = torch.device("cpu")
STEPS = 8


def _preset(adversary: str = "relativistic", *, dropout: float = 0.3) -> Preset:
    """The adversary joins after half of the run."""
    objective = replace(
        TINY.objective, adversary=adversary, adversarial=0.1, r1=1.0 if adversary == "relativistic" else 0.0,
        schedules=(Schedule("adversarial", (0.0, 0.5), (0.0, 1.0)),),
    )  # fmt: skip
    judge = DiscriminatorSpec(size=32, channels=(8, 16))
    optimisation = replace(TINY.optimisation, dropout=dropout)
    return replace(TINY, discriminator=judge, objective=objective, optimisation=optimisation)


def _examples(number: int, device: torch.device = CPU, batch: int = 4) -> Examples:
    generator = torch.Generator().manual_seed(number)
    warped, target = torch.rand(2, 2 * batch, 3, 32, 32, generator=generator).to(device)
    mask = (torch.rand(2 * batch, 1, 32, 32, generator=generator) > 0.3).float().to(device)
    return Examples(warped, target, mask, 1 + mask, torch.rand(2 * batch, generator=generator).to(device))


def _run(engine: Engine, steps: int = STEPS, total: int = STEPS) -> list[dict[str, float]]:
    told = []
    for number in range(steps):
        engine.run(_examples(number, engine.step.device), Moment(number, number / total))
        (reading,) = engine.losses(wait=True)
        assert reading.number == number + 1
        told.append(reading.values)
    return told


def _same(one: Step, other: Step, **tolerance: float) -> None:
    others = other.state()
    for name, tensor in one.state().items():
        torch.testing.assert_close(others[name], tensor, msg=lambda text, name=name: f"{name}: {text}", **tolerance)


class _Replays:
    """A recorder for a machine without CUDA graphs: a replay runs the function, as it was captured, and fills the same
    outputs."""

    def __init__(self) -> None:
        self.did: Counter[str] = Counter()

    def warm_up(self, work: Work) -> Outputs:
        self.did["warm-up"] += 1
        return work()

    def capture(self, work: Work) -> Captured:
        self.did["capture"] += 1
        return _Replay(work, self.did)


class _Replay:
    def __init__(self, work: Work, did: Counter[str]) -> None:
        self.work, self.did = work, did
        self.outputs: dict[str, Tensor] = {}

    def replay(self) -> None:
        self.did["replay"] += 1
        for name, value in self.work().items():
            self.outputs.setdefault(name, torch.empty_like(value)).copy_(value)


def test_a_captured_step_reads_its_inputs_controls_and_phase_at_each_replay() -> None:
    eager, captured = (Engine(Step(_preset(), 2, 0, CPU), "eager") for _ in range(2))
    recorder = _Replays()
    captured = Engine(captured.step, "graph", recorder=recorder)
    assert _run(eager) == _run(captured)
    _same(eager.step, captured.step, rtol=0, atol=0)
    phases = 2
    assert recorder.did == {"warm-up": phases * WARM_UP, "capture": phases, "replay": STEPS - phases * WARM_UP}


def test_examples_of_another_shape_are_refused_once_buffers_are_there() -> None:
    engine = Engine(Step(TINY, 2, 0, CPU), "graph", recorder=_Replays())
    engine.run(_examples(0), Moment(0, 0.0))
    with pytest.raises(ValueError, match="another shape"):
        engine.run(_examples(1, batch=2), Moment(1, 0.0))


@pytest.mark.parametrize("adversary", ["hinge", "relativistic"])
def test_compiled_networks_reach_the_weights_of_eager_ones(adversary: str) -> None:
    preset = _preset(adversary)
    eager = Engine(Step(preset, 2, 0, CPU, precision="fp32"), "eager")
    compiled = Engine(Step(preset, 2, 0, CPU, precision="fp32"), "compile", backend="aot_eager")
    counters.clear()
    try:
        for one, other in zip(_run(eager), _run(compiled), strict=True):
            assert one == pytest.approx(other, rel=1e-3, abs=1e-5)
        assert counters["stats"]["unique_graphs"] >= (1 if adversary == "relativistic" else 2)
        assert eager.step.state().keys() == compiled.step.state().keys()
    finally:
        torch.compiler.reset()


def test_losses_are_given_out_once_and_say_of_which_step() -> None:
    engine = Engine(Step(TINY, 2, 0, CPU), "eager")
    assert engine.losses() == []
    for number in range(3):
        engine.run(_examples(number), Moment(number, 0.0))
    readings = engine.losses()
    assert [reading.number for reading in readings] == [1, 2, 3]
    assert {"loss", "l1", "dssim", "gradient", "faults"} <= readings[0].values.keys()
    assert engine.losses(wait=True) == []


@pytest.mark.parametrize(
    ("mode", "device", "chosen"),
    [("auto", "cpu", "eager"), ("auto", "cuda", "graph"), ("compile", "cpu", "compile"), ("eager", "cuda", "eager")],
)
def test_auto_captures_where_there_is_a_gpu(mode: str, device: str, chosen: str) -> None:
    assert choose_mode(mode, torch.device(device)) == chosen


@pytest.mark.parametrize(("mode", "message"), [("graph", "choose eager or compile"), ("fast", "choose one of auto")])
def test_modes_that_the_device_has_not_are_refused(mode: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose_mode(mode, CPU)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["graph", "compile", "compiled-graph"])
@pytest.mark.parametrize("adversary", ["hinge", "lsgan", "relativistic"])
def test_on_a_gpu_every_mode_has_the_losses_of_eager_steps(cuda: str, adversary: str, mode: str) -> None:
    device, steps = torch.device(cuda), 40
    eager = Engine(Step(_preset(adversary, dropout=0.3), 2, 0, device, precision="fp32"), "eager")
    other = Engine(Step(_preset(adversary, dropout=0.3), 2, 0, device, precision="fp32"), mode)
    for one, two in zip(_run(eager, steps, steps), _run(other, steps, steps), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=2e-2)
    if mode == "graph":
        _same(eager.step, other.step, rtol=2e-2, atol=2e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("optimiser", ["adam", "adamw", "adabelief"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_on_a_gpu_all_that_a_step_can_hold_is_captured(cuda: str, optimiser: str, precision: str) -> None:
    preset = _preset()
    preset = replace(preset, optimisation=replace(preset.optimisation, optimiser=optimiser, weight_decay=0.01))
    engine = Engine(Step(preset, 2, 0, torch.device(cuda), precision=precision, accumulate=2), "graph")
    told = _run(engine, 60, 60)
    assert told[-1]["faults"] == 0
    assert told[-1]["l1"] < 0.9 * told[0]["l1"]
