"""A training in a process of its own, to be killed: child.py FACES_A FACES_B MODEL ITERATIONS. Says "ready" once it is
about to train."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from synthetic import TINY

from fastswap.models import PRESETS
from fastswap.training import TrainSettings, train
from fastswap.training.step import Step


def main() -> None:
    torch.set_num_threads(1)
    PRESETS["tiny"] = {32: TINY}
    faces_a, faces_b, model = (Path(argument) for argument in sys.argv[1:4])
    original = Step.__init__

    def ready(self: Step, *arguments: object, **named: object) -> None:
        original(self, *arguments, **named)  # type: ignore[arg-type]
        print("ready", flush=True)

    Step.__init__ = ready  # type: ignore[method-assign]
    train(
        TrainSettings(
            faces_a,
            faces_b,
            model,
            preset="tiny",
            iterations=int(sys.argv[4]),
            save_every=1,
            device="cpu",
            keep_faces=False,
        )
    )


if __name__ == "__main__":
    main()
