"""What a preset costs, before anything is trained: layers, parameters, operations, memory. Nothing is computed and no
weight is made: the networks run on tensors that have a shape and no content."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from fastswap.models.attention import SelfAttention
from fastswap.models.discriminator import Discriminator
from fastswap.models.saved import saved_for_backward
from fastswap.models.spec import Preset
from fastswap.models.swap_model import SwapModel

_FLOAT = 4
_MEBIBYTE = 2**20
_PROBES = (1, 3)
"""Faces a side with which the memory is measured: it is a straight line in their number."""


@dataclass(frozen=True)
class Layer:
    """A layer with weights, or attention's products. `output`: shape for one face; `copies`: how many of it there are
    (one a side in decoders and discriminators); `parameters` and `multiply_adds` (for one face) are of one of them."""

    name: str
    kind: str
    output: tuple[int, ...]
    copies: int
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """`parameters` of all sides. `flops`: of one iteration, two a multiply-add, counting convolutions, linear layers
    and attention's products in the forward and backward passes of all networks; `penalties` (what R1 and R2 add) are
    not in `iteration`. `memory_mib`: weights, gradients, two moments a weight and the average in float32; activations:
    what autograd keeps of the networks in bfloat16, where the losses' own and the kernels' scratch memory
    come on top."""

    preset: str
    size: int
    sides: int
    batch: int
    layers: tuple[Layer, ...]
    parameters: dict[str, int]
    flops: dict[str, int]
    memory_mib: dict[str, float]


def summarise(preset: Preset, sides: int = 2, batch: int | None = None) -> Summary:
    """What an iteration with `batch` faces of each side (None: the preset's) takes."""
    batch = batch or preset.batch
    with torch.device("meta"):
        step = _Step(preset, sides, 1)
        flops = {name: _flops(getattr(step, name)) for name in ("generator", "discriminators", "penalised")}
        layers = (*_generator_layers(step), *_discriminator_layers(step))
    plain, penalised = flops["discriminators"], flops.pop("penalised")
    flops = {**flops, "iteration": sum(flops.values()), "penalties": penalised - plain}
    return Summary(
        preset=preset.name,
        size=preset.size_out,
        sides=sides,
        batch=batch,
        layers=layers,
        parameters=step.parameters(),
        flops={name: batch * count for name, count in flops.items()},
        memory_mib={name: round(count / _MEBIBYTE, 1) for name, count in _memory(preset, sides, batch).items()},
    )


class _Step:
    """The forward and backward passes of an iteration, as the engine's step makes them, on pictures without content.
    Losses are left out: sums stand for them."""

    def __init__(self, preset: Preset, sides: int, count: int) -> None:
        self.preset, self.sides = preset, sides
        self.network = SwapModel(preset.generator, sides)
        spec = preset.discriminator
        self.critics = nn.ModuleList() if spec is None else nn.ModuleList(Discriminator(spec) for _ in range(sides))
        self.faces = torch.empty(sides * count, 3, preset.size_in, preset.size_in)
        self.real = torch.empty(sides * count, 3, preset.size_out, preset.size_out)
        self.condition = torch.empty_like(self.real) if spec and spec.conditional else None

    def generator(self) -> None:
        """The generator's passes, through the discriminators where there are any."""
        self.backward(self.forward())

    def forward(self) -> Tensor:
        made = self.network.reconstruct(self.faces)
        judged = self.judge(made.colour)
        if self.critics and self.preset.objective.adversary == "relativistic":
            with torch.no_grad():
                self.judge(self.real)
        return _total([made.colour, made.mask, made.code, *made.auxiliary, *judged])

    def backward(self, loss: Tensor) -> None:
        loss.backward(inputs=list(self.network.parameters()))  # type: ignore[no-untyped-call]

    def discriminators(self) -> None:
        """The discriminators' passes over real and made pictures."""
        if self.critics:
            loss = _total([*self.judge(self.real), *self.judge(self.real)])
            loss.backward()  # type: ignore[no-untyped-call]

    def penalised(self) -> None:
        """The same with the penalties that the preset has."""
        if self.critics:
            self.penalised_forward().backward()  # type: ignore[no-untyped-call]

    def penalised_forward(self) -> Tensor:
        objective, parts = self.preset.objective, []
        for weight in (objective.r1, objective.r2):
            seen = self.real.clone().requires_grad_(bool(weight))
            logits = _total(self.judge(seen))
            parts += [logits, *(torch.autograd.grad(logits, seen, create_graph=True) if weight else ())]
        return _total(parts)

    def judge(self, pictures: Tensor) -> list[Tensor]:
        conditions: Any = self.condition.chunk(self.sides) if self.condition is not None else [None] * self.sides
        groups = zip(self.critics, pictures.chunk(self.sides), conditions, strict=False)
        return [logits for critic, group, given in groups for logits in critic(group, given)]

    def parameters(self) -> dict[str, int]:
        return {"generator": _count(self.network), "discriminators": _count(self.critics)}


def _total(parts: list[Tensor]) -> Tensor:
    return torch.stack([part.float().sum() for part in parts]).sum()


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _flops(work: Any) -> int:
    from torch.utils.flop_counter import FlopCounterMode  # brings triton

    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def _memory(preset: Preset, sides: int, batch: int) -> dict[str, int]:
    """Bytes. The generator's activations wait while the discriminators are trained: the peak has both."""
    few, many = (_activations(preset, sides, count) for count in _PROBES)
    activations = few + (many - few) * (batch - _PROBES[0]) // (_PROBES[1] - _PROBES[0])
    with torch.device("meta"):
        step = _Step(preset, sides, 1)
    weights = _FLOAT * sum(step.parameters().values())
    average = _FLOAT * step.parameters()["generator"] if preset.optimisation.ema else 0
    parts = {"weights": weights, "gradients": weights, "moments": 2 * weights, "average": average}
    parts["activations"] = activations
    return {**parts, "total": sum(parts.values())}


def _activations(preset: Preset, sides: int, count: int) -> int:
    """What autograd keeps, measured with tensors that are fake: bytes of the distinct storages it saves, the weights
    themselves not counted."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # brings all of torch's shape functions

    with FakeTensorMode():
        step = _Step(preset, sides, count)
        weights = [*step.network.parameters(), *step.critics.parameters()]
        with saved_for_backward(weights) as generator, torch.autocast("cpu", torch.bfloat16):
            step.forward()
        with saved_for_backward(weights) as critics, torch.autocast("cpu", torch.bfloat16):
            if step.critics:
                step.penalised_forward()
    return sum(generator.values()) + sum(critics.values())


def _generator_layers(step: _Step) -> list[Layer]:
    encoder, decoder = step.network.encoder, step.network.decoders[0]
    code = encoder(step.faces[:1])
    return [
        *_layers("encoder", encoder, 1, lambda: encoder(step.faces[:1])),
        *_layers("decoder", decoder, step.sides, lambda: decoder(code, auxiliary=True)),
    ]


def _discriminator_layers(step: _Step) -> list[Layer]:
    if not step.critics:
        return []
    critic = step.critics[0]
    condition = None if step.condition is None else step.condition[:1]
    return _layers("discriminator", critic, step.sides, lambda: critic(step.real[:1], condition))


def _layers(prefix: str, module: nn.Module, copies: int, run: Any) -> list[Layer]:
    """The layers of `module` in the order in which `run` calls them."""
    found: list[Layer] = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            own = sum(parameter.numel() for parameter in layer.parameters(recurse=isinstance(layer, nn.Conv2d)))
            shape = tuple(output.shape[1:])
            found.append(Layer(name, type(layer).__name__, shape, copies, own, _multiply_adds(layer, shape)))

        return hook

    hooks = [
        layer.register_forward_hook(note(f"{prefix}.{name}"))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) or any(True for _ in layer.parameters(recurse=False))
    ]
    run()
    for hook in hooks:
        hook.remove()
    return found


def _multiply_adds(layer: nn.Module, output: tuple[int, ...]) -> int:
    if isinstance(layer, nn.Conv2d):
        return prod(output) * layer.in_channels * prod(layer.kernel_size)
    if isinstance(layer, nn.Linear):
        return layer.in_features * layer.out_features
    if isinstance(layer, SelfAttention):
        return 2 * (output[1] * output[2]) ** 2 * layer.out.in_channels
    return 0
