"""The model folder: what is written is read back, what a stranger wrote is checked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fastswap.errors import DamagedFileError, InputError
from fastswap.models import (
    AVERAGE,
    LITE,
    ModelConfig,
    Preset,
    SideConfig,
    SwapModel,
    TrainedModel,
    newest_checkpoint,
    read_config,
    write_checkpoint,
    write_config,
)
from fastswap.storage import sha256

TINY = dataclasses.replace(
    LITE, name="tiny",
    generator=dataclasses.replace(
        LITE.generator, size_in=32, size_out=32, encoder=(16,), dense=32, seed_size=4, seed_channels=16, shared_up=16,
        decoder=(16,), residual=(1,),
    ),
)  # fmt: skip


def _generator(**change: object) -> Preset:
    return dataclasses.replace(TINY, generator=dataclasses.replace(TINY.generator, **change))  # type: ignore[arg-type]


SIDES = (SideConfig("A", "faces/a", "a.mp4", "0" * 64, 0, 100), SideConfig("B", "faces/b", "b.mp4", "1" * 64, 1, 90))
CONFIG = ModelConfig(TINY, SIDES, "mean478-v1", "oval60-v1", 0.75, 0, 8, 1e-3)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder with one checkpoint of random weights."""
    write_config(tmp_path, CONFIG)
    torch.manual_seed(0)
    tensors = {AVERAGE + name: value for name, value in SwapModel(TINY.generator).state_dict().items()}
    write_checkpoint(tmp_path, 7, tensors, {"elapsed": 1.5}, keep=2)
    return tmp_path


def test_the_configuration_comes_back(model: Path) -> None:
    assert read_config(model) == CONFIG
    assert read_config(model).side("B") == 1
    with pytest.raises(InputError, match="no side 'C': it has A, B"):
        read_config(model).side("C")


def _change(path: str, value: object) -> str:
    content = json.loads(json.dumps(dataclasses.asdict(CONFIG)))
    *parents, last = path.split(".")
    inner = content
    for name in parents:
        inner = inner[int(name) if isinstance(inner, list) else name]
    inner[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "does not describe a model"),
        ("[]", "does not describe a model"),
        (_change("preset.generator.dense", "256"), "preset.generator.dense is '256', not a int"),
        (_change("preset.generator.dense", True), "preset.generator.dense is True"),
        (_change("preset.generator.decoder", [10**9]), "channels outside of"),
        (_change("preset.generator.encoder", 16), "preset.generator.encoder is 16, not a list"),
        (_change("preset.optimisation.betas", [0.5]), "betas has 1 values, not 2"),
        (_change("preset.optimisation.learning_rate", float("inf")), "learning_rate is inf"),
        (_change("sides.0.person", None), r"sides\[0\].person is None"),
        (_change("sides", []), "0 sides"),
        (_change("coverage", 7), "coverage of 7"),
        (_change("command", "rm"), "unknown fields: command"),
        (_change("preset.generator.size_out", 64), "the generator's layers lead from 32 to 32"),
        (_change("preset.generator.stem", 0), "sizes are out of range"),
    ],
)
def test_a_configuration_that_is_not_ours_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DamagedFileError, match=message) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_later_schema_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(_change("schema", 3))
    with pytest.raises(InputError, match="upgrade fastswap"):
        read_config(tmp_path)


def test_no_model_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fastswap train"):
        TrainedModel.open(tmp_path)
    write_config(tmp_path, CONFIG)
    with pytest.raises(InputError, match="no checkpoint yet"):
        TrainedModel.open(tmp_path)


def test_a_trained_model_generates(model: Path) -> None:
    trained = TrainedModel.open(model)
    faces = torch.rand(3, 3, 32, 32)
    colour, mask = trained.generate(faces, 1)
    assert (colour.shape, mask.shape) == ((3, 3, 32, 32), (3, 1, 32, 32))
    assert 0 <= colour.min() <= colour.max() <= 1
    assert trained.iteration == 7
    empty = trained.generate(faces[:0], 0)[0]
    assert empty.shape == (0, 3, 32, 32)
    with pytest.raises(ValueError, match=r"\[N, 3, 32, 32\] expected"):
        trained.generate(torch.rand(1, 3, 64, 64), 0)


def test_weights_come_back_bit_for_bit(model: Path) -> None:
    torch.manual_seed(0)
    expected = SwapModel(TINY.generator).state_dict()
    got = TrainedModel.open(model).network.state_dict()
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_weights_of_another_network_are_damage(model: Path) -> None:
    write_config(model, dataclasses.replace(CONFIG, preset=_generator(dense=64)))
    with pytest.raises(DamagedFileError, match="does not fit"):
        TrainedModel.open(model)


def test_sizes_in_a_configuration_take_no_memory_before_they_are_checked(model: Path) -> None:
    huge = _generator(dense=4096, seed_channels=4096, encoder=(4096,), shared_up=4096)
    write_config(model, dataclasses.replace(CONFIG, preset=huge))
    with pytest.raises(DamagedFileError, match="does not fit"):
        TrainedModel.open(model)


def test_numbers_and_sums_are_kept(model: Path) -> None:
    checkpoint = newest_checkpoint(model)
    assert checkpoint
    assert (checkpoint.iteration, checkpoint.numbers) == (7, {"elapsed": 1.5})
    manifest = json.loads((model / "checkpoints/manifest.json").read_text())
    assert manifest["files"] == {checkpoint.path.name: sha256(checkpoint.path)}


def test_a_kill_before_the_file_is_renamed_leaves_the_one_before(model: Path) -> None:
    path = model / "checkpoints/manifest.json"
    content = json.loads(path.read_text())
    content["files"]["step-00000009.safetensors"] = "0" * 64
    path.write_text(json.dumps(content))
    checkpoint = newest_checkpoint(model)
    assert checkpoint
    assert checkpoint.iteration == 7


def test_a_kill_before_old_files_are_deleted_leaves_them_unread_until_the_next(model: Path) -> None:
    folder = model / "checkpoints"
    (folder / "step-00000099.safetensors").write_bytes((folder / "step-00000007.safetensors").read_bytes())
    checkpoint = newest_checkpoint(model)
    assert checkpoint
    assert checkpoint.path.name == "step-00000007.safetensors", "what the manifest does not list is not read"
    write_checkpoint(model, 8, {}, {}, keep=2)
    names = sorted(p.name for p in folder.glob("*.safetensors"))
    assert names == ["step-00000007.safetensors", "step-00000008.safetensors"]


def test_a_failed_write_leaves_what_was_there(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastswap.models.checkpoints.save_file", full)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(model, 8, {}, {}, keep=1)
    assert [p.name for p in (model / "checkpoints").iterdir() if p.suffix == ".safetensors"] == [
        "step-00000007.safetensors"
    ]
    assert newest_checkpoint(model)


def test_a_safetensors_file_of_another_make_is_passed_over(model: Path) -> None:
    folder = model / "checkpoints"
    save_file({"x": torch.zeros(1)}, folder / "step-00000008.safetensors")
    (folder / "manifest.json").unlink()
    checkpoint = newest_checkpoint(model)
    assert checkpoint
    assert checkpoint.iteration == 7
