"""Training as a user meets it: it learns, repeats itself, goes on where it was, and says what is wrong."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from safetensors.torch import load_file

from fastswap.errors import DamagedFileError, InputError, TrainingError, UsageError
from fastswap.models import TrainedModel
from fastswap.training import TrainSettings, train
from fastswap.training.report import Preview, Rendering
from fastswap.training.step import Step

Settings = Callable[..., TrainSettings]


def _tensors(summary_path: str) -> dict[str, torch.Tensor]:
    return load_file(summary_path)


def _same(one: str, other: str) -> bool:
    first, second = _tensors(one), _tensors(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _loss(model: Path, *, last: bool) -> float:
    lines = [json.loads(line) for line in (model / "logs/metrics.jsonl").read_text().splitlines()]
    return float(lines[-1 if last else 0]["loss"])


def test_it_learns_two_faces_and_swaps_them(settings: Settings) -> None:
    asked = settings(iterations=400, save_every=0)
    train(asked)
    assert _loss(asked.model, last=True) < 0.5 * _loss(asked.model, last=False)
    model = TrainedModel.open(asked.model)
    face = cv2.cvtColor(cv2.imread(str(asked.faces_a / "000003_0.png")), cv2.COLOR_BGR2RGB)[8:-8, 8:-8]
    x = torch.from_numpy(cv2.resize(face, (32, 32), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)[None] / 255
    (same, mask), (swapped, _) = model.generate(x, 0), model.generate(x, 1)
    cheek = (slice(None), slice(None), slice(16, 19), slice(9, 11))
    assert same[cheek].mean((0, 2, 3))[0] > same[cheek].mean((0, 2, 3))[2] + 0.1, "A is reddish"
    assert swapped[cheek].mean((0, 2, 3))[2] > swapped[cheek].mean((0, 2, 3))[0] + 0.1, "B is bluish"
    assert mask[0, 0, 16, 16] > 0.8
    assert mask[0, 0, 1, 1] < 0.2


def test_an_interrupted_run_ends_with_the_same_bits(settings: Settings, interrupt_at: Callable[[int], None]) -> None:
    whole = train(settings("whole", iterations=17))
    interrupt_at(7)
    assert train(settings("cut", iterations=17)).interrupted
    cut = train(settings("cut", iterations=17))
    assert (cut.iteration, cut.iterations, cut.interrupted) == (17, 10, False)
    assert _same(whole.checkpoint, cut.checkpoint)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_and_saves(settings: Settings, number: signal.Signals) -> None:
    asked = settings(iterations=100_000, save_every=0)
    before = signal.getsignal(number)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), number))
    timer.start()
    summary = train(asked)
    assert summary.interrupted
    assert 0 < summary.iteration < 100_000
    assert Path(summary.checkpoint).name == f"step-{summary.iteration:08d}.safetensors"
    assert signal.getsignal(number) is before


def test_a_second_signal_leaves_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def insist(self: Step, *arguments: object) -> dict[str, torch.Tensor]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal raises before this")

    monkeypatch.setattr(Step, "compute", insist)
    asked = settings()
    with pytest.raises(KeyboardInterrupt):
        train(asked)
    assert not list(asked.model.rglob("*.partial*"))


def test_the_seed_decides(settings: Settings) -> None:
    one, same, other = (train(settings(name, seed=seed)) for name, seed in (("1", 3), ("2", 3), ("3", 4)))
    assert _same(one.checkpoint, same.checkpoint)
    assert not _same(one.checkpoint, other.checkpoint)


def test_a_finished_model_is_left_alone_and_more_can_be_asked(settings: Settings) -> None:
    done = train(settings())
    again = train(settings())
    assert (again.iterations, again.checkpoint) == (0, done.checkpoint)
    assert train(settings(iterations=15)).iterations == 3


def test_minutes_are_a_budget(settings: Settings) -> None:
    summary = train(settings(iterations=None, minutes=0.03))
    assert 1.8 * 0.5 < summary.seconds < 1.8 * 2
    assert not summary.interrupted


def test_only_the_last_checkpoints_stay(settings: Settings) -> None:
    asked = settings(save_every=2, keep=2)
    train(asked)
    names = sorted(path.name for path in (asked.model / "checkpoints").glob("*.safetensors"))
    assert names == ["step-00000010.safetensors", "step-00000012.safetensors"]
    assert sorted(json.loads((asked.model / "checkpoints/manifest.json").read_text())["files"]) == names


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(
    settings: Settings, interrupt_at: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    whole = train(settings("whole", iterations=17))
    interrupt_at(12)
    cut = train(settings("cut", iterations=17))
    _flip_a_byte(Path(cut.checkpoint))
    resumed = train(settings("cut", iterations=17))
    assert "step-00000012.safetensors is damaged" in caplog.text
    assert resumed.iterations == 7, "from step 10"
    assert _same(whole.checkpoint, resumed.checkpoint)


def test_a_truncated_checkpoint_counts_as_damaged(settings: Settings) -> None:
    done = train(settings())
    with Path(done.checkpoint).open("rb+") as file:
        file.truncate(1000)
    assert train(settings()).iterations == 2


def test_nothing_whole_is_one_line(settings: Settings) -> None:
    asked = settings()
    train(asked)
    for path in (asked.model / "checkpoints").glob("*.safetensors"):
        _flip_a_byte(path)
    with pytest.raises(DamagedFileError, match=r"no checkpoint in .* is whole"):
        train(asked)


def test_a_lost_manifest_costs_a_warning(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    asked = settings()
    train(asked)
    (asked.model / "checkpoints/manifest.json").write_text("{")
    assert train(settings(iterations=14)).iterations == 2
    assert "without their sums" in caplog.text


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)


def test_a_loss_that_is_no_number_never_reaches_a_checkpoint(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = settings(iterations=20, save_every=4)
    original = Step.losses

    def poisoned(self: Step, *arguments: Any) -> dict[str, torch.Tensor]:
        parts = original(self, *arguments)
        count[0] += 1
        return {**parts, "l1": parts["l1"] * float("nan")} if count[0] > 5 else parts

    count = [0]
    monkeypatch.setattr(Step, "losses", poisoned)
    with pytest.raises(TrainingError, match=r"no longer a number at iteration 6 \(.*00000004.* is sound\)"):
        train(asked)
    monkeypatch.setattr(Step, "losses", original)
    resumed = train(asked)
    assert resumed.iterations == 16, "from step 4, the last sound one"


def test_a_loss_that_is_no_number_ends_the_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Step.losses
    nan = lambda self, *a: {**(parts := original(self, *a)), "l1": parts["l1"] * float("nan")}  # noqa: E731
    monkeypatch.setattr(Step, "losses", nan)
    asked = settings(save_every=0)
    with pytest.raises(TrainingError, match=r"no longer a number at iteration 1 \(there is no"):
        train(asked)
    assert not list(asked.model.rglob("*.safetensors"))


def test_the_preview_shows_six_rows(settings: Settings) -> None:
    asked = settings(preview_every=6)
    train(asked)
    folder = asked.model / "previews"
    assert sorted(p.name for p in folder.iterdir()) == ["latest.png", "step-00000006.png", "step-00000012.png"]
    sheet = cv2.imread(str(folder / "latest.png"))
    rows, columns = divmod(sheet.shape[0], 34), divmod(sheet.shape[1] - 56, 34)
    assert (rows, columns) == ((6, 0), (8, 0)), "tiles of 32 px and a gap of 2"
    assert sheet[10, 56:88].std() > 10


def test_metrics_are_one_line_each_and_go_on(settings: Settings) -> None:
    asked = settings(iterations=20)
    train(asked)
    path = asked.model / "logs/metrics.jsonl"
    with path.open("a") as file:
        file.write('{"iteration": 30, "loss": 1}\n{"iterat')
    train(settings(iterations=40))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [10, 20, 30, 40]
    assert all(line["loss"] > 0 and line["egs_per_s"] > 0 for line in lines)
    assert list((asked.model / "logs").glob("events.out.tfevents.*"))


def test_the_report_is_told_how_far_it_is(settings: Settings) -> None:
    told: list[tuple[int, str]] = []
    train(settings(iterations=20), lambda done, note="": told.append((done, note)))
    assert [done for done, _ in told] == [10, 20]
    assert "EGs/s" in told[0][1]


def test_two_trainings_do_not_share_a_folder(settings: Settings) -> None:
    from fastswap.training.signals import locked

    asked = settings()
    with locked(asked.model), pytest.raises(InputError, match="another training"):
        train(asked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"iterations": 5, "minutes": 1.0}, "exclude each other"),
        ({"preset": "huge"}, "no model is called 'huge'"),
        ({"learning_rate": float("nan")}, "learning rate is nan"),
        ({"coverage": 0.2}, "coverage is 0.2"),
        ({"keep": 0}, "keep is 0"),
    ],
)
def test_settings_that_make_no_sense(settings: Settings, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train(settings(**changes))


def test_another_network_is_refused_other_numbers_are_named(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    train(settings())
    with pytest.raises(UsageError, match="is a 'tiny' model of 32 px, not a 'lite' one of 96 px"):
        train(settings(preset="lite"))
    with pytest.raises(UsageError, match="coverage of 0"):
        train(settings(coverage=0.6))
    train(settings(preset=None, batch=3, iterations=14))
    assert "batch was 4 and is now 3" in caplog.text


def test_a_full_disk_is_one_line_and_what_was_saved_stays(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    train(settings())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fastswap.models.checkpoints.save_file", full)
        with pytest.raises(TrainingError, match="make room") as caught:
            train(settings(iterations=14))
    assert "\n" not in str(caught.value)
    assert train(settings(iterations=14)).iterations == 2


def test_a_signal_during_the_preview_loses_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Preview.render

    def render(self: Preview, step: Step) -> Rendering:
        monkeypatch.setattr(Preview, "render", original)
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, step)

    monkeypatch.setattr(Preview, "render", render)
    summary = train(settings(iterations=12, save_every=0, preview_every=7))
    assert (summary.iteration, summary.interrupted) == (7, True)
    assert summary.checkpoint.endswith("step-00000007.safetensors")
