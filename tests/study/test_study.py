"""A study: what takes part, the clock, and that what is missing is done and nothing else."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_up import PAIR, record, run

from fastswap.bench.quality import job as jobs
from fastswap.bench.quality import study
from fastswap.bench.quality.clock import Clock
from fastswap.bench.quality.entry import entries
from fastswap.bench.quality.ground import Ground, telling
from fastswap.bench.quality.study import Study, bench_quality
from fastswap.bench.schema import problems
from fastswap.errors import FastswapError, InputError, UsageError
from fastswap.models import LITE, ORIGINAL
from fastswap.quality.motion import Motion

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "bench" / "results" / "quality.schema.json").read_text(encoding="utf-8"))


class TestEntries:
    def test_numbers_can_be_changed_at_any_depth(self) -> None:
        changed, other = entries(["lite:96", "original"], ["optimisation.learning_rate=2e-3", "batch=4"])
        assert (changed.preset.optimisation.learning_rate, changed.preset.batch) == (0.002, 4)
        assert changed.preset.generator == LITE.generator
        assert changed.label == "lite-96 optimisation.learning_rate=0.002 batch=4"
        assert other.preset.batch == 4

    def test_lists_and_whole_parts_can_be_given_as_json(self) -> None:
        schedule = '[{"term": "agreement", "shares": [0.5], "factors": [0.0], "linear": false}]'
        (changed,) = entries(["lite"], [f"objective.schedules={schedule}", "generator.residual=[2, 1]"])
        assert changed.preset.objective.schedules[0].shares == (0.5,)
        assert changed.preset.generator.residual == (2, 1)

    def test_another_preset_never_has_the_same_files(self) -> None:
        keys = {entry.key for change in ([], ["batch=4"], ["batch=5"]) for entry in entries(["lite"], change)}
        assert len(keys) == 3
        assert all("/" not in key and " " not in key for key in keys)

    def test_variants_come_from_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "variants.json"
        path.write_text('{"wide": {"base": "lite:96", "set": {"generator.dense": 384}}, "as it is": {"base": "lite"}}')
        wide, same = entries([], variants=path)
        assert (wide.label, wide.preset.generator.dense, same.preset) == ("wide", 384, LITE)
        path.write_text('["lite"]')
        with pytest.raises(InputError, match=r"variants.json is not like"):
            entries([], variants=path)

    @pytest.mark.parametrize(
        ("presets", "changes", "said"),
        [
            (["lite:big"], [], "a size in pixels goes behind the colon"),
            (["lite:77"], [], "'lite' is not made for 77 px"),
            (["lite"], ["batch"], "write it as field=value"),
            (["lite"], ["objective.charm=2"], "--set objective.charm: a preset has no such field"),
            (["lite"], ["batch.size=2"], "--set batch.size: a preset has no such field"),
            (["lite"], ["batch=many"], "--set batch: Preset.batch is 'many', not a int"),
            (["lite"], ["generator.dense=0"], "--set generator.dense: .*channels"),
            (["lite", "lite:96"], [], "each preset takes part once"),
            ([], [], "each preset takes part once"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, presets: list[str], changes: list[str], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            entries(presets, changes)


class TestClock:
    def clock(self, save_every: int, *points: tuple[int, float]) -> Clock:
        return Clock(save_every, [(done, seconds, 2 * seconds) for done, seconds in points])

    def test_the_start_counts_as_the_iterations_after_it(self) -> None:
        clock = self.clock(0, (10, 100.0), (20, 105.0), (30, 110.0))
        assert clock.seconds(30) == pytest.approx((15.0, 30.0))
        assert clock.seconds(25) == pytest.approx((12.5, 25.0))

    def test_what_a_checkpoint_takes_is_not_training(self) -> None:
        clock = self.clock(20, (10, 50.0), (20, 55.0), (30, 99.0), (40, 106.0))
        assert clock.seconds(20)[0] == pytest.approx(10.0)
        assert clock.seconds(30)[0] == pytest.approx(15.0), "the checkpoint of iteration 20 was written before 30"
        assert clock.seconds(40)[0] == pytest.approx(22.0), "that of 40 was not written yet"

    def test_phases_that_cost_more_are_counted_as_they_are(self) -> None:
        clock = self.clock(0, (10, 10.0), (20, 20.0), (30, 50.0))
        assert clock.seconds(30)[0] == pytest.approx(50.0)

    def test_one_report_says_nothing(self) -> None:
        clock = Clock()
        clock(10)
        clock(10, "again")
        with pytest.raises(ValueError, match="1 reports"):
            clock.seconds(10)


def test_the_moments_shown_tell_apart() -> None:
    motion = Motion.performance(0, 225, 25)
    moments = telling(motion, 120)
    assert len(moments) >= 4
    assert max(moments) < 120
    assert max(motion.blink[moments]) > 0.9
    assert max(motion.mouth[moments]) > 0.08
    assert min(motion.yaw[moments]) < 0 < max(motion.yaw[moments])


def test_seconds_between_marks_divide_all_of_them() -> None:
    assert [jobs._unit(marks) for marks in ((60.0, 120.0, 240.0), (30.0, 60.0, 180.0), (7.5, 12.5))] == [60, 30, 2.5]


class Process:
    def __init__(self) -> None:
        self.ended = threading.Event()

    def terminate(self) -> None:
        self.ended.set()


class TestStudy:
    def study(self, folder: Path, **other: Any) -> Study:
        return Study(folder, tuple(entries(["lite", "original"])), pairs=(PAIR,), minutes=(1.0, 2.0), **other)

    @pytest.fixture
    def begun(self, monkeypatch: pytest.MonkeyPatch) -> list[jobs.Job]:
        """Jobs that would have been processes: their results are made up; original is four times slower."""
        seen: list[jobs.Job] = []

        def work(job: jobs.Job, _: object) -> None:
            seen.append(job)
            job.output.parent.mkdir(parents=True, exist_ok=True)
            slow = job.preset == ORIGINAL
            content = {
                "ground": record([], {}, PAIR)["pairs"][0]["controls"],
                "speed": {"rate": 1.0 if slow else 4.0},
                "run": {k: v for k, v in run(PAIR, "", 0, {}, {"margin": 2.0 + job.seed}).items()
                        if k in ("commit", "rate", "marks")},
            }[job.kind]  # fmt: skip
            plain = {"frames": 120, "moments": [1], "controls": content} if job.kind == "ground" else content
            job.output.write_text(json.dumps(plain))
            for picture in (job.output.with_suffix(".png"), *(job.ground / name for name in ("a.png", "truth.png"))):
                cv2.imwrite(str(picture), np.full((208, 208, 3), 40 * job.seed, np.uint8))

        monkeypatch.setattr(study, "_in_a_process", work)
        return seen

    def test_what_is_there_is_not_done_again(self, tmp_path: Path, begun: list[jobs.Job]) -> None:
        asked = self.study(tmp_path, seeds=(0, 1))
        summary = bench_quality(asked, tmp_path / "record.json", tmp_path / "pictures", quiet=True)
        assert [job.kind for job in begun] == ["ground", "speed", "speed", *["run"] * 4]
        assert summary.runs == 4
        assert summary.last["lite-96"]["margin"] == 2.5
        begun.clear()
        bench_quality(asked, quiet=True)
        assert begun == []
        (tmp_path / "runs").rename(tmp_path / "kept")
        shutil.copytree(tmp_path / "kept", tmp_path / "runs")
        next((tmp_path / "runs").rglob("1.json")).unlink()
        bench_quality(self.study(tmp_path, seeds=(0, 1, 2)), quiet=True)
        assert [(job.kind, job.seed) for job in begun] == [("run", 1), ("run", 2), ("run", 2)]

    def test_other_marks_frames_or_presets_are_other_runs(self, tmp_path: Path, begun: list[jobs.Job]) -> None:
        bench_quality(self.study(tmp_path, seeds=(0,)), quiet=True)
        begun.clear()
        bench_quality(self.study(tmp_path, seeds=(0,), quick=True), quiet=True)
        assert [job.kind for job in begun] == ["ground", "speed", "speed", "run", "run"]
        begun.clear()
        changed = Study(tmp_path, tuple(entries(["lite"], ["batch=4"])), (PAIR,), (0,), (1.0, 2.0))
        bench_quality(changed, quiet=True)
        assert [job.kind for job in begun] == ["speed", "run"]

    def test_each_run_has_a_core_and_the_iterations_of_its_budget(self, tmp_path: Path, begun: list[jobs.Job]) -> None:
        bench_quality(self.study(tmp_path, seeds=(0,)), quiet=True)
        runs = [job for job in begun if job.kind == "run"]
        assert {job.preset.name: job.rate for job in runs if job.preset} == {"lite": 4.0, "original": 1.0}
        assert all(job.core is not None and job.marks == (60.0, 120.0) for job in runs)

    def test_the_record_fits_the_schema_and_the_sheet_shows_all(self, tmp_path: Path, begun: list[jobs.Job]) -> None:
        bench_quality(self.study(tmp_path, seeds=(0, 1, 2)), tmp_path / "record.json", tmp_path, quiet=True)
        content = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
        assert list(problems(content, SCHEMA)) == []
        assert len(content["runs"]) == 6
        picture = cv2.imread(str(tmp_path / f"{PAIR}.jpg"))
        assert picture.shape == (208 + 22, 4 * 208, 3)
        assert picture[120, 300].tolist() == pytest.approx([40] * 3, abs=3), "the middle seed of three is 1"

    def test_a_job_that_failed_is_named_after_the_others_are_done(
        self, tmp_path: Path, begun: list[jobs.Job], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work = study._in_a_process
        monkeypatch.setattr(study, "_in_a_process", lambda job, _: "it broke" if job.seed == 1 else work(job, _))
        with pytest.raises(FastswapError, match="it broke; it broke"):
            bench_quality(self.study(tmp_path, seeds=(0, 1, 2)), quiet=True)
        assert sorted(job.seed for job in begun if job.kind == "run") == [0, 0, 2, 2]

    def test_interrupted_it_ends_what_runs_and_begins_nothing(
        self, tmp_path: Path, begun: list[jobs.Job], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work, ended = study._in_a_process, []

        def interrupted(job: jobs.Job, running: set[Any]) -> None:
            if job.kind != "run":
                work(job, running)
                return
            begun.append(job)
            if job.seed == 0:
                raise KeyboardInterrupt
            process = Process()
            running.add(process)
            ended.append(process.ended.wait(20))

        monkeypatch.setattr(study, "_in_a_process", interrupted)
        asked = Study(tmp_path, tuple(entries(["lite"])), (PAIR,), tuple(range(6)), (1.0, 2.0), jobs=2)
        with pytest.raises(KeyboardInterrupt):
            bench_quality(asked, quiet=True)
        assert ended
        assert all(ended)
        assert len([job for job in begun if job.kind == "run"]) < 6

    def test_a_job_survives_its_file(self, tmp_path: Path) -> None:
        job = jobs.Job("run", PAIR, tmp_path, tmp_path / "0.json", 1, False, 0, 9, LITE, 2, (60.0,), 3.5)
        assert jobs.Job.from_json(json.loads(json.dumps(job.to_json()))) == job

    def test_a_process_that_dies_leaves_a_line(self, tmp_path: Path) -> None:
        job = jobs.Job("run", PAIR, tmp_path, tmp_path / "0.json", None, True, 0, 9, LITE, 0, (60.0,), 3.5)
        said = study._in_a_process(job, set())
        assert said is not None
        assert "is not ready: run the study again" in said
        assert not job.output.exists()

    def test_a_budget_too_short_to_time_is_refused_before_it_is_spent(self, tmp_path: Path) -> None:
        ground = Ground(tmp_path, 9, (0,), {})
        job = jobs.Job("run", PAIR, tmp_path, tmp_path / "0.json", None, True, 0, 9, LITE, 0, (6.0, 12.0), 1.2)
        with pytest.raises(UsageError, match="12 s are 14 iterations of this preset: give more minutes"):
            jobs._run(job, ground, tmp_path / "work")

    @pytest.mark.parametrize(
        ("other", "said"),
        [
            ({"pairs": ("twins",)}, "no pair is called"),
            ({"pairs": ()}, "at least one"),
            ({"seeds": (0, 0)}, "each seed once"),
            ({"minutes": (0.0,)}, "above 0"),
            ({"jobs": 0}, "above 0"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, tmp_path: Path, other: dict[str, Any], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            Study(tmp_path, tuple(entries(["lite"])), **other)
