"""Judging a swap frame by frame against the truth, streaming: nothing is kept of a frame but its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastswap import workers
from fastswap.faces import FaceFinder, Faces, eye_opening, head_pose, mesh_mask, mouth_opening
from fastswap.faces.mesh import REGIONS
from fastswap.ops.planes import Planes
from fastswap.quality import metrics
from fastswap.quality.metrics import Array, Picture

ERODE = 0.02  # of the face's height: what lies this near the oval's edge is the composite's business, see the seam
INNER = 0.14  # of the face's height: further in than the ramp that a swap is pasted by; sharpness is measured there
BAND = 0.04  # of the face's height, to either side of the oval: where a seam would be
CHUNK = 8  # frames the mesh sees at once
_NAN_EXPRESSION = (float("nan"),) * 4


@dataclass(frozen=True)
class Scores:
    """Of one clip. Medians over frames, inside the oval of the truth's face, but for the last two groups.

    psnr: dB, output to truth; margin: that less the untouched input's to the truth, dB: what the swap has gained;
    ssim: 0..1; delta_e, delta_e_p95: CIEDE2000, mean and 95th percentile; sharpness: Laplacian energy over the truth's,
    in the inner part of the face, where nothing of the input shines through; flicker: mean |change of output - change
    of truth| from frame to frame, levels of 255.
    seam_gradient: levels a px in the band round the oval's edge, less the truth's; seam_delta_e: CIEDE2000 from inside
    to outside of that edge, less the truth's: above 0, an edge that should not be there.
    yaw, pitch, mouth, eyes: correlation over time of output and truth; found: share of frames with a face in the
    output.
    """

    frames: int
    psnr: float
    margin: float
    ssim: float
    delta_e: float
    delta_e_p95: float
    sharpness: float
    flicker: float
    seam_gradient: float
    seam_delta_e: float
    yaw: float
    pitch: float
    mouth: float
    eyes: float
    found: float

    def to_json(self) -> dict[str, float | None]:
        """By name; what could not be measured is None."""
        return {name: None if np.isnan(value) else round(value, 4) for name, value in asdict(self).items()}


@dataclass
class _Record:
    """The numbers of one candidate: one entry a frame."""

    values: dict[str, list[float]] = field(default_factory=dict)
    expression: list[tuple[float, ...]] = field(default_factory=list)
    previous: Picture | None = None

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        values = np.asarray(self.values.get(name, []))
        values = values[np.isfinite(values)]
        return float(np.median(values)) if len(values) else float("nan")


class Judge:
    """Compares candidates with the truth.

        judge = Judge(("swap", "constant"))
        for swapped, constant, truth, given in zip(...):
            judge.add({"swap": swapped, "constant": constant}, truth, given)
        judge.scores()["swap"].margin

    Frames in which the truth shows no face are left out. Memory is bounded: CHUNK frames, and some numbers a frame.
    """

    def __init__(self, names: Sequence[str] = ("swap",), finder: FaceFinder | None = None) -> None:
        self.names = tuple(names)
        self._finder = finder or FaceFinder()
        self._records = {name: _Record() for name in self.names}
        self._truth_expression: list[tuple[float, ...]] = []
        self._previous_truth: Picture | None = None
        self._waiting: list[tuple[dict[str, Picture], Picture, Picture]] = []

    def add(self, outputs: Mapping[str, Picture], truth: Picture, given: Picture) -> None:
        """One moment: each candidate's frame by name, the truth's and the untouched input's, RGB uint8 [h, w, 3] of one
        size. Raises ValueError where names or sizes differ."""
        if set(outputs) != set(self.names):
            raise ValueError(f"frames of {sorted(self.names)} are due, got {sorted(outputs)}")
        shapes = {picture.shape for picture in (*outputs.values(), truth, given)}
        if len(shapes) != 1:
            raise ValueError(f"output, truth and input are of one size, got {sorted(shapes)}")
        self._waiting.append((dict(outputs), truth, given))
        if len(self._waiting) == CHUNK:
            self._work()

    def scores(self) -> dict[str, Scores]:
        """What has been added so far, by name."""
        self._work()
        return {name: self._score(record) for name, record in self._records.items()}

    def _work(self) -> None:
        if not self._waiting:
            return
        cores = workers.for_device("cpu")
        outputs = {name: [outputs[name] for outputs, _, _ in self._waiting] for name in self.names}
        truths = [truth for _, truth, _ in self._waiting]
        shown, *found = workers.ordered(self._landmarks, [truths, *outputs.values()], cores)
        regions = [None if face is None else _Region(face, truth) for face, truth in zip(shown, truths, strict=True)]
        self._truth_expression += [_expression(face) for face in shown if face is not None]

        def follow(candidate: tuple[str, list[Tensor | None]]) -> None:
            name, faces = candidate
            self._follow(self._records[name], outputs[name], faces, regions)

        for _ in workers.ordered(follow, zip(self.names, found, strict=True), cores):
            pass
        self._previous_truth = truths[-1]
        self._waiting.clear()

    def _follow(
        self,
        record: _Record,
        outputs: Sequence[Picture],
        faces: Sequence[Tensor | None],
        regions: Sequence[_Region | None],
    ) -> None:
        previous_truth = self._previous_truth
        for output, face, region, (_, truth, given) in zip(outputs, faces, regions, self._waiting, strict=True):
            if region is not None:
                record.expression.append(_expression(face))
                self._compare(record, output, given, region, previous_truth)
            record.previous, previous_truth = output, truth

    def _landmarks(self, pictures: Sequence[Picture]) -> list[Tensor | None]:
        """Of each picture the landmarks [1, 478, 3] of its largest face."""
        stacked = torch.from_numpy(np.stack(pictures))
        faces: Faces = self._finder.find(Planes("rgb", (stacked,)))
        result: list[Tensor | None] = [None] * len(pictures)
        for row, frame in reversed(list(enumerate(faces.frame.tolist()))):
            result[frame] = faces.landmarks[row : row + 1].cpu()
        return result

    def _compare(
        self, record: _Record, output: Picture, given: Picture, region: _Region, previous_truth: Picture | None
    ) -> None:
        out, truth, mask = region.crop(output), region.truth, region.mask
        psnr = metrics.psnr(out, truth, mask)
        difference = metrics.ciede2000(metrics.lab(out[mask > 0]), region.lab)
        record.add(
            psnr=psnr,
            margin=psnr - metrics.psnr(region.crop(given), truth, mask),
            ssim=metrics.ssim(out, truth, mask),
            delta_e=float(difference.mean()) if difference.size else float("nan"),
            delta_e_p95=float(np.percentile(difference, 95)) if difference.size else float("nan"),
            sharpness=metrics.sharpness(out, truth, region.inner),
            seam_gradient=region.edge_gradient(out) - region.true_gradient,
            seam_delta_e=region.edge_step(out) - region.true_step,
        )
        if record.previous is not None and previous_truth is not None:
            change = out.astype(np.float64) - region.crop(record.previous)
            true_change = truth.astype(np.float64) - region.crop(previous_truth)
            record.add(flicker=metrics.weighted_mean(np.abs(change - true_change).mean(axis=2), mask))

    def _score(self, record: _Record) -> Scores:
        truth = np.asarray(self._truth_expression, np.float64).reshape(-1, 4)
        output = np.asarray(record.expression, np.float64).reshape(-1, 4)
        yaw, pitch, mouth, eyes = (metrics.correlation(output[:, k], truth[:, k]) for k in range(4))
        names = (
            "psnr", "margin", "ssim", "delta_e", "delta_e_p95", "sharpness", "flicker", "seam_gradient", "seam_delta_e",
        )  # fmt: skip
        found = float(np.isfinite(output[:, 0]).mean()) if len(output) else float("nan")
        medians = {name: record.median(name) for name in names}
        return Scores(frames=len(output), yaw=yaw, pitch=pitch, mouth=mouth, eyes=eyes, found=found, **medians)


def _expression(landmarks: Tensor | None) -> tuple[float, ...]:
    """yaw, pitch, mouth opening, eye opening."""
    if landmarks is None:
        return _NAN_EXPRESSION
    yaw, pitch, _ = head_pose(landmarks)[0].tolist()
    return yaw, pitch, float(mouth_opening(landmarks)[0]), float(eye_opening(landmarks)[0])


class _Region:
    """The part of a frame about the truth's face, its mask, and the band round the mask's edge."""

    def __init__(self, landmarks: Tensor, truth: Picture) -> None:
        oval = landmarks[0, list(REGIONS["oval"][0]), :2].double().numpy()
        low, high = oval.min(axis=0), oval.max(axis=0)
        height = float((high - low).max())
        margin = np.ceil(2 * BAND * height) + 2
        corner = np.floor(low - margin)
        side = int(np.ceil(height + 2 * margin)) + 1
        matrix = torch.tensor([[[1.0, 0.0, corner[0]], [0.0, 1.0, corner[1]]]])
        whole = mesh_mask(landmarks, matrix, side)[0, 0].numpy()
        self._rows = slice(max(int(corner[1]), 0), min(int(corner[1]) + side, truth.shape[0]))
        self._columns = slice(max(int(corner[0]), 0), min(int(corner[0]) + side, truth.shape[1]))
        first = np.asarray([self._columns.start, self._rows.start])
        rows, columns = self._rows.stop - self._rows.start, self._columns.stop - self._columns.start
        top, left = self._rows.start - int(corner[1]), self._columns.start - int(corner[0])
        inside = (whole[top : top + rows, left : left + columns] > 0.5).astype(np.uint8)
        self.truth = self.crop(truth)
        self.mask = cv2.erode(inside, _disc(ERODE * height)).astype(np.float64)
        self.inner = cv2.erode(inside, _disc(INNER * height)).astype(np.float64)
        band = _disc(BAND * height)
        self._band = (cv2.dilate(inside, band) - cv2.erode(inside, band)).astype(np.float64)
        self.lab = metrics.lab(self.truth[self.mask > 0])
        self._edges = _both_sides(oval - first, BAND * height)
        self.true_gradient, self.true_step = self.edge_gradient(self.truth), self.edge_step(self.truth)

    def crop(self, picture: Picture) -> Picture:
        return picture[self._rows, self._columns]

    def edge_gradient(self, part: Picture) -> float:
        return metrics.weighted_mean(metrics.gradient(part), self._band)

    def edge_step(self, part: Picture) -> float:
        """The mean colour difference from just inside to just outside of the oval, of a slightly blurred picture."""
        smooth = cv2.GaussianBlur(part, (0, 0), 1.5)
        colours = [np.asarray(cv2.remap(smooth, *_columns(edge), cv2.INTER_LINEAR), np.uint8) for edge in self._edges]
        return float(metrics.ciede2000(metrics.lab(colours[0]), metrics.lab(colours[1])).mean())


def _disc(radius: float) -> Picture:
    size = 2 * max(round(radius), 1) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _both_sides(oval: Array, distance: float) -> tuple[Array, Array]:
    """Places [36, 2] as far inside and outside of the oval."""
    outward = oval - oval.mean(axis=0)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    return oval - distance * outward, oval + distance * outward


def _columns(places: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x, y = places.astype(np.float32).T[:, :, None]
    return x, y
