"""What only a GPU has: its decoder, and what that can do at most."""

from __future__ import annotations

from typing import Any

from fastswap.bench.video.clip import SIZES
from fastswap.bench.video.rounds import interleaved
from fastswap.bench.video.scene import Scene
from fastswap.bench.video.trial import OURS, Trial
from fastswap.errors import FastswapError
from fastswap.video import open_video

DECODERS = ("dali", "av")
_TURING, _AMPERE, _ADA = 771.0, 748.0, 903.0
NVDEC = {
    "T4": (2, _TURING), "A100": (5, _TURING), "A10": (2, _AMPERE), "L4": (4, _ADA), "L40": (3, _ADA), "L40S": (3, _ADA),
    "H100": (7, _TURING), "H200": (7, _TURING),
}  # fmt: skip
"""A word of the GPU's name -> its video decoders, and the frames of 1080p H.264 that one of them does in a second
(NVIDIA's Video Codec SDK, application notes)."""
_RATED = SIZES["1080p"][0] * SIZES["1080p"][1]


def device_rows(trial: Trial, scene: Scene) -> list[dict[str, Any]]:
    """Decoding to frames on the GPU, by its own decoder and by PyAV with an upload; where it cannot, why."""
    facts = {"verb": "decode", "size": trial.size, "faces": trial.faces, "device": "cuda", "rounds": trial.rounds}
    rows = []
    for decoder in DECODERS:

        def run(decoder: str = decoder) -> int:
            with open_video(scene.path, device="cuda", decoder=decoder) as video:
                return sum(1 for _ in video)

        contender = f"{OURS}, {decoder}"
        try:
            run()  # what is loaded and built on first use
            figures: dict[str, Any] = interleaved({contender: run}, trial.rounds)[contender].figures()
        except FastswapError as error:
            figures = {"reason": str(error)}
        rows.append({**facts, "contender": contender, **figures})
    return rows


def nvdec_limit(gpu: str | None, size: str) -> tuple[int, float] | None:
    """Engines, and frames a second that one of them decodes of H.264 of this size; None for a GPU not known here."""
    words = set((gpu or "").replace("-", " ").split())
    found = next((each for name, each in NVDEC.items() if name in words), None)
    if found is None:
        return None
    width, height = SIZES[size]
    return found[0], found[1] * _RATED / (width * height)
