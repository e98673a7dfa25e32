"""What the networks are computed in. Weights, moments and losses are float32 always."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fastswap.errors import UsageError

PRECISIONS = ("auto", "bf16", "fp16", "fp32")
_FIRST_SCALE = 2.0**14
_GROWTH, _BACKOFF = 2.0, 0.5
_GROW_EVERY = 2000
"""Steps without an overflow before a larger scale is tried."""


@dataclass(frozen=True)
class Precision:
    """name: bf16 | fp16 | fp32; dtype: what autocast multiplies in, None for float32."""

    name: str
    dtype: torch.dtype | None
    device: torch.device

    def autocast(self, *, enabled: bool = True) -> torch.autocast:
        """The block in which convolutions and linear layers run in the dtype."""
        return torch.autocast(
            self.device.type, self.dtype or torch.bfloat16, enabled=enabled and self.dtype is not None
        )

    def scale(self) -> LossScale | None:
        """A new loss scale, None where the exponents are as wide as float32's."""
        return LossScale(self.device) if self.dtype is torch.float16 else None


def choose_precision(name: str, device: torch.device) -> Precision:
    """ "auto" is bf16 where the hardware multiplies it, else fp16 on a GPU (V100, P100, T4) and fp32 on a CPU. Raises
    UsageError for a name that is none, or that this device only emulates. On a GPU products of float32 are TF32 from
    here on, in the whole process, as cuDNN's convolutions are by torch's default."""
    if name not in PRECISIONS:
        raise UsageError(f"precision is {name}: choose one of {', '.join(PRECISIONS)}")
    native = _has_bf16(device)
    if name == "auto":
        name = "bf16" if native else "fp16" if device.type == "cuda" else "fp32"
    if name == "bf16" and not native:
        raise UsageError(f"this {device.type} has no bf16: choose --precision auto or fp32")
    if name == "fp16" and device.type != "cuda":
        raise UsageError("fp16 is for GPUs without bf16: choose --precision auto")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}
    return Precision(name, dtypes[name], device)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


class LossScale:
    """The factor that keeps float16's small gradients from vanishing (Micikevicius et al. 2017, arXiv 1710.03740): on
    the loss before the backward pass, off the gradients after it. It is halved after a step whose gradients were not
    numbers, which is left out, and doubled after many that were. All on the device: nothing waits to learn of it."""

    def __init__(self, device: torch.device) -> None:
        self.value = torch.full((), _FIRST_SCALE, device=device)
        self.calm = torch.zeros((), dtype=torch.int32, device=device)

    def update(
        self,
        missed: Tensor,  # [], 1 where the step was left out, else 0
    ) -> None:
        torch._amp_update_scale_(self.value, self.calm, missed, _GROWTH, _BACKOFF, _GROW_EVERY)

    def state(self) -> Iterator[tuple[str, Tensor]]:
        yield "scale", self.value
        yield "calm", self.calm
