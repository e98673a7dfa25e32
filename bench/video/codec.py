"""Decoding and encoding: what each side pays for frames in and out, and what FFmpeg's codec takes alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastswap.bench.video import plain
from fastswap.bench.video.encoding import Encoder, encode
from fastswap.bench.video.rounds import interleaved, one_thread
from fastswap.bench.video.scene import Scene
from fastswap.bench.video.trial import CODEC, OURS, PLAIN, Trial
from fastswap.errors import FastswapError
from fastswap.video import open_video, write_video

ENCODER = Encoder("libx264", {"preset": "faster", "crf": "18"})
"""What `convert` writes .mp4 with unless it is told otherwise, and so what all sides encode with: `check` holds it to
that by what x264 wrote into the files."""
OUTPUT = "output.mp4"
_SETTINGS = re.compile(rb"x264 - core [^\0]*? - options: ([^\0]*)")


def codec_rows(trial: Trial, scene: Scene, folder: Path) -> list[dict[str, Any]]:
    """Of decoding and of encoding, a row a contender. Threads are the codec's own, on all cores."""
    coding = Coding(scene, folder)
    with one_thread():
        reading = {CODEC: coding.decode, OURS: coding.read, PLAIN: coding.capture}
        writing = {CODEC: coding.encode, OURS: coding.write, PLAIN: coding.plain_write}
        found = {"decode": interleaved(reading, trial.rounds), "encode": interleaved(writing, trial.rounds)}
    facts = {"size": trial.size, "faces": trial.faces, "generator": None, "device": "cpu", "rounds": trial.rounds}
    return [
        {"verb": verb, **facts, "contender": name, **times.figures()}
        for verb, each in found.items()
        for name, times in each.items()
    ]


class Coding:
    """A scene read and written in each way; every call returns the number of frames."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene, self.output = scene, folder / OUTPUT
        with open_video(scene.path) as video:
            self.native = list(video)
        self.bgr = list(plain.read(scene.path))
        self.decoded = list(self._decoded())

    def decode(self) -> int:
        """The codec alone."""
        return sum(1 for _ in self._decoded())

    def read(self) -> int:
        with open_video(self.scene.path) as video:
            return sum(1 for _ in video)

    def capture(self) -> int:
        return sum(1 for _ in plain.read(self.scene.path))

    def encode(self) -> int:
        """The codec alone, with the decoder's own frames."""
        return encode(self.decoded, self.output, self.scene.format, ENCODER)

    def write(self) -> int:
        with write_video(self.output, self.scene.info, encoder="cpu") as writer:
            for frame in self.native:
                writer.write(frame)
        return len(self.native)

    def plain_write(self) -> int:
        return encode(map(plain.picture, self.bgr), self.output, self.scene.format, ENCODER)

    def _decoded(self) -> Iterator[Any]:  # av.VideoFrame
        import av

        with av.open(str(self.scene.path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            yield from container.decode(video=0)


def check(*files: Path) -> None:
    """Raises FastswapError where these were not all encoded with the same settings: those of the first are ours."""
    said = [_SETTINGS.search(file.read_bytes()) for file in files]
    found = [dict(part.partition("=")[::2] for part in each[1].decode().split()) if each else {} for each in said]
    for file, settings in zip(files[1:], found[1:], strict=True):
        other = {name for name in found[0] | settings if found[0].get(name) != settings.get(name)}
        if other:
            names = ", ".join(sorted(other))
            raise FastswapError(f"{file.name} and {files[0].name} were not encoded alike ({names}): see codec.ENCODER")
