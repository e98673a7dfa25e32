"""What a study's record says: who wins, the page, the schema."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_up import PAIR, SCORES, record, run

from fastswap.bench import docs
from fastswap.bench.quality import page, sheet, verdict
from fastswap.bench.schema import problems
from fastswap.bench.template import RESULTS
from fastswap.models import LITE, Preset

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "bench" / "results" / "quality.schema.json").read_text(encoding="utf-8"))


class TestVerdicts:
    def test_a_curve_is_the_median_and_the_range(self, three_seeds: dict[str, Any]) -> None:
        first, last = verdict.curve(three_seeds, PAIR, "gan-96", "margin")
        assert (first.mark, first.seconds, first.low, first.high) == (60.0, 61.0, 1.0, 1.0)
        assert (last.middle, last.low, last.high, last.seeds) == (3.2, 2.9, 3.4, 3)
        (_, over) = verdict.curve(three_seeds, PAIR, "gan-96", "over_constant")
        assert over.middle == pytest.approx(1.2)

    def test_who_wins_in_what_and_whether_all_seeds_agree(self, three_seeds: dict[str, Any]) -> None:
        found = {each.metric: (each.wins, each.apart) for each in verdict.verdicts(three_seeds)}
        assert found == {
            "margin": (True, True),
            "following": (True, False),
            "sharpness": (False, True),
            "over_constant": (True, False),
        }

    def test_one_seed_agrees_with_nobody(self, gan: Preset) -> None:
        runs = [run(PAIR, label, 0, {"margin": margin}) for label, margin in (("gan-96", 9.0), ("lite-96", 1.0))]
        found = list(verdict.verdicts(record(runs, {"lite-96": LITE, "gan-96": gan}, PAIR)))
        assert [each.wins for each in found if each.metric in ("margin", "over_constant")] == [True, True]
        assert not any(each.apart for each in found)

    def test_noise_is_not_sharper_than_the_truth(self) -> None:
        assert verdict.goodness("sharpness", 1.0) > verdict.goodness("sharpness", 0.7)
        assert verdict.goodness("sharpness", 0.7) > verdict.goodness("sharpness", 1.6)

    def test_an_expression_that_could_not_be_measured_was_not_followed(self) -> None:
        scores = {**SCORES, "eyes": None, "yaw": 1.0, "pitch": 1.0, "mouth": 1.0}
        assert verdict.value("following", scores, {}) == 0.75

    def test_without_ours_there_is_no_verdict(self) -> None:
        made_up = record([run(PAIR, "lite-96", 0, {})], {"lite-96": LITE}, PAIR)
        assert list(verdict.verdicts(made_up)) == []
        assert verdict.last_scores(made_up)["lite-96"]["margin"] == 3.0

    def test_a_changed_gan_is_not_ours(self, gan: Preset) -> None:
        made_up = record([], {"gan-96 batch=4": gan}, PAIR)
        assert verdict.ours(made_up) is None

    def test_the_middle_seed_is_shown(self) -> None:
        assert sheet.middle_seed({0: 3.2, 1: 3.4, 2: 2.9}) == 0
        assert sheet.middle_seed({4: 1.0}) == 4


class TestPage:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "docs").mkdir()
        (tmp_path / "bench" / "results").mkdir(parents=True)
        shutil.copy(ROOT / page.TEMPLATE, tmp_path / page.TEMPLATE)
        return tmp_path

    def test_a_page_says_what_the_record_does(self, root: Path, three_seeds: dict[str, Any]) -> None:
        (root / RESULTS / "quality-test.json").write_text(json.dumps(three_seeds))
        assert page.write_page(root) == 1
        text = (root / page.PAGE).read_text(encoding="utf-8")
        assert "<!--" not in text
        assert "margin **yes** (3.2 to 2.3); following yes (0.662 to 0.65); sharpness **no** (1.6 to 0.7)" in text
        assert "3 of 4 questions are answered with yes." in text
        assert "| constant | 2.00 | 0.000 |" in text
        assert "Eileen Collins, NASA, public domain; Grace Hopper" in text
        assert f"(quality/quality-test-{PAIR}.svg)" in text
        first = (root / page.IMAGES / f"quality-test-{PAIR}.svg").read_bytes()
        page.write_page(root)
        assert (root / page.IMAGES / f"quality-test-{PAIR}.svg").read_bytes() == first

    def test_a_rehearsal_says_so(self, root: Path, three_seeds: dict[str, Any]) -> None:
        (root / RESULTS / "quality-test.json").write_text(json.dumps({**three_seeds, "quick": True}))
        assert "A rehearsal: no figures to keep" in page.text(root)

    def test_without_a_record_the_page_says_so(self, root: Path) -> None:
        assert "No study has been recorded yet." in page.text(root)

    def test_the_page_is_up_to_date(self) -> None:
        assert (ROOT / page.PAGE).read_text(encoding="utf-8") == page.text(ROOT), "run `fastswap bench docs`"
        for stem, made_up in page.records(ROOT).items():
            assert list(problems(made_up, SCHEMA)) == []
            assert not made_up["quick"], "a rehearsal is no result"
            for pair in verdict.pairs(made_up):
                assert (ROOT / page.IMAGES / f"{stem}-{pair}.svg").exists(), "run `fastswap bench docs`"
                assert (ROOT / page.IMAGES / f"{pair}.jpg").exists(), "run the study with --pictures docs/quality"

    def test_pictures_stay_small(self) -> None:
        folder = ROOT / page.IMAGES
        assert sum(path.stat().st_size for path in folder.glob("*")) < 1.5e6 if folder.exists() else True

    def test_all_pages_are_made_together(self, root: Path, three_seeds: dict[str, Any]) -> None:
        (root / RESULTS / "quality-test.json").write_text(json.dumps(three_seeds))
        for template in ("kernels.in.md", "training.in.md", "video.in.md"):
            shutil.copy(ROOT / "docs" / template, root / "docs" / template)
        summary = docs.write_docs(root)
        assert (summary.plots, summary.records) == (1, 1)
        assert all(path.exists() for path in summary.pages)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("runs", 0, "marks", 0, "scores", "margin"), "high"),
        (("runs", 0, "marks", 0, "cpu_seconds"), 0),
        (("runs", 0, "seed"), -1),
        (("pairs", 0, "controls"), {}),
        (("machine", "gpu"), 3),
        (("quick",), 1),
    ],
)
def test_the_schema_refuses(three_seeds: dict[str, Any], where: tuple[Any, ...], value: Any) -> None:
    assert list(problems(three_seeds, SCHEMA)) == []
    spoilt = copy.deepcopy(three_seeds)
    place: Any = spoilt
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    assert list(problems(spoilt, SCHEMA))
