"""The video bench: what takes part, records that fit their schema, what follows from them, and the page."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from fastswap.bench.schema import problems
from fastswap.bench.template import RESULTS
from fastswap.bench.video import page, reading, run
from fastswap.bench.video.device import device_rows, nvdec_limit
from fastswap.bench.video.record import made
from fastswap.bench.video.table import tables
from fastswap.bench.video.trial import CAREFUL, CODEC, OURS, PLAIN, Trial, trials
from fastswap.errors import FastswapError, UsageError

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / RESULTS / "video.schema.json").read_text(encoding="utf-8"))
RECORDS = sorted((ROOT / RESULTS).glob("video-*.json"))


def spread(value: float) -> dict[str, float]:
    return {"median": value, "iqr": 0.1, "min": value, "max": value}


def row(verb: str, contender: str, cpu: float, fps: float, **facts: Any) -> dict[str, Any]:
    usual = {"size": "1080p", "faces": 1, "generator": None, "device": "cpu", "rounds": 3}
    return {**usual, "verb": verb, "contender": contender, "cpu": spread(cpu), "fps": spread(fps), **facts}


@pytest.fixture
def record() -> dict[str, Any]:
    """Made up: ours takes 5 ms between decoder and encoder, the plain one 60, and in place 20."""
    constant, lite = {"generator": "constant"}, {"generator": "lite"}
    inner = {"crop": spread(1.0), "generate": spread(1.0), "paste": spread(2.0), "rest": spread(1.0)}
    rows = [
        *(row("decode", name, cpu, 200.0) for name, cpu in ((CODEC, 10.0), (OURS, 12.0), (PLAIN, 11.0))),
        *(row("encode", name, cpu, 50.0) for name, cpu in ((CODEC, 29.0), (OURS, 31.0), (PLAIN, 33.0))),
        row("extract", OURS, 100.0, 18.0, stages={"detect": spread(20.0), "mesh": spread(10.0), "png": spread(5.0)}),
        row("swap", OURS, 5.0, 200.0, stages=inner, **constant),
        row("swap", PLAIN, 60.0, 16.0, stages={"paste": spread(60.0)}, psnr=41.0, **constant),
        row("swap", CAREFUL, 20.0, 50.0, stages={"paste": spread(20.0)}, psnr=41.0, **constant),
        row("convert", OURS, 50.0, 40.0, **constant),
        row("convert", PLAIN, 100.0, 20.0, **constant),
        row("convert", CAREFUL, 65.0, 30.0, **constant),
        row("convert", OURS, 60.0, 30.0, **lite),
        row("convert", PLAIN, 72.0, 20.0, **lite),
        {**row("decode", f"{OURS}, dali", 1.0, 1.0, device="cuda"), "cpu": None, "fps": None, "reason": "no NVDEC"},
    ]
    clip = {"size": "1080p", "faces": 1, "width": 1920, "height": 1080, "frames": 64, "bits_per_second": 14_000_000}
    found = made(rows, [clip], quick=False)
    found["machine"] = {**found["machine"], "cores": 2}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


class TestTrials:
    def test_all_sizes_and_faces_unless_some_are_asked_for(self) -> None:
        assert len(list(trials((), (), "cpu", quick=False))) == 12
        assert [str(each) for each in trials(["720p"], [1, 4], "cpu", quick=False)] == ["720p, 1 face", "720p, 4 faces"]
        assert [str(each) for each in trials((), (), "cpu", quick=True)] == ["480p, 1 face"]

    def test_what_there_is_not_is_refused(self) -> None:
        with pytest.raises(UsageError, match="no size 4k: there are 480p"):
            list(trials(["4k"], (), "cpu", quick=False))
        with pytest.raises(UsageError, match="--faces 3: each is one of 0, 1, 4"):
            list(trials((), [3], "cpu", quick=False))

    def test_a_network_and_the_careful_plain_one_take_part_where_targets_ask(self) -> None:
        judged, other = Trial("1080p", 1, "cpu", quick=False), Trial("720p", 1, "cpu", quick=False)
        assert (judged.generators, judged.contenders) == (("constant", "lite"), (OURS, PLAIN, CAREFUL))
        assert (other.generators, other.contenders) == (("constant",), (OURS, PLAIN))
        assert Trial("1080p", 1, "cuda", quick=False).contenders == (OURS,)


class TestReading:
    def test_gains_are_of_cpu_time_in_the_same_work(self, record: dict[str, Any]) -> None:
        lite = reading.find(record, "convert", generator="lite")
        assert lite is not None
        assert reading.gain(record, lite) == pytest.approx(72 / 60)
        assert reading.gain(record, lite, CAREFUL) is None

    def test_the_limit_of_a_cpu_is_codecs_and_networks_on_all_cores(self, record: dict[str, Any]) -> None:
        convert, extract = (reading.find(record, verb) for verb in ("convert", "extract"))
        assert convert is not None
        assert extract is not None
        assert reading.limit(record, convert) == (pytest.approx(2000 / (10 + 29 + 1)), "codecs and networks")
        assert reading.limit(record, extract) == (pytest.approx(2000 / (10 + 30)), "codecs and networks")
        assert reading.share(record, convert) == pytest.approx(40 / 50)

    def test_what_takes_most_binds(self, record: dict[str, Any]) -> None:
        found = {name: reading.find(record, "convert", name, generator="constant") for name in (OURS, PLAIN)}
        assert [reading.binds(record, each) for each in found.values() if each] == ["encode", "paste"]

    def test_targets_are_met_or_not(self, record: dict[str, Any]) -> None:
        said = [(each.target, round(each.value, 2), each.passed, each.careful) for each in reading.verdicts(record)]
        assert said == [
            ("10", 12.0, True, 4.0),
            ("1.8", 2.0, True, 1.3),
            ("1.3", 1.2, False, None),
            ("15", 18.0, True, None),
        ]

    def test_a_gpu_decodes_as_fast_as_one_of_its_engines(self) -> None:
        assert nvdec_limit("NVIDIA H200", "1080p") == (7, 771.0)
        assert nvdec_limit("NVIDIA A10", "2160p") == (2, pytest.approx(748 / 4))
        assert nvdec_limit("NVIDIA A100-SXM4-80GB", "1080p") == (5, 771.0)
        assert nvdec_limit("some other card", "1080p") is None
        assert nvdec_limit(None, "1080p") is None

    def test_on_a_gpu_the_slowest_device_binds(self, record: dict[str, Any]) -> None:
        gpu = {"device": "cuda", "stages": {"crop": spread(0.2), "generate": spread(0.3)}, "generator": "constant"}
        extra = [row("swap", OURS, 1.0, 900.0, **gpu), row("convert", OURS, 20.0, 45.0, **{**gpu, "stages": None})]
        extra.append(row("decode", f"{OURS}, dali", 1.0, 700.0, device="cuda"))
        record = {**record, "rows": [*record["rows"], *made(extra, [], quick=False)["rows"]]}
        record["machine"] = {**record["machine"], "gpu": "NVIDIA H200"}
        convert = reading.find(record, "convert", device="cuda")
        assert convert is not None
        assert reading.limit(record, convert) == (50.0, "encoder")
        assert reading.binds(record, convert) == "encode"
        shares = {
            each.text: each.value for each in reading.verdicts(record) if "1080p, " in each.text and "%" in each.target
        }
        assert shares["1080p, decoded by DALI, share of one NVDEC"] == pytest.approx(700 / 771)
        assert shares["1080p, converted on the GPU, share of what binds"] == pytest.approx(0.9)


class TestRecord:
    def test_it_fits_its_schema(self, record: dict[str, Any]) -> None:
        assert list(problems(record, SCHEMA)) == []

    @pytest.mark.parametrize(
        ("where", "value"),
        [
            (("rows", 0, "cpu", "median"), 0),
            (("rows", 0, "contender"), "fast"),
            (("rows", 0, "verb"), "swop"),
            (("rows", 0, "fps", "median"), float("nan")),
            (("rows", 0, "speed"), 1),
            (("clips", 0, "frames"), 0),
            (("encoder", "name"), None),
        ],
    )
    def test_the_schema_refuses(self, record: dict[str, Any], where: tuple[Any, ...], value: Any) -> None:
        spoilt = copy.deepcopy(record)
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
            assert all((ROOT / page.image(stem, size)).exists() for size in page.sizes(content)), said

    def test_it_publishes_losses_and_what_could_not_be_measured(self, record: dict[str, Any], tmp_path: Path) -> None:
        (tmp_path / "docs").mkdir()
        (tmp_path / RESULTS).mkdir(parents=True)
        (tmp_path / page.TEMPLATE).write_text((ROOT / page.TEMPLATE).read_text(encoding="utf-8"), "utf-8")
        (tmp_path / RESULTS / "video-test.json").write_text(json.dumps(record), "utf-8")
        assert page.write_page(tmp_path) == 1
        before = (tmp_path / page.image("video-test", "1080p")).read_bytes()
        page.write_page(tmp_path)
        assert (tmp_path / page.image("video-test", "1080p")).read_bytes() == before
        lines = (tmp_path / page.PAGE).read_text(encoding="utf-8").splitlines()
        assert any("from file to file, `lite`" in line and line.endswith("| 1.3 | 1.2 | **FAIL** |") for line in lines)
        assert any("| 10 | 12 (in place: 4) | PASS |" in line for line in lines)
        assert any("no figure: no NVDEC" in line for line in lines)
        assert any(
            line.startswith("| 1080p, 1 face | **fastswap** | 50 |") and "80% | 2.00 | encode |" in line
            for line in lines
        )


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> run.VideoFigures:
    record = tmp_path_factory.mktemp("rehearsal") / "video.json"
    return run.bench_video(device="cpu", record=record, quick=True, quiet=True)


class TestRun:
    def test_a_rehearsal_measures_everything_once(self, rehearsal: run.VideoFigures) -> None:
        assert rehearsal.output is not None
        content = json.loads(rehearsal.output.read_text(encoding="utf-8"))
        assert content == rehearsal.record
        assert list(problems(content, SCHEMA)) == []
        assert content["quick"]
        measured = [(each["verb"], each["generator"], each["contender"]) for each in content["rows"]]
        swaps = [
            (verb, name, who)
            for name in ("constant", "lite")
            for verb in ("swap", "convert")
            for who in (OURS, PLAIN, CAREFUL)
        ]
        codecs = [(verb, None, who) for verb in ("decode", "encode") for who in (CODEC, OURS, PLAIN)]
        assert measured == [*codecs, ("extract", None, OURS), *swaps]
        assert all(each["reason"] is None for each in content["rows"])

    def test_its_tables_show_every_row_from_file_to_file(self, rehearsal: run.VideoFigures) -> None:
        found = {str(table.title): table.row_count for table in tables(rehearsal.record)}
        assert found == {"decoding": 3, "encoding": 3, "extracting": 1, "converting": 6, "targets": 1}

    def test_an_extraction_is_told_apart(self, rehearsal: run.VideoFigures) -> None:
        (extract,) = (each for each in rehearsal.record["rows"] if each["verb"] == "extract")
        assert set(extract["stages"]) == {"crop", "detect", "mesh", "rest", "png"}
        assert all(extract["stages"][name]["median"] > 0 for name in ("crop", "detect", "mesh", "png"))

    def test_a_decoder_that_is_not_there_has_a_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def none(*_: Any, **__: Any) -> None:
            raise FastswapError("the driver has no video library")

        class Nowhere:
            path = Path("nowhere.mp4")

        monkeypatch.setattr("fastswap.bench.video.device.open_video", none)
        rows = device_rows(Trial("480p", 1, "cuda", quick=True), Nowhere())  # type: ignore[arg-type]
        assert [each["reason"] for each in rows] == ["the driver has no video library"] * 2

    @pytest.mark.gpu
    def test_a_gpu_is_measured(self, cuda: str) -> None:
        found = run.bench_video(device=cuda, quick=True, quiet=True).record
        assert list(problems(found, SCHEMA)) == []
        swaps = [each for each in found["rows"] if each["verb"] == "swap"]
        assert swaps
        assert all(each["device"] == cuda and each["idle"] is not None for each in swaps)
        assert any(each["verb"] == "decode" and each["device"] == cuda for each in found["rows"])
