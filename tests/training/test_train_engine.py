"""What a user asks of the engine: optimisers, precision, parts of a batch, a batch that fits the memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from fastswap.errors import TrainingError, UsageError
from fastswap.models import read_config
from fastswap.training import TrainSettings, train
from fastswap.training.examples import Examples
from fastswap.training.step import Step

Settings = Callable[..., TrainSettings]


def _same(one: str, other: str) -> bool:
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "adabelief"},
        {"optimiser": "adamw", "dropout": 0.5, "clip": 0.5},
        {"precision": "fp32", "accumulate": 2},
        {"batch": "auto"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_is_asked_of_the_engine_is_done_and_resumes_to_the_same_bits(
    settings: Settings, changes: dict[str, object], interrupt_at: Callable[[int], None]
) -> None:
    whole = train(settings("whole", **changes))
    interrupt_at(6)
    train(settings("cut", **changes))
    cut = train(settings("cut", **changes))
    assert _same(whole.checkpoint, cut.checkpoint)
    kept = read_config(settings("whole").model)
    assert kept.preset.optimisation.optimiser == changes.get("optimiser", "adam")
    assert kept.preset.optimisation.dropout == changes.get("dropout", 0.0)
    assert kept.batch == (9 if "batch" in changes else 4), "no more than B has faces"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": "sgd"}, "choose one of adam, adamw, adabelief"),
        ({"dropout": 1.0}, "below 1"),
        ({"engine": "graph"}, "on the CPU choose eager or compile"),
        ({"precision": "fp16"}, "for GPUs without bf16"),
        ({"accumulate": 3}, "a batch of 4 is not --accumulate 3 equal parts"),
        ({"accumulate": 0}, "accumulate is 0"),
    ],
)
def test_what_the_engine_cannot_do_is_one_line_and_leaves_no_model(
    settings: Settings, changes: dict[str, object], message: str
) -> None:
    asked = settings(**changes)
    with pytest.raises(UsageError, match=message):
        train(asked)
    assert not list(asked.model.glob("config.json"))


def test_another_optimiser_than_the_models_is_refused(settings: Settings) -> None:
    train(settings(iterations=2))
    with pytest.raises(UsageError, match="is trained by adam, not adabelief"):
        train(settings(optimiser="adabelief"))


def test_memory_that_runs_out_is_one_line_with_the_batch_that_fits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Step.compute

    def compute(self: Step, examples: Examples, terms: frozenset[str]) -> dict[str, torch.Tensor]:
        if len(examples.warped) > 4:
            raise torch.OutOfMemoryError("no room")
        return original(self, examples, terms)

    monkeypatch.setattr(Step, "compute", compute)
    monkeypatch.setattr("fastswap.training.batch.free_memory", lambda device: 2e6)
    with pytest.raises(TrainingError, match=r"too small for a batch of 4: a batch of \d fits: give --batch") as caught:
        train(settings())
    assert "\n" not in str(caught.value)
