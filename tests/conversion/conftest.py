"""A model of noise, and clips with a face set that says where faces would be: what a conversion needs, in a second."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from fastswap.faces import EXTENT, TEMPLATE, align, mean_face
from fastswap.faceset.format import META_NAME, TABLE_NAME, FaceSetMeta, table_schema
from fastswap.faceset.scan import describe_source
from fastswap.models import LITE, WEIGHTS, ModelConfig, SideConfig, SwapModel, write_checkpoint, write_config
from fastswap.storage import write_json
from fastswap.video import open_video

TINY = replace(
    LITE, name="tiny", optimisation=replace(LITE.optimisation, ema=0.0),
    generator=replace(
        LITE.generator, size_in=32, size_out=64, encoder=(16,), dense=32, seed_size=4, seed_channels=16, shared_up=16,
        decoder=(16, 16), residual=(1, 0),
    ),
)  # fmt: skip
FPS = 25
SOUND_RATE = 48000


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose faces are noise."""
    path = tmp_path_factory.mktemp("model") / "tiny"
    torch.manual_seed(1)
    network = SwapModel(TINY.generator)
    sides = tuple(SideConfig(name, f"faces/{name}", f"{name}.mp4", "0" * 64, 0, 10) for name in "AB")
    write_config(path, ModelConfig(TINY, sides, TEMPLATE, EXTENT, TINY.coverage, 0, 4, 1e-3))
    write_checkpoint(path, 7, {WEIGHTS + name: value for name, value in network.state_dict().items()}, {}, keep=1)
    return path


@dataclass(frozen=True)
class Input:
    clip: Path
    faces: Path


MakeInput = Callable[..., Input]


@pytest.fixture
def make_input(tmp_path: Path) -> MakeInput:
    """A clip with sound, and where its faces are: one in each frame of `with_face`."""

    def make(
        name: str = "clip.mp4",
        *,
        frames: int = 24,
        size: tuple[int, int] = (160, 120),
        with_face: Container[int] | None = None,
    ) -> Input:
        clip = tmp_path / name
        write_clip(clip, frames, size)
        return Input(clip, write_faces(tmp_path / f"{clip.stem}-faces", clip, with_face))

    return make


@pytest.fixture
def faces_of(tmp_path: Path) -> Callable[[Path], Path]:
    """A face set that says that every frame of a clip shows a face in its middle."""
    return lambda clip: write_faces(tmp_path / "faces", clip, None)


def write_clip(path: Path, frames: int, size: tuple[int, int]) -> None:
    width, height = size
    with av.open(str(path), "w") as output:
        even = width % 2 == height % 2 == 0
        options = {"preset": "ultrafast", "crf": "30"} if even else {}
        stream = output.add_stream("libx264" if even else "ffv1", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        voice = output.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for number in range(frames):
            picture = av.VideoFrame(width, height, "yuv420p")
            for plane in picture.planes:
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
                rows[:] = (
                    40 + (np.add.outer(3 * np.arange(plane.height), 2 * np.arange(plane.line_size)) + 7 * number) % 160
                )
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, SOUND_RATE * frames // FPS), np.float32), format="fltp", layout="mono"
        )
        sound.sample_rate, sound.pts = SOUND_RATE, 0
        output.mux(voice.encode(sound))
        output.mux(voice.encode(None))


def write_faces(folder: Path, clip: Path, with_face: Container[int] | None) -> Path:
    """A face set without pictures: the mean face in the middle of these frames, on half of their shorter side."""
    with open_video(clip) as video:
        source, size = describe_source(video), (video.info.width, video.info.height)
        pts = {frame.index: frame.pts for frame in video if with_face is None or frame.index in with_face}
    frames, side = list(pts), min(size) / 2
    points = (mean_face() * side)[None].repeat(len(frames), 1, 1)
    points[..., :2] += (torch.tensor(size) - side) / 2
    low, high = points[..., :2].aminmax(dim=1)
    columns = {
        "file": [f"{i:06d}_0.png" for i in frames],
        "frame": frames,
        "pts": list(pts.values()),
        **{name: [0] * len(frames) for name in ("track", "person")},
        "box": torch.cat([low, high], dim=1).tolist(),
        **{name: [1.0] * len(frames) for name in ("score", "flag", "sharpness")},
        "landmarks": points.flatten(1).tolist(),
        "alignment": align(points).flatten(1).tolist(),
        **{name: [0.0] * len(frames) for name in ("yaw", "pitch", "roll")},
    }
    folder.mkdir()
    pq.write_table(pa.table(columns).select(table_schema().names).cast(table_schema()), folder / TABLE_NAME)
    write_json(folder / META_NAME, FaceSetMeta(source, 64, 1, TEMPLATE, EXTENT, pictures=False).to_json())
    return folder
