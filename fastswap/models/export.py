"""A trained model as one file for other programs: ONNX, and DeepFaceLive's `.dfm`, which is ONNX too.

Both are written by PyTorch's exporter, whose oldest operators are those of opset 18. DeepFaceLive comes with
onnxruntime 1.11, which reads opset 15 safely: its file is converted down. What was written is read back in onnxruntime
and held against PyTorch before it gets its name.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fastswap.errors import FastswapError, InputError, MissingDependencyError, UsageError
from fastswap.models.checkpoints import checkpoint_path
from fastswap.models.dfm import COVERAGES, INPUTS, OUTPUTS, DfmModel
from fastswap.models.trained import TrainedModel
from fastswap.storage import atomic, sha256

ONNX_OPSET = 18
DFM_OPSET = 15
_DFM_IR = 7
"""The file format's version: the newest that onnxruntime 1.11 is certain to read."""
_MOST_DIFFERENCE = 1e-3
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportSummary:
    """What was exported. side: whose faces it makes; size: of the faces that go in, pixels; max_difference: the
    greatest between onnxruntime's outputs and PyTorch's, None where onnxruntime is not installed."""

    path: str
    format: str
    opset: int
    model: str
    iteration: int
    side: str
    size: int
    max_difference: float | None


@dataclass(frozen=True)
class _Graph:
    """What is exported: a module, an example of its input, and the names."""

    module: nn.Module
    example: Tensor
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int


class OnnxModel(nn.Module):
    """The network as one side: faces [N, 3, in, in] RGB 0..1 -> colour [N, 3, out, out] and mask [N, 1, out, out]."""

    def __init__(self, network: nn.Module, side: int) -> None:
        super().__init__()
        self.network, self.side = network, side

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        colour, mask = self.network(faces, self.side)
        return colour, mask


def check_export(path: Path) -> None:
    """Raises UsageError where no format has the suffix of `path`, MissingDependencyError where the exporter is not
    installed: before a training, not after it."""
    if path.suffix not in _FORMATS:
        raise UsageError(f"{path}: a model is exported to a file that ends in {' or '.join(sorted(_FORMATS))}")
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(f"exporting needs {' and '.join(missing)}: pip install 'fastswap[export]'")


def export(folder: Path, path: Path, side: str = "B") -> ExportSummary:
    """Writes the newest checkpoint of the model in `folder` to `path`, as its suffix says, atomically: `.onnx`, or
    `.dfm` for DeepFaceLive.

    Raises what `check_export` raises, InputError where the model has no checkpoint, no such side or `path` cannot be
    written, FastswapError where onnxruntime gives other numbers than PyTorch."""
    check_export(path)
    model = TrainedModel.open(folder)
    number = model.config.side(side)
    graph = _FORMATS[path.suffix](model, number)
    content = _content(graph)
    for name, value in _metadata(model, side).items():
        entry = content.metadata_props.add()
        entry.key, entry.value = name, value
    try:
        with atomic(path) as temporary:
            temporary.write_bytes(content.SerializeToString())
            difference = _difference(graph, temporary)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    size = graph.example.shape[-2]
    if path.suffix == ".dfm":
        _LOG.info("for DeepFaceLive's aligner: face coverage %s, or %s with the Google FaceMesh marker", *COVERAGES)
    return ExportSummary(str(path), path.suffix[1:], graph.opset, str(folder), model.iteration, side, size, difference)


def _onnx(model: TrainedModel, side: int) -> _Graph:
    size = model.config.preset.size_in
    module = OnnxModel(model.network, side)
    return _Graph(module, torch.rand(2, 3, size, size), ("faces",), ("colour", "mask"), ONNX_OPSET)


def _dfm(model: TrainedModel, side: int) -> _Graph:
    source = next((other for other in range(len(model.config.sides)) if other != side), side)
    module = DfmModel(model.network, model.config.coverage, source, side)
    return _Graph(module, torch.rand(2, module.size, module.size, 3), INPUTS, OUTPUTS, DFM_OPSET)


_FORMATS = {".onnx": _onnx, ".dfm": _dfm}


def _content(graph: _Graph) -> Any:
    """The graph as an `onnx.ModelProto`, its batch of any size."""
    import onnx
    from onnx import version_converter

    with _quiet():
        program = torch.onnx.export(
            graph.module.eval(), (graph.example,), input_names=list(graph.inputs), output_names=list(graph.outputs),
            opset_version=ONNX_OPSET, dynamo=True, dynamic_shapes=({0: "batch"},), verbose=False,
        )  # fmt: skip
    assert program is not None
    content = program.model_proto
    if graph.opset != ONNX_OPSET:
        content = version_converter.convert_version(content, graph.opset)
        content.ir_version = _DFM_IR
        _drop_later_attributes(content)
    onnx.checker.check_model(content)
    return content


def _drop_later_attributes(content: Any) -> None:
    """The converter turns axes of a mean back into an attribute, and leaves one that came with opset 18."""
    for node in content.graph.node:
        if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum":
            kept = [attribute for attribute in node.attribute if attribute.name != "noop_with_empty_axes"]
            del node.attribute[:]
            node.attribute.extend(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on torchvision and on its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _metadata(model: TrainedModel, side: str) -> dict[str, str]:
    config = model.config
    return {
        "fastswap": version("fastswap"),
        "model": config.preset.name,
        "side": side,
        "coverage": str(config.coverage),
        "template": config.template,
        "extent": config.extent,
        "size_in": str(config.preset.size_in),
        "size_out": str(config.preset.size_out),
        "iteration": str(model.iteration),
        "checkpoint_sha256": sha256(checkpoint_path(model.folder, model.iteration)),
    }


def _difference(graph: _Graph, path: Path) -> float | None:
    """The greatest difference between the file's outputs and the module's, over batches of one and three. Raises
    FastswapError where it is more than rounding."""
    if importlib.util.find_spec("onnxruntime") is None:
        _LOG.warning("onnxruntime is not installed: what was exported is not verified")
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    greatest = 0.0
    for count in (1, 3):
        faces = torch.rand(count, *graph.example.shape[1:], generator=generator)
        outputs = session.run(list(graph.outputs), {graph.inputs[0]: faces.numpy()})
        with torch.inference_mode():
            expected = graph.module(faces)
        for output, reference in zip(outputs, expected, strict=True):
            greatest = max(greatest, float((torch.from_numpy(output) - reference).abs().max()))
    if not greatest <= _MOST_DIFFERENCE:
        raise FastswapError(f"onnxruntime gives other numbers than PyTorch, by up to {greatest:.2g}: not exported")
    return greatest
