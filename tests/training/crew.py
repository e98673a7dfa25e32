"""`fastswap` with the tests' presets, for torchrun: crew.py train -A ... FASTSWAP_DIES="RANK ITERATION FILE"
has that rank killed in that step, once: the file says that it was."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
from synthetic import TINY

from fastswap.cli import main
from fastswap.models import PRESETS, DiscriminatorSpec
from fastswap.training.plan import Moment
from fastswap.training.step import Step

GAN = replace(
    TINY, name="tiny-gan", discriminator=DiscriminatorSpec(size=32, channels=(8, 16), conditional=True),
    objective=replace(TINY.objective, adversary="relativistic", adversarial=0.1, r1=1.0, r2=1.0),
)  # fmt: skip


def _die(rank: str, iteration: str, file: str) -> None:
    """Has this process killed in that step, if it is of that rank and was not killed before."""
    if os.environ.get("RANK") != rank or Path(file).exists():
        return
    original = Step.prepare

    def prepare(self: Step, moment: Moment) -> None:
        if moment.iteration == int(iteration):
            Path(file).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, moment)

    Step.prepare = prepare  # type: ignore[method-assign]


if __name__ == "__main__":
    torch.set_num_threads(1)
    PRESETS["tiny"], PRESETS["tiny-gan"] = {32: TINY}, {32: GAN}
    if "FASTSWAP_DIES" in os.environ:
        _die(*os.environ["FASTSWAP_DIES"].split())
    main(sys.argv[1:])
