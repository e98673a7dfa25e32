"""A clip with cuts, and one extraction and conversion of it by a single process, which others are held against."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fastswap.cluster.backend import Backend
from fastswap.cluster.crew import TaskCrew
from fastswap.conversion import ConvertSettings, convert
from fastswap.extraction import extract
from fastswap.faceset import FaceSet
from fastswap.faceset.format import FaceSetMeta
from fastswap.faceset.scan import ScanSettings
from fastswap.progress import Report, silent
from fastswap.video import open_video

from ..conversion.conftest import MakeInput, make_input, model  # noqa: TID252

__all__ = ["MakeInput", "make_input", "model"]

FRAMES, SHOT = 96, 32
"""Shots begin where parts do, so that a cut lies between two parts."""
PARTS = FRAMES // SHOT
SIZE = (320, 180)


def crew_of(backend: Backend) -> TaskCrew:
    return TaskCrew(backend, least=SHOT)


def frames_of(path: Path) -> list[tuple[Fraction, str]]:
    """When each frame is shown, and a sum over its samples."""
    with open_video(path) as video:
        return [
            (frame.pts * frame.time_base, hashlib.sha256(b"".join(p.numpy() for p in frame.planes.data)).hexdigest())
            for frame in video
        ]


@dataclass(frozen=True)
class Single:
    """What one process makes of a clip with key frames."""

    scan: ScanSettings
    conversion: ConvertSettings
    faces: FaceSet
    frames: list[tuple[Fraction, str]]

    def check_extraction(self, backend: Backend, folder: Path, told: Report = silent) -> None:
        def scan(settings: ScanSettings, meta: FaceSetMeta, report: Report) -> int:
            def tell(done: int, note: str = "") -> None:
                report(done, note)
                told(done, note)

            return crew_of(backend).scan(settings, meta, tell)

        summary = extract(replace(self.scan, folder=folder), quiet=True, scan=scan)
        faces = FaceSet.open(folder)
        assert faces.table.equals(self.faces.table)
        assert faces.meta == self.faces.meta
        assert summary.frames == FRAMES
        for name in faces.table["file"].to_pylist():
            assert (folder / name).read_bytes() == (self.faces.path / name).read_bytes()
        assert not (folder / ".extract").exists()

    def check_conversion(self, backend: Backend, output: Path) -> None:
        summary = convert(replace(self.conversion, output=output), quiet=True, crew=crew_of(backend))
        assert summary.frames == FRAMES
        assert summary.frames_swapped == 2 * SHOT
        assert frames_of(output) == self.frames
        assert [path.name for path in output.parent.iterdir()] == [output.name], "nothing else is left"


def write_shots(videos: Path, path: Path) -> Path:
    """A man, the same man mirrored, who looks like another, and the first again: all their faces in one place."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"g": "16", "x264-params": "scenecut=0"})
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        for shot, step in enumerate((1, -1, 1)):
            with av.open(str(videos / "author_smile.mp4")) as source:
                for number, frame in enumerate(itertools.islice(source.decode(video=0), SHOT)):
                    pixels = frame.to_ndarray(format="rgb24", width=SIZE[0], height=SIZE[1])[:, ::step]
                    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                    picture.pts, picture.time_base = shot * SHOT + number, Fraction(1, 25)
                    output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def single(data: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Single:
    folder = tmp_path_factory.mktemp("single")
    clip = write_shots(data / "videos", folder / "shots.mp4")
    scanning = ScanSettings(clip, folder / "faces", size=64, device="cpu")
    extract(scanning, quiet=True)
    faces = FaceSet.open(folder / "faces")
    assert [faces.table["track"].to_pylist().count(track) for track in range(3)] == 3 * [SHOT], "a cut ends a track"
    settings = ConvertSettings(clip, model, folder / "swapped.mkv", folder / "faces", device="cpu", codec="ffv1")
    convert(settings, quiet=True)
    return Single(scanning, settings, faces, frames_of(settings.output))
