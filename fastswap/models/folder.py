"""The model folder's `config.json`: what was trained, on whom, how the faces were cut."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from fastswap.errors import DamagedFileError, InputError
from fastswap.models.spec import Preset
from fastswap.models.strict_json import parse
from fastswap.storage import write_json

SCHEMA = 2
CONFIG_NAME = "config.json"


@dataclass(frozen=True)
class SideConfig:
    """One side: its name ("A"), the face set's folder, the source's name and sha256, the person chosen and how many
    faces of that person there were."""

    name: str
    faces: str
    source: str
    sha256: str
    person: int
    count: int


@dataclass(frozen=True)
class ModelConfig:
    """`config.json`. template and extent: of the alignment, as the face sets have them; coverage: the central share
    of the aligned square that the network sees."""

    preset: Preset
    sides: tuple[SideConfig, ...]
    template: str
    extent: str
    coverage: float
    seed: int
    batch: int
    learning_rate: float
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if not self.sides or not 0 < self.coverage <= 1:
            raise ValueError(f"{len(self.sides)} sides and a coverage of {self.coverage}: out of range")

    def side(self, name: str) -> int:
        """The number of the side called `name`. Raises InputError naming those there are."""
        names = [side.name for side in self.sides]
        if name not in names:
            raise InputError(f"the model has no side '{name}': it has {', '.join(names)}")
        return names.index(name)


def write_config(folder: Path, config: ModelConfig) -> None:
    """Writes `config.json`, atomically."""
    write_json(folder / CONFIG_NAME, dataclasses.asdict(config))


def has_config(folder: Path) -> bool:
    return (folder / CONFIG_NAME).exists()


def read_config(folder: Path) -> ModelConfig:
    """Reads `config.json`. Raises InputError where there is no model or it is of a later schema, DamagedFileError
    where the file is not what `train` writes."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InputError(f"no model at {folder} (it has no {CONFIG_NAME}): make one with `fastswap train -m {folder}`")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema = content["schema"]
        if schema == SCHEMA:
            return parse(ModelConfig, content)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(
            f"{path} does not describe a model ({error}): restore it or train into a new folder"
        ) from error
    advice = "train into a new folder" if isinstance(schema, int) and schema < SCHEMA else "upgrade fastswap"
    raise InputError(f"{path} has schema {schema!r}, this fastswap reads {SCHEMA}: {advice}")
