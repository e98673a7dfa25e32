"""A TFLite graph as a batched PyTorch module.

TFLite counts NHWC and a batch of one; here activations are NCHW tensors in channels_last memory (the same bytes) and
the batch is free. Padding, fused activations and the three custom operators of the attention mesh behave as in the
original runtime; test_networks.py holds the outputs against numbers computed by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import tflite
import torch
from torch import Tensor, nn

from fastswap.faces._flatbuffer import Graph, Operator
from fastswap.faces._mesh_operators import LandmarksToMatrix, TransformBilinear, TransformLandmarks
from fastswap.faces._operators import (
    Add,
    Concatenate,
    Convolution,
    DepthToSpace,
    MaxPool,
    Pad,
    PReLU,
    Reshape,
    Resize,
    Scale,
    nhwc,
)

_RELU = tflite.ActivationFunctionType.RELU
_ACTIVATIONS = {tflite.ActivationFunctionType.NONE, _RELU}


class Network(nn.Module):
    """The graph in a TFLite file. `forward` takes float32 [N, C, H, W] and returns every output, batch first, in the
    file's order and NHWC layout. No gradients; N may be 0."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        graph = Graph(content)
        builder = _Builder(graph)
        self.steps = nn.ModuleList(step for step, _, _ in builder.steps)
        self._plan = [(inputs, output) for _, inputs, output in builder.steps]
        self._source = graph.inputs[0]
        self._outputs = [builder.alias(i) for i in graph.outputs]
        self._finished = _last_uses(self._plan, self._outputs)
        self._types = [torch.float32] * len(self._plan)
        self.eval()

    def reduce(self, dtype: torch.dtype) -> Network:
        """Has features computed in float16 or bfloat16. Coordinates stay in float32, from the convolution that they
        come out of: of 192 pixels, ten bits are an eighth of one. Returns itself."""
        exact = set(self._outputs)
        for number, (step, (inputs, output)) in reversed(list(enumerate(zip(self.steps, self._plan, strict=True)))):
            if output in exact or isinstance(step, LandmarksToMatrix):
                exact.update(() if isinstance(step, Convolution) else inputs)
            else:
                self._types[number] = dtype
                step.to(dtype)
        return self

    @torch.inference_mode()
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        values = {self._source: x.contiguous(memory_format=torch.channels_last)}
        for step, (inputs, output), finished, dtype in zip(
            self.steps, self._plan, self._finished, self._types, strict=True
        ):
            values[output] = step(*(values[i].to(dtype) for i in inputs))
            for tensor in finished:
                del values[tensor]
        return tuple(nhwc(values[i]) for i in self._outputs)


def _last_uses(plan: list[tuple[tuple[int, ...], int]], outputs: list[int]) -> list[tuple[int, ...]]:
    """For every step the tensors that no later step reads, so that they are let go."""
    finished: list[tuple[int, ...]] = []
    needed = set(outputs)
    for inputs, _ in reversed(plan):
        finished.append(tuple(set(inputs) - needed))
        needed.update(inputs)
    return finished[::-1]


class _Builder:
    """Turns operators into steps (module, inputs, output): paddings go into the convolution that reads them, a ReLU of
    its own into the step before it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[tuple[nn.Module, tuple[int, ...], int]] = []
        self._aliases: dict[int, int] = {}
        self._padded: dict[int, np.ndarray] = {}
        self._uses = Counter(i for operator in graph.operators for i in operator.inputs)
        self._uses.update(graph.outputs)
        readers: dict[int, set[str]] = {}
        for operator in graph.operators:
            readers.setdefault(operator.inputs[0], set()).add(operator.name)
        self._readers = readers
        for operator in graph.operators:
            self._build(operator)

    def alias(self, tensor: int) -> int:
        """The tensor that stands for `tensor` after folding."""
        return self._aliases.get(tensor, tensor)

    def _build(self, operator: Operator) -> None:
        if operator.name not in _BUILDERS:
            raise NotImplementedError(f"the TFLite operator {operator.name} is not known here")
        module = _BUILDERS[operator.name](self, operator)
        if module is not None:
            inputs = tuple(self.alias(i) for i in operator.inputs if i not in self.graph.constants)
            self.steps.append((module, inputs, operator.outputs[0]))

    def convolution(self, operator: Operator) -> nn.Module:
        source, weight, *bias = operator.inputs
        options, kernel = operator.options, self.graph.constants[weight]
        groups = 1
        if operator.name == "DEPTHWISE_CONV_2D":
            kernel, groups = kernel.transpose(3, 1, 2, 0), self.graph.shapes[source][3]
        stride = (options.StrideH(), options.StrideW())
        dilation = (options.DilationHFactor(), options.DilationWFactor())
        pad = np.zeros((2, 2), np.int64)
        if options.Padding() == tflite.Padding.SAME:
            sizes = zip(self.graph.shapes[source][1:3], kernel.shape[1:3], stride, dilation, strict=True)
            pad += np.array([_same(*size) for size in sizes])
        if source in self._padded:
            pad += self._padded[source]
        bias_values = self.graph.constants[bias[0]] if bias else None
        (top, bottom), (left, right) = pad.tolist()
        return Convolution(kernel, bias_values, groups, stride, dilation, (top, bottom, left, right), _is_relu(options))

    def pad(self, operator: Operator) -> nn.Module | None:
        source, pads = operator.inputs[0], self.graph.constants[operator.inputs[1]]
        output = operator.outputs[0]
        if not pads[[0, 3]].any() and self._readers[output] <= {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            self._padded[output] = pads[1:3]
            self._aliases[output] = self.alias(source)
            return None
        return Pad(pads)

    def relu(self, operator: Operator) -> nn.Module | None:
        source = self.alias(operator.inputs[0])
        before = next((m for m, _, out in self.steps if out == source), None)
        if isinstance(before, Convolution | Add) and self._uses[operator.inputs[0]] == 1:
            before.relu = True
            self._aliases[operator.outputs[0]] = source
            return None
        return nn.ReLU()

    def max_pool(self, operator: Operator) -> nn.Module:
        options = operator.options
        kernel, stride = (options.FilterHeight(), options.FilterWidth()), (options.StrideH(), options.StrideW())
        sizes = zip(self.graph.shapes[operator.inputs[0]][1:3], kernel, stride, (1, 1), strict=True)
        if options.Padding() == tflite.Padding.SAME and any(sum(_same(*size)) for size in sizes):
            raise NotImplementedError("MAX_POOL_2D with padding")
        return MaxPool(kernel, stride)

    def resize(self, operator: Operator) -> nn.Module:
        height, width = self.graph.constants[operator.inputs[1]].tolist()
        return Resize((height, width), operator.options)

    def slice(self, operator: Operator) -> None:
        if self.graph.shapes[operator.inputs[0]] != self.graph.shapes[operator.outputs[0]]:
            raise NotImplementedError("STRIDED_SLICE that is not the whole tensor")
        self._aliases[operator.outputs[0]] = self.alias(operator.inputs[0])


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's SAME padding (before, after): the odd sample goes after."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _is_relu(options: tflite.Conv2DOptions) -> bool:
    activation = options.FusedActivationFunction()
    if activation not in _ACTIVATIONS:
        raise NotImplementedError(f"fused activation {activation}")
    return bool(activation == _RELU)


_BUILDERS: Mapping[str, Callable[[_Builder, Operator], nn.Module | None]] = {
    "CONV_2D": _Builder.convolution,
    "DEPTHWISE_CONV_2D": _Builder.convolution,
    "PAD": _Builder.pad,
    "RELU": _Builder.relu,
    "MAX_POOL_2D": _Builder.max_pool,
    "RESIZE_BILINEAR": _Builder.resize,
    "STRIDED_SLICE": _Builder.slice,
    "ADD": lambda _, operator: Add(_is_relu(operator.options)),
    "MUL": lambda builder, operator: Scale(builder.graph.constants[operator.inputs[1]]),
    "PRELU": lambda builder, operator: PReLU(builder.graph.constants[operator.inputs[1]]),
    "RESHAPE": lambda builder, operator: Reshape(builder.graph.shapes[operator.outputs[0]]),
    "DEPTH_TO_SPACE": lambda _, operator: DepthToSpace(operator.options.BlockSize()),
    "CONCATENATION": lambda builder, operator: Concatenate(
        operator.options.Axis(), len(builder.graph.shapes[operator.outputs[0]])
    ),
    "Landmarks2TransformMatrix": lambda _, operator: LandmarksToMatrix(operator.options),
    "TransformTensorBilinear": lambda _, operator: TransformBilinear(operator.options),
    "TransformLandmarks": lambda _, operator: TransformLandmarks(),
}
