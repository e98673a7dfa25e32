"""What is exported: a file with the names and shapes its readers expect, which computes what PyTorch does."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastswap.cli.train import Train
from fastswap.errors import FastswapError, InputError, MissingDependencyError, UsageError
from fastswap.faces import landmarks_68, mean_face
from fastswap.models import (
    LITE,
    ORIGINAL,
    WEIGHTS,
    ModelConfig,
    Preset,
    SideConfig,
    SwapModel,
    TrainedModel,
    find_preset,
    write_checkpoint,
    write_config,
)
from fastswap.models import export as exporting
from fastswap.models.dfm import DfmModel, Square, live_square, resampling
from fastswap.models.export import export
from fastswap.storage import sha256

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

_PLAIN = replace(LITE.optimisation, ema=0.0)
TINY = replace(
    LITE, name="tiny", optimisation=_PLAIN,
    generator=replace(
        LITE.generator, size_in=32, size_out=64, encoder=(16,), dense=32, seed_size=4, seed_channels=16, shared_up=16,
        decoder=(16, 16), residual=(1, 0),
    ),
)  # fmt: skip
NARROW = replace(
    ORIGINAL, generator=replace(
        ORIGINAL.generator, encoder=(8, 8, 8, 16), dense=16, seed_channels=16, shared_up=16, decoder=(16, 8, 8)
    ),
)  # fmt: skip
"""`original`, its layers narrower: 330 MB of weights make no better test."""
GAN = find_preset("gan", 64)
_CASES = {
    "tiny": TINY,
    "lite": replace(LITE, optimisation=_PLAIN),
    "original": NARROW,
    "gan": replace(GAN, optimisation=replace(GAN.optimisation, ema=0.0)),
}


def _folder(path: Path, preset: Preset) -> Path:
    """A model folder whose decoders differ and whose pictures have contrast."""
    torch.manual_seed(1)
    network = SwapModel(preset.generator)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.5)
    sides = tuple(SideConfig(name, f"faces/{name}", f"{name}.mp4", "0" * 64, 0, 10) for name in "AB")
    write_config(path, ModelConfig(preset, sides, "mean478-v1", "oval60-v1", preset.coverage, 0, 4, 1e-3))
    write_checkpoint(path, 7, {WEIGHTS + name: value for name, value in network.state_dict().items()}, {}, keep=1)
    return path


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: _folder(root / name, preset) for name, preset in _CASES.items()}


def _session(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _shapes(values: Any) -> dict[str, list[object]]:
    return {value.name: value.shape for value in values}


@pytest.mark.parametrize("name", list(_CASES))
def test_onnx_computes_what_pytorch_does_at_any_batch(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    summary = export(folders[name], tmp_path / "model.onnx")
    assert (summary.format, summary.opset, summary.iteration, summary.side) == ("onnx", 18, 7, "B")
    assert summary.max_difference is not None
    assert summary.max_difference < 1e-5
    model = TrainedModel.open(folders[name])
    size, out = model.config.preset.size_in, model.config.preset.size_out
    session = _session(tmp_path / "model.onnx")
    assert _shapes(session.get_inputs()) == {"faces": ["batch", 3, size, size]}
    assert _shapes(session.get_outputs()) == {"colour": ["batch", 3, out, out], "mask": ["batch", 1, out, out]}
    faces = torch.rand(5, 3, size, size)
    colour, mask = session.run(None, {"faces": faces.numpy()})
    expected = model.generate(faces, 1)
    np.testing.assert_allclose(colour, expected[0], atol=1e-5)
    np.testing.assert_allclose(mask, expected[1], atol=1e-5)
    other = model.generate(faces, 0)
    assert np.abs(colour - other[0].numpy()).max() > 0.05, "it is B's decoder, not A's"


@pytest.mark.parametrize("name", list(_CASES))
def test_dfm_has_deepfacelives_names_and_shapes(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    summary = export(folders[name], tmp_path / "model.dfm")
    assert summary.max_difference is not None
    assert summary.max_difference < 1e-5
    content = onnx.load(tmp_path / "model.dfm")
    onnx.checker.check_model(content, full_check=True)
    assert (content.opset_import[0].version, content.ir_version) == (15, 7), "what onnxruntime 1.11 reads"
    session, size = _session(tmp_path / "model.dfm"), summary.size
    assert size % 16 == 0
    assert _shapes(session.get_inputs()) == {"in_face:0": ["batch", size, size, 3]}
    shapes = _shapes(session.get_outputs())
    assert list(shapes) == ["out_face_mask:0", "out_celeb_face:0", "out_celeb_face_mask:0"]
    assert list(shapes.values()) == [["batch", size, size, channels] for channels in (1, 3, 1)]
    face_mask, celeb, celeb_mask = session.run(None, {"in_face:0": torch.rand(2, size, size, 3).numpy()})
    assert face_mask.shape == celeb_mask.shape == (2, size, size, 1)
    assert celeb.shape == (2, size, size, 3)
    assert np.abs(face_mask - celeb_mask).max() > 0.05, "one is A's, the other B's"


def test_dfm_sees_the_face_where_the_network_does(folders: dict[str, Path]) -> None:
    """A picture that is smooth over the unit square, cut as DeepFaceLive does and as we do: the same face comes out."""
    model = TrainedModel.open(folders["tiny"])
    coverage, size, out = model.config.coverage, 32, 64
    dfm = DfmModel(model.network, coverage, 0, 1)
    theirs, ours = live_square(), Square(0.5, 0.5, coverage)
    celeb = dfm(_painted(theirs, dfm.size).permute(0, 2, 3, 1).flip(3))
    colour, mask = model.generate(_painted(ours, size), 1)
    _, source_mask = model.generate(_painted(ours, size), 0)
    inside = slice(8, -8)
    for got, expected in ((celeb[1].flip(3), colour), (celeb[2], mask), (celeb[0], source_mask)):
        back = _read_back(got.permute(0, 3, 1, 2), theirs, ours, out)
        one, other = (torch.nn.functional.avg_pool2d(x[..., inside, inside], 4) for x in (back, expected))
        apart = (one - other.roll(1, -1))[..., 1:].std()
        assert (one - other).std() < 0.2 * apart, "against what a shift of four pixels makes"


def _painted(square: Square, size: int) -> torch.Tensor:
    x, y = (axis.float() for axis in square.pixels(size))
    rows = [torch.sin(5 * x[None] + 3 * y[:, None] + phase) * 0.4 + 0.5 for phase in (0.0, 1.0, 2.5)]
    return torch.stack(rows)[None]


def _read_back(picture: torch.Tensor, theirs: Square, ours: Square, size: int) -> torch.Tensor:
    """By the sampler of PyTorch, another road than the graph's."""
    x, y = theirs.position(*ours.pixels(size), picture.shape[-1])
    scale = 2 / picture.shape[-1]
    grid = torch.stack(torch.meshgrid((x + 0.5) * scale - 1, (y + 0.5) * scale - 1, indexing="xy"), -1)[None].float()
    return torch.nn.functional.grid_sample(picture, grid, mode="bicubic", align_corners=False)


def test_the_mean_face_lies_in_deepfacelives_square_as_in_its_own_cut() -> None:
    """Its mean eyes, at 0.122 and 0.859 of its unit square, are at (0.122 - 0.5) / 2.2 + 0.5 of what it cuts."""
    square = live_square()
    eyes = landmarks_68(mean_face()[None])[0, [36, 45]].double()
    x, y = square.position(eyes[:, 0], eyes[:, 1], 1)
    np.testing.assert_allclose(x + 0.5, [0.328, 0.663], atol=0.01)
    np.testing.assert_allclose(y + 0.5, [0.407, 0.407], atol=0.015)
    assert square.side == pytest.approx(0.976, abs=1e-3)


def test_masks_end_where_the_network_does_not_look(folders: dict[str, Path]) -> None:
    model = TrainedModel.open(folders["tiny"])
    dfm = DfmModel(model.network, model.config.coverage, 0, 1)
    face_mask, celeb, celeb_mask = dfm(torch.rand(1, dfm.size, dfm.size, 3))
    for mask in (face_mask, celeb_mask):
        assert mask[0, :4].max() == mask[0, :, -4:].max() == 0
    assert celeb[0, :4].min() > 0, "colours go on beyond their border"


def test_resampling_keeps_a_plane_and_an_even_colour() -> None:
    positions = torch.arange(8, dtype=torch.float64) * 1.5 + 4
    rows = resampling(positions, 32, folded=True).double()
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(rows @ torch.arange(32, dtype=torch.float64), positions, atol=1e-3)
    outside = torch.tensor([-9.0, -8.0], dtype=torch.float64)
    assert resampling(outside, 4, folded=True)[:, 0].tolist() == [1, 1]
    assert resampling(outside, 4, folded=False).abs().max() == 0


def test_the_file_says_where_it_comes_from(folders: dict[str, Path], tmp_path: Path) -> None:
    export(folders["tiny"], tmp_path / "model.onnx", side="A")
    note = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert {key: note[key] for key in ("model", "side", "coverage", "template", "extent", "iteration")} == {
        "model": "tiny", "side": "A", "coverage": "0.75", "template": "mean478-v1", "extent": "oval60-v1",
        "iteration": "7",
    }  # fmt: skip
    assert (note["size_in"], note["size_out"]) == ("32", "64")
    assert note["checkpoint_sha256"] == sha256(folders["tiny"] / "checkpoints/step-00000007.safetensors")
    assert note["fastswap"]


def test_what_cannot_be_exported_is_one_line(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"ends in \.dfm or \.onnx"):
        export(folders["tiny"], tmp_path / "model.tflite")
    with pytest.raises(InputError, match="no side 'C'"):
        export(folders["tiny"], tmp_path / "model.onnx", side="C")
    with pytest.raises(InputError, match="no model at"):
        export(tmp_path / "nothing", tmp_path / "model.onnx")
    write_config(tmp_path / "new", TrainedModel.open(folders["tiny"]).config)
    with pytest.raises(InputError, match="no checkpoint yet"):
        export(tmp_path / "new", tmp_path / "model.onnx")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name))
    with pytest.raises(MissingDependencyError, match=r"needs onnx: pip install 'fastswap\[export\]'"):
        export(folders["tiny"], tmp_path / "model.onnx")
    assert not list(tmp_path.rglob("*.onnx"))


def test_the_command_line_exports_a_model_as_it_is(folders: dict[str, Path], tmp_path: Path) -> None:
    summary = Train(model=folders["tiny"], export=tmp_path / "model.onnx", export_side="A").run()
    assert (summary.path, summary.side) == (str(tmp_path / "model.onnx"), "A")
    with pytest.raises(UsageError, match="needs two face sets"):
        Train(model=folders["tiny"]).run()
    with pytest.raises(UsageError, match="ends in"):
        Train(model=folders["tiny"], faces_a=tmp_path, faces_b=tmp_path, export=tmp_path / "model.pt").run()


def test_other_numbers_than_pytorchs_leave_no_file(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_MOST_DIFFERENCE", -1.0)
    (tmp_path / "model.onnx").write_text("the one before")
    with pytest.raises(FastswapError, match="other numbers than PyTorch"):
        export(folders["tiny"], tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_text() == "the one before"
