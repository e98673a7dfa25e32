"""The training's benches: the plain step is the same training, the loader does what it says, parts make up the whole,
records fit their schema, and the page is what the records say."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastswap.bench.schema import problems
from fastswap.bench.train import loader, page, run
from fastswap.bench.train.device import uncovered
from fastswap.bench.train.parts import PARTS, Stopwatch, TimedStep, time_parts
from fastswap.bench.train.plain import PlainStep
from fastswap.bench.train.record import made, row
from fastswap.bench.train.subject import make_feed
from fastswap.bench.train.table import gain, groups, name, rate, tables
from fastswap.bench.train.trial import LOADED, PLAIN, SIDES, Trial, phases, trials
from fastswap.errors import FastswapError, MissingDependencyError, UsageError
from fastswap.models import LITE, DiscriminatorSpec, Preset, find_preset, summarise
from fastswap.ops import Jitter
from fastswap.training.plan import Moment
from fastswap.training.step import Step

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
SCHEMA = json.loads((RESULTS / "training.schema.json").read_text(encoding="utf-8"))
RECORDS = sorted(RESULTS.glob("train-*.json"))
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
STILL = Jitter(rotation=0, zoom=0, shift=0, flip=0, grid=0, lightness=0, ab=0)
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


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[loader.Stored]:
    return loader.write_faces(tmp_path_factory.mktemp("faces"), 4)


class TestLoader:
    def test_pictures_are_as_large_as_those_of_photos(self, stored: list[loader.Stored]) -> None:
        assert all(250e3 < face.picture.stat().st_size < 550e3 for face in stored)

    @pytest.mark.parametrize("size", [32, 64])
    def test_an_example_is_what_a_step_takes(self, stored: list[loader.Stored], size: int) -> None:
        larger = {"size_out": 64, "decoder": (16, 16), "residual": (1, 1)} if size == 64 else {}
        generator = replace(SMALL.generator, **larger)
        faces = loader.Faces(stored, replace(SMALL, generator=generator, colour=True), Jitter())
        warped, target, mask = faces[0]
        assert warped.shape == (3, 32, 32)
        assert target.shape == (3, size, size)
        assert mask.shape == (1, size, size)
        for part in (warped, target, mask):
            assert part.dtype == torch.uint8
            assert part.min() < 50 < 150 < part.max()
        assert 80 < mask.float().mean() < 230
        examples = loader.examples([warped[None], target[None], mask[None]], CPU)
        assert torch.equal(examples.target[0], target.float() / 255)
        assert torch.equal(examples.emphasis, torch.ones(1, 1, size, size))

    def test_without_jitter_it_is_the_aligned_face(self, stored: list[loader.Stored]) -> None:
        import cv2

        faces = loader.Faces(stored, replace(LITE, coverage=1.0), STILL)
        warped, target, _ = (part.float() / 255 for part in faces[1])
        assert (warped - target)[..., 4:-4, 4:-4].abs().mean() < 0.02  # the grid's map lies half a pixel aside
        corner = stored[1].matrix @ (0.25, 0.75, 1)
        picture = cv2.imread(str(stored[1].picture))[..., ::-1].astype(np.float32) / 255
        around = picture[int(corner[1]) - 3 : int(corner[1]) + 4, int(corner[0]) - 3 : int(corner[0]) + 4]
        assert target[:, 72, 24].numpy() == pytest.approx(around.mean((0, 1)), abs=0.04)

    def test_the_input_is_warped_and_the_target_is_not(self, stored: list[loader.Stored]) -> None:
        straight = loader.Faces(stored, LITE, STILL)[2][1]
        warped, target, _ = loader.Faces(stored, LITE, replace(STILL, grid=5 / 256))[2]
        assert torch.equal(target, straight)
        assert (warped.float() - straight).abs().mean() > 5

    def test_colours_move_both_pictures_and_not_the_mask(self, stored: list[loader.Stored]) -> None:
        straight = loader.Faces(stored, LITE, STILL)[3]
        warped, target, mask = loader.Faces(stored, replace(LITE, colour=True), replace(STILL, lightness=0.3))[3]
        assert (target.float() - straight[1]).abs().mean() > 3
        assert (warped.float() - target)[..., 4:-4, 4:-4].abs().mean() < 6
        assert torch.equal(mask, straight[2])

    @pytest.mark.parametrize("workers", [0, 2])
    def test_batches_go_on_and_hold_one_side_after_the_other(self, stored: list[loader.Stored], workers: int) -> None:
        opened = iter(loader.open_loader(loader.Faces(stored, SMALL, Jitter()), [2, 2], 3, workers))
        for _ in range(4):
            examples = loader.examples(next(opened), CPU)
            assert examples.warped.shape == (6, 3, 32, 32)
        for numbers, _ in zip(loader.Batches([5, 9], 3), range(50), strict=False):
            assert max(numbers[:3]) < 5 <= min(numbers[3:])


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
        ([(0, 10), (2, 3)], 0.0),
        ([(0, 3), (2, 5), (7, 8)], 0.25),
        ([], None),
    ],
)
def test_idle_is_what_no_kernel_covers(intervals: list[tuple[float, float]], share: float | None) -> None:
    assert uncovered(intervals) == (None if share is None else pytest.approx(share))


class TestTrials:
    def test_compilers_and_loaders_take_part_at_the_first_batch_alone(self) -> None:
        found = trials([("gan-64", find_preset("gan", 64))], (8, 16), (), "cpu")
        first = [each.contender for each in found if each.batch == 8 and each.phase == "end"]
        assert first == ["eager", *PLAIN, *LOADED, "compile"]
        assert found[-1].contender == "compile"
        assert [e.contender for e in found if e.batch == 16 and e.phase == "end"] == ["eager", *PLAIN]
        assert [e.contender for e in found if e.batch == 16 and e.phase == "start"] == ["eager", *PLAIN]

    def test_what_a_device_has_not_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"no contender graph: there are eager, compile, plain channels_last"):
            trials([("lite-96", LITE)], (), ("graph",), "cpu")
        with pytest.raises(UsageError, match="1 or more: got 0"):
            trials([("lite-96", LITE)], (0,), (), "cpu")

    def test_only_a_preset_whose_adversary_comes_later_has_two_phases(self) -> None:
        assert phases(find_preset("gan", 64)) == ["end", "start"]
        assert phases(LITE) == phases(find_preset("gan-v2.2", 64)) == ["end"]

    def test_without_its_adversary_a_step_has_less_to_do(self) -> None:
        preset = find_preset("gan", 64)
        end, start = (Trial("gan-64", preset, 8, "eager", "cpu", phase=phase).flops() for phase in ("end", "start"))
        assert end == summarise(preset, SIDES, 8).flops["iteration"]
        assert 0 < start < end

    def test_a_trial_travels_as_json(self) -> None:
        trial = trials([("gan-64", find_preset("gan", 64))], (), ("plain NCHW",), "cpu", quick=True)[1]
        assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial


RESULT = {
    "median": 0.2, "iqr": 0.01, "min": 0.19, "rounds": 5, "iterations": 1, "processor": 0.3, "precision": "fp32",
    "threads": 2, "workers": None, "memory": 1 << 29, "idle": None, "parts": None, "reason": None,
}  # fmt: skip
CEILINGS = [{"precision": "fp32", "device": "cpu", "threads": 2, "rate": 1e11}]


def recorded(*results: dict[str, Any]) -> dict[str, Any]:
    """Trials of gan at 64 px as they are called, with what differs from RESULT."""
    rows = []
    for changed in results:
        trial = Trial("gan-64", find_preset("gan", 64), 8, changed.pop("contender"), "cpu")
        rows.append(row(trial, {**RESULT, **changed}, CEILINGS))
    return json.loads(json.dumps(made(rows, CEILINGS, quick=False)))


@pytest.fixture(scope="module")
def four() -> dict[str, Any]:
    parts = {**dict.fromkeys(PARTS, 0.03), "whole": 0.18}
    return recorded(
        {"contender": "eager", "parts": parts},
        {"contender": "plain channels_last", "median": 0.1},
        {"contender": "loader", "median": 0.25, "workers": 2, "precision": None},
        {"contender": "loaded plain", "median": 0.4, "workers": 2},
        {"contender": "compile", **dict.fromkeys(RESULT), "reason": "no compiler"},
    )


class TestRecord:
    def test_examples_are_of_both_sides_and_a_share_is_of_the_product(self, four: dict[str, Any]) -> None:
        assert list(problems(four, SCHEMA)) == []
        eager = four["rows"][0]
        assert eager["egs"] == pytest.approx(2 * 8 / 0.2)
        assert eager["share"] == pytest.approx(eager["flops"] / 0.2 / 1e11)
        assert four["rows"][2]["share"] is None  # a loader multiplies nothing

    @pytest.mark.parametrize(
        ("where", "value"),
        [
            (("rows", 0, "median"), 0),
            (("rows", 0, "contender"), "fast"),
            (("rows", 0, "egs"), float("nan")),
            (("rows", 0, "parts", "whole"), None),
            (("rows", 0, "speed"), 1),
            (("ceilings", 0, "rate"), 0),
            (("quick",), 1),
        ],
    )
    def test_the_schema_refuses(self, four: dict[str, Any], where: tuple[Any, ...], value: Any) -> None:
        spoilt = copy.deepcopy(four)
        place = spoilt
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = value
        assert list(problems(spoilt, SCHEMA))

    @pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
    def test_committed_records_fit_the_schema(self, path: Path) -> None:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert list(problems(content, SCHEMA)) == []
        assert not content["quick"], "a rehearsal is no result"


class TestPage:
    def test_it_is_up_to_date(self) -> None:
        said = "run `make kernels-docs`"
        assert (ROOT / page.PAGE).read_text(encoding="utf-8") == page.text(ROOT), said
        for stem, content in page.records(ROOT).items():
            assert all((ROOT / page.image(stem, preset)).exists() for preset in page.presets(content)), said

    def test_it_publishes_losses_and_what_could_not_be_measured(self, four: dict[str, Any], tmp_path: Path) -> None:
        (tmp_path / "docs").mkdir()
        (tmp_path / page.RESULTS).mkdir(parents=True)
        (tmp_path / page.TEMPLATE).write_text((ROOT / page.TEMPLATE).read_text(encoding="utf-8"), "utf-8")
        (tmp_path / page.RESULTS / "train-test.json").write_text(json.dumps(four), "utf-8")
        assert page.write_page(tmp_path) == 1
        lines = (tmp_path / page.PAGE).read_text(encoding="utf-8").splitlines()
        assert any("**fastswap, eager**" in line and "| 0.50 |" in line for line in lines)
        assert any("no figure: no compiler" in line for line in lines)
        whole = next(line for line in lines if line.startswith("| gan-64, 8 |"))
        assert whole == (
            "| gan-64, 8 | 64 (cv2 loader in 2 processes) | 160 (plain channels_last) | 40 (plain channels_last, cv2 "
            "loader in 2 processes) | 80 (fastswap, eager) | **2.00** |"
        )
        assert any(line.startswith("| gan-64, batch 8, all losses | 30 ms (17%) |") for line in lines)
        assert "<svg" in (tmp_path / page.image("train-test", "gan-64")).read_text(encoding="utf-8")

    def test_gains_are_over_the_plain_step_with_resident_data(self, four: dict[str, Any]) -> None:
        (rows,) = groups(four["rows"]).values()
        assert {each["contender"]: gain(rows, each) for each in rows} == {
            "plain channels_last": 1.0, "eager": 0.5, "loaded plain": 0.25, "compile": None,
        }  # fmt: skip
        assert name(four["rows"][4]) == "fastswap, compile"
        assert len(tables(four)) == 3

    @pytest.mark.parametrize(("egs", "said"), [(12345.6, "12,346"), (99.94, "99.9"), (7.513, "7.51"), (None, "-")])
    def test_rates(self, egs: float | None, said: str) -> None:
        assert rate(egs) == said


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> run.TrainingFigures:
    path = tmp_path_factory.mktemp("bench") / "train.json"
    return run.bench_train(["lite"], [1], ["eager"], device="cpu", record=path, quick=True, quiet=True)


class TestRun:
    def test_a_run_fits_the_schema(self, rehearsal: run.TrainingFigures) -> None:
        content = json.loads(rehearsal.output.read_text(encoding="utf-8"))
        assert content == rehearsal.record
        assert list(problems(content, SCHEMA)) == []
        (eager,) = content["rows"]
        assert (eager["contender"], eager["reason"], eager["rounds"]) == ("eager", None, 3)
        assert sum(eager["parts"][part] for part in PARTS) == pytest.approx(eager["parts"]["whole"], rel=0.5)
        assert 0 < eager["share"] < 2

    def test_a_trial_that_its_process_did_not_survive_has_a_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def killed(file: str, asked: list[Trial], *_: object) -> tuple[list[dict[str, Any]], int]:
            told = [{**RESULT, "trial": str(trial)} for trial in asked if trial.contender != "eager"]
            return (CEILINGS, 0) if "ceiling" in file else (told, -9)

        monkeypatch.setattr(run, "_pytest", killed)
        found = run.bench_train(["lite"], [1], ["eager", "plain NCHW"], device="cpu", quiet=True).record
        assert [each["reason"] for each in found["rows"]] == ["the process ended with status -9", None]
        assert list(problems(found, SCHEMA)) == []
        with pytest.raises(FastswapError, match="nothing could be measured: the process ended with status -9"):
            run.bench_train(["lite"], [1], ["eager"], device="cpu", quiet=True)

    def test_on_a_gpu_loaders_and_compilers_are_pieces_of_their_own(self) -> None:
        presets = [("gan-64", find_preset("gan", 64))]
        pieces = list(run.groups(trials(presets, (8, 16), (), "cuda")))
        assert [len(piece) for piece in pieces] == [4, 4, 4, 4 + 4, 2]
        assert {each.contender for each in pieces[-1]} == {"compile", "compiled-graph"}
        assert len(list(run.groups(trials(presets, (8,), (), "cpu")))) == 11

    def test_without_pytest_benchmark_one_line_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run, "_NEEDED", ("no_such_package",))
        with pytest.raises(MissingDependencyError, match="no_such_package not installed"):
            run.bench_train(["lite"])
