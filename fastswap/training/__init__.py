"""Face sets in, a model folder out."""

from fastswap.training.loop import train
from fastswap.training.settings import TrainSettings, TrainSummary

__all__ = ["TrainSettings", "TrainSummary", "train"]
