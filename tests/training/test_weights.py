"""Weights from elsewhere, and weights that stay: another model's parts, and parts that are not trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fastswap.errors import InputError, UsageError
from fastswap.models import PRESETS, DiscriminatorSpec, read_config
from fastswap.training import TrainSettings, train
from fastswap.training.step import Step
from fastswap.training.weights import frozen_prefixes, load_weights

Settings = Callable[..., TrainSettings]


def _tensors(checkpoint: str | Path, prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in load_file(checkpoint).items() if name.startswith(prefix)}


def _equal(one: str | Path, other: str | Path, prefix: str) -> bool:
    first, second = _tensors(one, prefix), _tensors(other, prefix)
    assert first, prefix
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def _steps(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob("*.safetensors"))


def test_parts_have_names_and_all_but_turns_them_round() -> None:
    sides = ["A", "B"]
    assert frozen_prefixes((), sides) == ()
    assert frozen_prefixes(("encoder", "decoder-b"), sides) == ("encoder.", "decoders.1.")
    assert frozen_prefixes(("all-but-decoder-b",), sides) == ("encoder.", "decoders.0.")
    with pytest.raises(UsageError, match="no 'decoder-c' to freeze: choose of encoder, decoder-a, decoder-b"):
        frozen_prefixes(("decoder-c",), sides)
    with pytest.raises(UsageError, match="everything is frozen"):
        frozen_prefixes(("encoder", "all-but-encoder"), sides)


def test_frozen_parts_stay_bit_for_bit_and_the_others_are_trained(settings: Settings) -> None:
    asked = settings(iterations=6, save_every=3, keep=9, freeze=("encoder", "decoder-a"))
    train(asked)
    first, last = _steps(asked.model)
    for prefix in ("model.encoder.", "model.decoders.0.", "average.encoder.", "average.decoders.0."):
        assert _equal(first, last, prefix)
    for prefix in ("model.decoders.1.", "average.decoders.1."):
        assert not _equal(first, last, prefix)
    assert not _tensors(last, "generator.exp_avg.encoder."), "no moments for what is not moved"


def test_freezing_is_switched_on_and_off_between_runs(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    one = train(settings(iterations=3, save_every=0, keep=9)).checkpoint
    two = train(settings(iterations=6, save_every=0, keep=9, freeze=("encoder",))).checkpoint
    assert _equal(one, two, "model.encoder.")
    assert _equal(one, two, "average.encoder.")
    assert not _equal(one, two, "model.decoders.0.")
    with caplog.at_level("INFO"):
        three = train(settings(iterations=9, save_every=0, keep=9)).checkpoint
    assert "trained again: their moments begin anew" in caplog.text
    assert not _equal(two, three, "model.encoder.")
    steps = _tensors(three, "generator.step.")
    assert {float(value) for name, value in steps.items() if ".encoder." in name} == {3.0}
    assert {float(value) for name, value in steps.items() if ".decoders." in name} == {9.0}


def test_a_frozen_run_that_was_cut_ends_with_the_same_bits(settings: Settings) -> None:
    asked = settings("whole", iterations=8, save_every=4, freeze=("encoder",))
    whole = train(asked)
    shutil.copytree(asked.model, settings("cut").model)
    _steps(settings("cut").model)[-1].unlink()
    cut = train(settings("cut", iterations=8, save_every=4, freeze=("encoder",)))
    assert cut.iterations == 4
    assert _equal(whole.checkpoint, cut.checkpoint, "")


def test_a_new_model_starts_with_what_the_other_shows(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    source = train(settings("source", save_every=0))
    parts = {"load_weights": settings("source").model, "freeze": ("all-but-decoder-b",)}
    with caplog.at_level("INFO"):
        train(settings("new", iterations=1, seed=5, **parts))
    assert "loaded encoder, decoder-a, decoder-b of" in caplog.text
    (made,) = _steps(settings("new").model)
    theirs = _tensors(source.checkpoint, "average.")
    for name, tensor in theirs.items():
        if ".decoders.1." not in name:
            assert torch.equal(tensor, _tensors(made, name)[name])
            assert torch.equal(tensor, load_file(made)[name.replace("average.", "model.", 1)])
    train(settings("new", iterations=3, seed=5, **parts))
    assert caplog.text.count("loaded encoder") == 1, "a model that goes on keeps its own weights"


def test_only_the_parts_asked_for_are_loaded(settings: Settings) -> None:
    source = train(settings("source", save_every=0))
    train(settings("plain", iterations=1, freeze=("all-but-decoder-b",)))
    train(
        settings(
            "new",
            iterations=1,
            load_weights=settings("source").model,
            load_parts=("encoder",),
            freeze=("all-but-decoder-b",),
        )
    )
    (plain,), (new,) = _steps(settings("plain").model), _steps(settings("new").model)
    assert _equal(plain, new, "model.decoders.0."), "as the seed has it"
    assert not _equal(plain, new, "model.encoder.")
    theirs = {name.replace("average.", "model.", 1): t for name, t in _tensors(source.checkpoint, "average.").items()}
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in _tensors(new, "model.encoder.").items())


def test_parts_of_another_shape_are_named_and_may_be_left_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = PRESETS["tiny"][32]
    wide = replace(tiny, name="wide", generator=replace(tiny.generator, decoder=(24,)))
    monkeypatch.setitem(PRESETS, "wide", {32: wide})
    train(settings("source", iterations=1))
    loads = {"preset": "wide", "iterations": 1, "load_weights": settings("source").model}
    with pytest.raises(
        UsageError, match=r"has no decoder-a, decoder-b of these shapes: leave them out with --load-parts enc"
    ):
        train(settings("new", **loads))
    assert not _steps(settings("new").model)
    train(settings("new", load_parts=("encoder",), **loads))
    assert len(_steps(settings("new").model)) == 1


def test_discriminators_come_along_where_both_models_have_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny, cpu = PRESETS["tiny"][32], torch.device("cpu")
    judged = replace(
        tiny,
        name="judged",
        discriminator=DiscriminatorSpec(size=32, channels=(8, 16)),
        objective=replace(tiny.objective, adversary="hinge", adversarial=0.1),
    )
    monkeypatch.setitem(PRESETS, "judged", {32: judged})
    made = train(settings("judged", preset="judged", iterations=1)).checkpoint
    train(settings("plain", iterations=1))
    config = read_config(settings("judged").model)
    step = Step(judged, 2, 5, cpu)
    load_weights(step, config, settings("plain").model, ())
    with pytest.raises(UsageError, match="has no discriminators of these shapes"):
        load_weights(step, config, settings("plain").model, ("discriminators",))
    theirs = _tensors(made, "discriminators.")
    assert not all(torch.equal(tensor, theirs[name]) for name, tensor in step.state().items() if name in theirs)
    load_weights(step, config, settings("judged").model, ())
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in step.state().items() if name in theirs)


def test_what_cannot_be_loaded_is_one_line(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model at"):
        train(settings(load_weights=tmp_path / "nowhere"))
    train(settings("source", iterations=1))
    with pytest.raises(UsageError, match="no 'nose' to load: choose of encoder, decoder-a, decoder-b"):
        train(settings(load_weights=settings("source").model, load_parts=("nose",)))
    with pytest.raises(UsageError, match="give both"):
        train(settings(load_parts=("encoder",)))
