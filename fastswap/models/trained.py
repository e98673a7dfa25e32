"""A trained model, ready to generate faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fastswap.errors import DamagedFileError, InputError
from fastswap.models.checkpoints import newest_checkpoint
from fastswap.models.folder import ModelConfig, read_config
from fastswap.models.swap_model import SwapModel

WEIGHTS = "model."
AVERAGE = "average."
"""Prefixes in a checkpoint: the weights in training, and their moving average where one is kept."""


@dataclass(frozen=True)
class TrainedModel:
    """The network of a model folder with the weights that are shown: the moving average where there is one."""

    folder: Path
    network: SwapModel
    config: ModelConfig
    iteration: int
    device: torch.device

    @staticmethod
    def open(folder: Path | str, device: str | torch.device = "cpu") -> TrainedModel:
        """Reads the newest whole checkpoint of a model folder. Raises InputError where there is none yet,
        DamagedFileError where none is whole or its tensors do not fit the configuration."""
        folder, device = Path(folder), torch.device(device)
        config = read_config(folder)
        checkpoint = newest_checkpoint(folder)
        if checkpoint is None:
            raise InputError(f"the model at {folder} has no checkpoint yet: run `fastswap train -m {folder}` first")
        with torch.device("meta"):  # a stranger's sizes take no memory before the checkpoint is seen to have them
            network = SwapModel(config.preset.generator, len(config.sides))
        try:
            network.load_state_dict(
                checkpoint.tensors(AVERAGE if config.preset.optimisation.ema else WEIGHTS), assign=True
            )
        except RuntimeError as error:
            raise DamagedFileError(
                f"{checkpoint.path} does not fit {folder / 'config.json'}: restore the one that does"
            ) from error
        network.requires_grad_(False).eval()
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return TrainedModel(folder, network, config, checkpoint.iteration, device)

    @torch.inference_mode()
    def generate(self, faces: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """faces [N, 3, size_in, size_in] RGB 0..1, cut with `config.coverage` -> colour [N, 3, size_out, size_out]
        and mask [N, 1, size_out, size_out], 0..1: the same faces as `config.sides[side]`. N may be 0."""
        size, size_out = self.config.preset.size_in, self.config.preset.size_out
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, size, size):
            raise ValueError(f"faces [N, 3, {size}, {size}] expected, got {tuple(faces.shape)}")
        if len(faces) == 0:  # torch's pixel_unshuffle leaves an empty batch as it is
            return faces.new_zeros(0, 3, size_out, size_out), faces.new_zeros(0, 1, size_out, size_out)
        faces = faces.to(self.device, torch.float32).contiguous(memory_format=torch.channels_last)
        colour, mask = self.network(faces, side)
        return colour.contiguous(), mask.contiguous()
