"""The training's benches: who takes part, records that fit their schema, and a page that is what the records say."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from fastswap.bench.schema import problems
from fastswap.bench.template import RESULTS
from fastswap.bench.train import page, run
from fastswap.bench.train.parts import PARTS
from fastswap.bench.train.record import made, row
from fastswap.bench.train.table import gain, groups, name, rate, tables
from fastswap.bench.train.trial import LOADED, PLAIN, SIDES, Trial, phases, trials
from fastswap.errors import FastswapError, MissingDependencyError, UsageError
from fastswap.models import LITE, find_preset, summarise

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / RESULTS / "training.schema.json").read_text(encoding="utf-8"))
RECORDS = sorted((ROOT / RESULTS).glob("train-*.json"))


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
        (tmp_path / RESULTS).mkdir(parents=True)
        (tmp_path / page.TEMPLATE).write_text((ROOT / page.TEMPLATE).read_text(encoding="utf-8"), "utf-8")
        (tmp_path / RESULTS / "train-test.json").write_text(json.dumps(four), "utf-8")
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

    @pytest.mark.gpu
    def test_a_captured_step_is_measured(self, cuda: str) -> None:
        names = ("graph", "plain channels_last", "loaded plain in process")
        found = run.bench_train(["gan:64"], [4], names, device=cuda, quick=True, quiet=True).record
        assert list(problems(found, SCHEMA)) == []
        assert all(each["reason"] is None and each["idle"] is not None for each in found["rows"])
