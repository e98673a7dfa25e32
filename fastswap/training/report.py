"""What a person sees of a training: the preview sheet, the metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap.errors import TrainingError
from fastswap.models import SwapModel
from fastswap.storage import atomic
from fastswap.training.background import Copier, Copies
from fastswap.training.feed import Feed
from fastswap.training.step import Step

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLUMNS = 8
_LABEL = 56
"""Width of the labels' column, pixels."""
_GAP = 2
METRICS_NAME = "metrics.jsonl"


@dataclass(frozen=True)
class Rendering:
    """Rows of tiles on their way from the device: a label, and uint8 [N, size, size, 3], for each."""

    labels: list[str]
    tiles: Copies

    @staticmethod
    def of(rows: Sequence[tuple[str, Tensor]], copier: Copier) -> Rendering:
        """rows: labels and tiles. What the copier copied before is no longer in use."""
        return Rendering(
            [label for label, _ in rows], copier({str(number): tiles for number, (_, tiles) in enumerate(rows)})
        )

    def sheet(self) -> NDArray[np.uint8]:
        """One picture of the rows, uint8 [h, w, 3] RGB, the shorter ones filled up with black, once they are here."""
        tiles = self.tiles.wait()
        rows = [_row(label, tiles[str(number)].numpy()) for number, label in enumerate(self.labels)]
        width = max(row.shape[1] for row in rows)
        return np.concatenate([np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0))) for row in rows])


class Preview:
    """The same faces again and again, as they are and as each side: rows A, A->A, A->B, B, B->B, B->A. `board`: who is
    shown each sheet too, if anybody. What is rendered in the order of the training is written beside it."""

    def __init__(self, feed: Feed, names: Sequence[str], folder: Path) -> None:
        self.names = names
        self.folder = folder
        self.board: Metrics | None = None
        self.faces = [feed.plain(side, min(COLUMNS, count))[1] for side, count in enumerate(feed.counts)]
        self._copier = Copier()

    def render(self, step: Step) -> Rendering:
        """The faces as the step's network sees them now. The rendering before was written."""
        rows = []
        for side, faces in enumerate(self.faces):
            order = [side, *(other for other in range(len(self.faces)) if other != side)]
            labels = [(f"{self.names[side]}->{self.names[other]}", other) for other in order]
            rows += swapped_rows(step.shown, faces, self.names[side], labels, step.preset.size_out)
        return Rendering.of(rows, self._copier)

    def write(self, rendering: Rendering, iteration: int) -> Path:
        """Writes `step-NNNNNNNN.png` and `latest.png`, atomically; returns the former."""
        picture = rendering.sheet()
        for name in (f"step-{iteration:08d}.png", "latest.png"):
            write_png(self.folder / name, picture)
        if self.board is not None:
            self.board.show("preview", picture, iteration)
        return self.folder / f"step-{iteration:08d}.png"


@torch.inference_mode()
def swapped_rows(
    network: SwapModel,
    faces: Tensor,  # [N, 3, size_in, size_in] 0..1
    label: str,
    sides: Sequence[tuple[str, int]],  # the label of a row, and which side it shows
    size: int,
) -> list[tuple[str, Tensor]]:
    """The faces as they are, then as each side: labels, and tiles uint8 [N, size, size, 3] RGB on their device."""
    original = torch.nn.functional.interpolate(faces, size=(size, size), mode="area")
    rows = [(label, _tiles(original))]
    for name, side in sides:
        colour, mask = network(faces.contiguous(memory_format=torch.channels_last), side)
        rows.append((name, _tiles(torch.lerp(original, colour, mask))))
    return rows


def _tiles(faces: Tensor) -> Tensor:
    return (faces.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _row(label: str, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One labelled row, uint8 [size, width, 3] RGB, of tiles [N, size, size, 3]."""
    import cv2

    head = np.zeros((tiles.shape[1], _LABEL, 3), np.uint8)
    cv2.putText(
        head, label, (4, tiles.shape[1] // 2 + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA
    )
    gap = np.zeros((tiles.shape[1], _GAP, 3), np.uint8)
    return np.concatenate([head, *(part for tile in tiles for part in (tile, gap))], axis=1)


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes uint8 [h, w, 3] RGB, atomically."""
    import cv2

    done, data = cv2.imencode(".png", picture[..., ::-1])
    if not done:
        raise TrainingError(f"the preview {path} cannot be encoded as PNG")
    with atomic(path) as temporary:
        temporary.write_bytes(data.tobytes())


class Metrics:
    """`metrics.jsonl` and what TensorBoard shows, in `folder`. Starting at `iteration`, what an earlier run wrote
    beyond it and then lost is taken out."""

    def __init__(self, folder: Path, iteration: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / METRICS_NAME
        self._forget(iteration)
        self.file = self.path.open("a", encoding="utf-8")
        self.board: SummaryWriter = SummaryWriter(str(folder), purge_step=iteration)

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.board.close()

    def write(self, iteration: int, values: dict[str, float]) -> None:
        """One line and one point a curve. The line is flushed whole."""
        self.file.write(json.dumps({"iteration": iteration, **values}) + "\n")
        self.file.flush()
        for name, value in values.items():
            self.board.add_scalar(name, value, iteration)

    def show(self, name: str, picture: NDArray[np.uint8], iteration: int) -> None:
        """A picture, uint8 [h, w, 3] RGB, for TensorBoard."""
        self.board.add_image(name, picture, iteration, dataformats="HWC")

    def _forget(self, iteration: int) -> None:
        if not self.path.exists():
            return
        kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if _iteration(line) <= iteration]
        with atomic(self.path) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _iteration(line: str) -> float:
    """The iteration of a line of metrics; infinite for one that a kill cut short."""
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
