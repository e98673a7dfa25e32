"""The networks, their sizes, and the folder a trained model lives in."""

from fastswap.models.checkpoints import Checkpoint, newest_checkpoint, write_checkpoint
from fastswap.models.discriminator import Discriminator
from fastswap.models.folder import ModelConfig, SideConfig, has_config, read_config, write_config
from fastswap.models.preset import LITE, ORIGINAL, PRESETS, find_preset
from fastswap.models.snapshots import keep_snapshot
from fastswap.models.spec import DiscriminatorSpec, GeneratorSpec, Objective, Optimisation, Preset, Schedule
from fastswap.models.summary import Layer, Summary, summarise
from fastswap.models.swap_model import Reconstruction, SwapModel
from fastswap.models.trained import AVERAGE, WEIGHTS, TrainedModel

__all__ = [
    "AVERAGE",
    "LITE",
    "ORIGINAL",
    "PRESETS",
    "WEIGHTS",
    "Checkpoint",
    "Discriminator",
    "DiscriminatorSpec",
    "GeneratorSpec",
    "Layer",
    "ModelConfig",
    "Objective",
    "Optimisation",
    "Preset",
    "Reconstruction",
    "Schedule",
    "SideConfig",
    "Summary",
    "SwapModel",
    "TrainedModel",
    "find_preset",
    "has_config",
    "keep_snapshot",
    "newest_checkpoint",
    "read_config",
    "summarise",
    "write_checkpoint",
    "write_config",
]
