"""The benches: cases are calls that work, nothing is timed that failed its check, records fit their schema, and the
page is what the records say."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fastswap.bench import page, record, run, trace
from fastswap.bench.cases import CASES
from fastswap.bench.clock import DeviceClock
from fastswap.bench.contender import Check, Peer, Trial, ready, shape, trials
from fastswap.bench.schema import problems
from fastswap.bench.table import ratio, seconds, tables
from fastswap.errors import MissingDependencyError, UsageError
from fastswap.ops import OPERATIONS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
SCHEMA = json.loads((RESULTS / "schema.json").read_text(encoding="utf-8"))
RECORDS = sorted(RESULTS.glob("ops-*.json"))


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> run.OpsSummary:
    """A quick run of one operation, in its own process, as `fastswap bench ops` does it."""
    folder = tmp_path_factory.mktemp("bench")
    return run.bench_ops(
        ["blend_poisson"], output=folder / "ops.json", profile=folder / "trace.json", quick=True, quiet=True
    )


def test_every_operation_has_cases_and_a_bench():
    assert set(CASES) == set(run.operations()) == set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_case_is_a_call_that_works_and_knows_its_work(operation):
    case = CASES[operation](32, 2)
    before = [value.clone() for value in case.arguments if hasattr(value, "clone")]
    results = case.results("reference")
    assert all(torch.isfinite(value.float()).all() for value in results)
    assert case.traffic >= sum(value.nbytes for value in results) or operation == "paste"
    assert case.arithmetic > case.products >= 0
    after = [value for value in case.arguments if hasattr(value, "clone")]
    for old, new in zip(before, after, strict=True):  # a check leaves the arguments as they were, also paste's frames
        for a, b in zip(*([v] if isinstance(v, torch.Tensor) else v.data for v in (old, new)), strict=True):
            assert torch.equal(a, b)


def black(case):
    return lambda: torch.zeros_like(case.arguments[0])


WRONG = Peer("wrong", black, lambda result: (result,), 1.0, "paints black")


def test_a_wrong_contender_is_found_out():
    _, check = ready(Trial("sharpen", shape(32, 1), WRONG))
    assert not check.passed
    assert check.mean > 50


def test_a_right_contender_passes():
    _, check = ready(Trial("sharpen", shape(32, 1), "numba"))
    assert check.passed


def test_nan_never_passes():
    nan = float("nan")
    assert not Check(nan, nan, 1.0, "mean").passed
    assert not Check(nan, nan, 1.0, "largest").passed


def test_a_failed_row_has_a_reason_and_no_figures(rehearsal):
    row = {**record.facts(Trial("sharpen", shape(32, 1), WRONG)), "check": None, "reason": "the check failed"}
    measured = {
        "benchmarks": [],
        "commit_info": {"id": "0" * 40, "dirty": False},
        "machine_info": {"fastswap": rehearsal.record["machine"]},
    }
    made = record.made(measured, [row], {"sharpen": {"triton": "no GPU"}}, quick=True)
    assert list(problems(made, SCHEMA)) == []
    assert made["rows"][0]["median"] is None
    assert made["rows"][0]["share"] is None
    assert tables(made)


def test_trials_pair_every_usable_contender_with_every_shape_it_fits():
    gpu_only = Peer("gpu only", black, lambda result: (result,), 1.0, "", devices=("cuda",))
    small = Peer("small", black, lambda result: (result,), 1.0, "", fits=lambda options: options["radius"] == 1)
    absent = Peer("absent", black, lambda result: (result,), 1.0, "", package="no_such_package")
    once = Peer("once", black, lambda result: (result,), 1.0, "", once=True)
    shapes = {"cpu": [shape(32, 1, radius=1), shape(32, 1, radius=2)]}
    found = trials("sharpen", shapes, [gpu_only, small, absent, once], ["cpu"])
    names = [(trial.name, dict(trial.shape.options)["radius"]) for trial in found]
    assert {name for name, _ in names} == {"numba", "reference", "small", "once"}
    assert ("small", 2) not in names
    assert ("once", 2) not in names
    assert not any(trial.graph for trial in found)


def test_a_run_fits_the_schema_and_times_both_sides(rehearsal):
    made = rehearsal.record
    assert list(problems(made, SCHEMA)) == []
    assert {row["contender"] for row in made["rows"]} >= {"numba", "reference", "opencv seamlessClone"}
    assert all(row["reason"] is None and row["median"] > 0 for row in made["rows"])
    assert {ceiling["kind"] for ceiling in made["ceilings"]} == {"copy", "gemm"}
    numba = next(row for row in made["rows"] if row["contender"] == "numba")
    copied = next(c["rate"] for c in made["ceilings"] if c["kind"] == "copy" and c["device"] == "cpu")
    assert numba["share"] == pytest.approx(numba["traffic"] / copied / numba["median"])
    assert torch.cuda.is_available() or made["absent"]["blend_poisson"]["cupy"] == "no GPU"


def test_the_trace_holds_a_range_for_every_implementation(rehearsal):
    events = json.loads(rehearsal.profile.read_text(encoding="utf-8"))["traceEvents"]
    names = [event.get("name") for event in events]
    for impl in ("numba", "reference"):
        assert names.count(f"fastswap.blend_poisson.{impl}") >= trace.CALLS


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_committed_records_fit_the_schema(path):
    made = json.loads(path.read_text(encoding="utf-8"))
    assert list(problems(made, SCHEMA)) == []
    assert not made["quick"], "a rehearsal is no result"
    assert {row["operation"] for row in made["rows"]} <= set(OPERATIONS)


def spoilt(made: dict[str, Any], *where: Any, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(made)
    place = made
    for key in where[:-1]:
        place = place[key]
    if value is None and where[-1] in ("machine", "schema"):
        del place[where[-1]]
    else:
        place[where[-1]] = value
    return made


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("machine",), None),
        (("schema",), 2),
        (("rows", 0, "median"), -1.0),
        (("rows", 0, "median"), float("nan")),
        (("rows", 0, "median"), "fast"),
        (("rows", 0, "rounds"), True),
        (("rows", 0, "kind"), "mine"),
        (("rows", 0, "speed"), 1.0),
        (("rows",), {}),
        (("commit", "dirty"), 0),
        (("absent", "warp"), {"triton": 1}),
    ],
)
def test_the_schema_refuses(rehearsal, where, value):
    assert list(problems(spoilt(rehearsal.record, *where, value=value), SCHEMA))


def test_the_page_is_up_to_date():
    assert (ROOT / page.PAGE).read_text(encoding="utf-8") == page.text(), "run `make kernels-docs`"
    for stem, made in page.records().items():
        for operation in {row["operation"] for row in made["rows"]}:
            assert (ROOT / page.image(stem, operation)).exists(), "run `make kernels-docs`"


def test_the_page_has_every_operation_and_a_line_for_every_kernel():
    text = page.text()
    for operation in OPERATIONS:
        assert f"## {operation}\n" in text
        gpu = [p for p in (ROOT / "kernels" / operation).iterdir() if p.suffix == ".cu" or p.stem.startswith("_triton")]
        assert not gpu or f'ncu --set full --nvtx --nvtx-include "fastswap.{operation}.' in text


def test_the_page_publishes_losses(rehearsal, tmp_path):
    made = copy.deepcopy(rehearsal.record)
    peer = next(row for row in made["rows"] if row["kind"] == "peer")
    ours = [row for row in made["rows"] if row["kind"] == "ours" and row["contender"] != "reference"]
    peer["median"] = min(row["median"] for row in ours) / 2
    (tmp_path / "docs").mkdir()
    (tmp_path / "bench" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "kernels.in.md").write_text((ROOT / page.TEMPLATE).read_text(encoding="utf-8"), "utf-8")
    (tmp_path / "bench" / "results" / "ops-test.json").write_text(json.dumps(made), "utf-8")
    page.write_page(tmp_path)
    lines = (tmp_path / page.PAGE).read_text(encoding="utf-8").splitlines()
    assert any(peer["contender"] in line and "| 0.50 |" in line for line in lines)
    assert "<svg" in (tmp_path / page.image("ops-test", "blend_poisson")).read_text(encoding="utf-8")


def test_ratios_are_to_our_best_on_the_same_device_in_the_same_mode():
    def row(contender: str, kind: str, device: str, mode: str, median: float | None) -> dict[str, Any]:
        return {"contender": contender, "kind": kind, "device": device, "mode": mode, "median": median}

    rows = [
        row("numba", "ours", "cpu", "call", 2.0),
        row("reference", "ours", "cpu", "call", 1.0),
        row("opencv", "peer", "cpu", "call", 3.0),
        row("triton", "ours", "cuda", "graph", 0.5),
        row("torch eager", "peer", "cuda", "graph", 5.0),
        row("broken", "peer", "cpu", "call", None),
        row("alone", "peer", "cuda", "call", 1.0),
    ]
    assert [ratio(rows, each) for each in rows] == [1.0, 0.5, 1.5, 1.0, 10.0, None, None]


@pytest.mark.parametrize(
    ("value", "said"), [(1.5, "1.5 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 us"), (3e-7, "0.3 us"), (None, "-")]
)
def test_seconds(value, said):
    assert seconds(value) == said


def test_the_clock_of_a_gpu_adds_up_neighbouring_events(monkeypatch):
    class Event:
        now = 0.0

        def __init__(self, enable_timing: bool) -> None:
            self.at = 0.0

        def record(self) -> None:
            Event.now += 3.0
            self.at = Event.now

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, other: Event) -> float:
            return other.at - self.at  # ms

    monkeypatch.setattr(torch.cuda, "Event", Event)
    clock = DeviceClock()
    assert [clock() for _ in range(3)] == pytest.approx([0.0, 0.003, 0.006])


def test_an_unknown_operation_is_refused_in_one_line():
    with pytest.raises(UsageError, match=r"no bench of swap: there are augment"):
        run.bench_ops(["swap"])


def test_without_pytest_benchmark_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(run, "_NEEDED", ("pytest", "no_such_package"))
    with pytest.raises(MissingDependencyError, match=r'no_such_package not installed: pip install "fastswap\[bench\]"'):
        run.bench_ops(["warp"])


def test_one_operation_runs_alone_for_nsight_compute():
    done = subprocess.run(
        [sys.executable, "-m", "fastswap.bench.trace", "warp", "no-such"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no-such does not run here" in done.stderr


def test_the_gpu_script_names_its_steps():
    done = subprocess.run(["bash", "bench/gpu.sh", "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True)
    training = ["train-tests", *(f"train-gan-{size}" for size in (128, 256, 512))]
    steps = ["tests", "rooms", "bench", *training, "video", "memcheck", "racecheck"]
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == steps
    assert subprocess.run(["bash", "bench/gpu.sh", "nothing"], cwd=ROOT, capture_output=True).returncode == 2
