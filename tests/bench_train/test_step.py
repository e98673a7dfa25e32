"""What the training's benches time: the plain step is the same training as ours, parts make up the whole."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from fastswap.bench.train.device import idle_share, uncovered
from fastswap.bench.train.parts import PARTS, Stopwatch, TimedStep, time_parts
from fastswap.bench.train.plain import PlainStep
from fastswap.bench.train.subject import make_feed
from fastswap.bench.train.trial import SIDES
from fastswap.models import LITE, DiscriminatorSpec, Preset, find_preset
from fastswap.training.plan import Moment
from fastswap.training.step import Step

CPU = torch.device("cpu")
BATCH = 4
SMALL = replace(
    LITE, name="small", batch=BATCH,
    generator=replace(
        LITE.generator, size_in=32, size_out=32, encoder=(16,), dense=32, seed_size=4, seed_channels=16, shared_up=16,
        decoder=(16,), residual=(1,),
    ),
    optimisation=replace(LITE.optimisation, warm_up=2),
)  # fmt: skip
JUDGE = DiscriminatorSpec(size=32, channels=(8, 16), conditional=True)


def gan(adversary: str) -> Preset:
    penalties = {"r1": 1.0, "r2": 0.5} if adversary == "relativistic" else {}
    objective = replace(SMALL.objective, adversary=adversary, adversarial=0.1, **penalties)
    return replace(SMALL, discriminator=JUDGE, objective=objective)


def flat(network: torch.nn.Module) -> torch.Tensor:
    """All weights in a row."""
    return torch.cat([weight.detach().reshape(-1) for weight in network.parameters()])


class TestPlainStep:
    @pytest.mark.parametrize(("channels_last", "precision"), [(True, "fp32"), (False, "fp32"), (True, "auto")])
    @pytest.mark.parametrize("preset", [SMALL, gan("hinge"), gan("relativistic"), gan("lsgan")])
    def test_it_trains_as_ours_does(self, preset: Preset, channels_last: bool, precision: str) -> None:
        ours = Step(preset, SIDES, 0, CPU, precision=precision)
        plain = PlainStep(preset, SIDES, 1, CPU, channels_last=channels_last, precision=precision)
        plain.generator.load_state_dict(ours.generator.state_dict())
        plain.average.load_state_dict(ours.generator.state_dict())
        before = flat(ours.shown)
        if ours.discriminators is not None:
            plain.discriminators.load_state_dict(ours.discriminators.state_dict())
        feed = make_feed(preset, BATCH, CPU)
        for iteration in range(3):
            examples, moment = feed(iteration), Moment(iteration, 0.7)
            expected = {name: float(value) for name, value in ours(examples, moment).items()}
            found = plain(examples, moment)
            told = {"gradient", "discriminator_gradient", "faults"}  # ours alone
            assert set(expected) - set(found) <= told
            allowed = 1e-2 if iteration else 1e-5  # with the same weights; then what rounding made of them
            common = {name: expected[name] for name in found}
            assert common == pytest.approx({name: found[name] for name in common}, rel=allowed, abs=1e-5), iteration
        mine, theirs = (flat(network) - before for network in (ours.shown, plain.average))
        assert (mine - theirs).norm() < (0.05 if precision == "fp32" else 0.5) * mine.norm()

    def test_it_computes_in_the_layout_that_it_is_named_after(self) -> None:
        for channels_last in (True, False):
            step = PlainStep(gan("hinge"), SIDES, 0, CPU, channels_last=channels_last)
            seen: list[bool] = []

            def look(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], seen: list[bool] = seen) -> None:
                seen.append(inputs[0].is_contiguous() and inputs[0].shape[1] > 1)

            for network in (step.generator, step.discriminators):
                for layer in network.modules():
                    if isinstance(layer, torch.nn.Conv2d):
                        layer.register_forward_pre_hook(look)
            step(make_feed(step.preset, BATCH, CPU)(0), Moment(5, 1.0))
            assert seen
            assert not any(seen) if channels_last else all(seen)


class TestParts:
    def test_at_every_moment_one_part_runs(self) -> None:
        watch = Stopwatch(CPU)
        watch.start()
        with watch.part("generator"):
            time.sleep(0.02)
            with watch.part("optimisers"):
                time.sleep(0.04)
            time.sleep(0.02)
        seconds = watch.stop()
        assert seconds["optimisers"] == pytest.approx(0.04, abs=0.015)
        assert seconds["generator"] == pytest.approx(0.04, abs=0.015)
        assert seconds["forward"] == 0

    def test_parts_sum_to_about_the_whole_and_each_has_some(self) -> None:
        preset = gan("relativistic")
        step = TimedStep(preset, SIDES, 0, CPU)
        found = time_parts(step, make_feed(preset, BATCH, CPU), Moment(0, 1.0), warm_up=1, rounds=5)
        assert sum(found[part] for part in PARTS) == pytest.approx(found["whole"], rel=0.3)
        assert all(found[part] > 0 for part in PARTS)
        assert found["rest"] < 0.3 * found["whole"]

    def test_a_timed_step_is_the_step(self) -> None:
        preset = gan("hinge")
        feed = make_feed(preset, BATCH, CPU)
        timed, plain = TimedStep(preset, SIDES, 0, CPU), Step(preset, SIDES, 0, CPU)
        timed.watch.start()
        for step in (timed, plain):
            step(feed(0), Moment(0, 1.0))
        assert all(torch.equal(tensor, plain.state()[key]) for key, tensor in timed.state().items())


@pytest.mark.parametrize(
    ("intervals", "share"),
    [
        ([(0, 4), (6, 10)], 0.2),
        ([(6, 10), (0, 4)], 0.2),
        ([(0, 10), (2, 3), (9, 12)], 0.0),
        ([(0, 3), (2, 5), (7, 8)], 0.25),
        ([], None),
    ],
)
def test_idle_is_what_no_kernel_covers(intervals: list[tuple[float, float]], share: float | None) -> None:
    assert uncovered(intervals) == (None if share is None else pytest.approx(share))


@pytest.mark.gpu
class TestOnAGpu:
    def test_idle_is_what_the_profiler_sees(self, cuda: str) -> None:
        device = torch.device(cuda)
        matrix = torch.rand(4096, 4096, device=device)

        def busy() -> None:
            for _ in range(20):
                matrix @ matrix

        def lazy() -> None:
            matrix @ matrix
            torch.cuda.synchronize()
            time.sleep(0.05)

        busy()
        found = [idle_share(work, 4, device) for work in (busy, lazy)]
        assert found[0] is not None
        assert found[1] is not None
        assert found[0] < 0.2 < 0.8 < found[1]

    def test_parts_sum_to_about_the_whole(self, cuda: str) -> None:
        device, preset = torch.device(cuda), find_preset("gan", 64)
        step = TimedStep(preset, SIDES, 0, device)
        found = time_parts(step, make_feed(preset, BATCH, device), Moment(0, 1.0), warm_up=3, rounds=5)
        assert sum(found[part] for part in PARTS) == pytest.approx(found["whole"], rel=0.3)
        assert all(found[part] > 0 for part in PARTS)
