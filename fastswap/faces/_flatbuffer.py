"""What a TFLite file holds: tensors, constants (fp16 and block-sparse ones decoded) and operators with their options.

The schema comes from the `tflite` package; nothing here knows how an operator is computed.
Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/schema/schema.fbs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from flatbuffers import flexbuffers  # type: ignore[import-untyped]
from numpy.typing import NDArray

Constant = NDArray[Any]

_OPTIONS = {
    "CONV_2D": tflite.Conv2DOptions,
    "DEPTHWISE_CONV_2D": tflite.DepthwiseConv2DOptions,
    "MAX_POOL_2D": tflite.Pool2DOptions,
    "ADD": tflite.AddOptions,
    "MUL": tflite.MulOptions,
    "CONCATENATION": tflite.ConcatenationOptions,
    "RESIZE_BILINEAR": tflite.ResizeBilinearOptions,
    "DEPTH_TO_SPACE": tflite.DepthToSpaceOptions,
}
_OPERATOR_NAMES = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
_DTYPES: dict[int, np.dtype[Any]] = {
    tflite.TensorType.FLOAT32: np.dtype("<f4"),
    tflite.TensorType.FLOAT16: np.dtype("<f2"),
    tflite.TensorType.INT32: np.dtype("<i4"),
}


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: `name` is the builtin's, or the custom operator's own; `options` the builtin's option table, or the
    dictionary of a custom one; None where it has none."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


class Graph:
    """The first subgraph of a TFLite file. `shapes` are as stored (NHWC, batch 1); `constants` go by tensor number:
    weights are already dequantised to float32 and dense, so `operators` holds no DEQUANTIZE or DENSIFY of them."""

    def __init__(self, content: bytes) -> None:
        self._model = tflite.Model.GetRootAsModel(content, 0)
        self._graph = self._model.Subgraphs(0)
        tensors = [self._graph.Tensors(i) for i in range(self._graph.TensorsLength())]
        self.shapes = [tuple(int(n) for n in t.ShapeAsNumpy()) if t.ShapeLength() else () for t in tensors]
        self.inputs = tuple(int(i) for i in self._graph.InputsAsNumpy())
        self.outputs = tuple(int(i) for i in self._graph.OutputsAsNumpy())
        self.constants = {i: value for i, t in enumerate(tensors) if (value := self._constant(t)) is not None}
        self.operators = self._fold([self._operator(i) for i in range(self._graph.OperatorsLength())])

    def _constant(self, tensor: Any) -> Constant | None:
        buffer = self._model.Buffers(tensor.Buffer())
        if not buffer.DataLength():
            return None
        values = np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPES[tensor.Type()])
        shape = tuple(tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
        sparsity = tensor.Sparsity()
        return values.reshape(shape) if sparsity is None else _dense(values, shape, sparsity)

    def _operator(self, index: int) -> Operator:
        operator = self._graph.Operators(index)
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        name = _OPERATOR_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        options = None
        if name == "CUSTOM":
            name = code.CustomCode().decode()
            if operator.CustomOptionsLength():
                options = flexbuffers.Loads(operator.CustomOptionsAsNumpy().tobytes())
        elif name in _OPTIONS:
            table = operator.BuiltinOptions()
            options = _OPTIONS[name]()
            options.Init(table.Bytes, table.Pos)
        inputs = tuple(int(i) for i in operator.InputsAsNumpy())
        return Operator(name, inputs, tuple(int(i) for i in operator.OutputsAsNumpy()), options)

    def _fold(self, operators: list[Operator]) -> list[Operator]:
        kept = []
        for operator in operators:
            if operator.name in ("DEQUANTIZE", "DENSIFY") and operator.inputs[0] in self.constants:
                value = self.constants[operator.inputs[0]]
                self.constants[operator.outputs[0]] = (
                    value.astype(np.float32) if operator.name == "DEQUANTIZE" else value
                )
            else:
                kept.append(operator)
        return kept


def _dense(values: Constant, shape: tuple[int, ...], sparsity: Any) -> Constant:
    """The dense array of a block-sparse constant: level by level of the traversal, the position in storage and the
    coordinate of every stored value (the TACO format, https://doi.org/10.1145/3133901)."""
    rank = len(shape)
    order = [int(level) for level in sparsity.TraversalOrderAsNumpy()]
    blocks = [int(d) for d in sparsity.BlockMapAsNumpy()] if sparsity.BlockMapLength() else []
    position = np.zeros(1, np.int64)
    coordinates: list[Constant] = []
    sizes = []
    for depth in range(len(order)):
        level = sparsity.DimMetadata(depth)
        if level.Format() == tflite.DimensionType.DENSE:
            size = level.DenseSize()
            counts = np.full(len(position), size)
            starts = position * size
        else:
            size = 0
            segments = _vector(level.ArraySegmentsType(), level.ArraySegments())
            counts = segments[position + 1] - segments[position]
            starts = segments[position]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        parent = np.repeat(np.arange(len(position)), counts)
        position = starts[parent] + within
        indices = within if size else _vector(level.ArrayIndicesType(), level.ArrayIndices())[position]
        coordinates = [c[parent] for c in coordinates] + [indices]
        sizes.append(size)
    place = [np.zeros(len(position), np.int64) for _ in shape]
    for level_number, coordinate, size in sorted(zip(order, coordinates, sizes, strict=True), key=lambda item: item[0]):
        axis = level_number if level_number < rank else blocks[level_number - rank]
        place[axis] = coordinate if level_number < rank else place[axis] * size + coordinate
    dense = np.zeros(shape, values.dtype)
    dense[tuple(place)] = values[position]
    return dense


def _vector(kind: int, table: Any) -> Constant:
    classes = {
        tflite.SparseIndexVector.Int32Vector: tflite.Int32Vector,
        tflite.SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
        tflite.SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
    }
    vector = classes[kind]()
    vector.Init(table.Bytes, table.Pos)
    values: Constant = vector.ValuesAsNumpy().astype(np.int64)
    return values
