"""The verbs and their flags, named after Faceswap's. Each calls one function and returns its summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from fastswap.cli.bench import BenchVerb
from fastswap.cli.convert import Colour, Convert
from fastswap.cli.faces import FacesVerb
from fastswap.cli.train import Train
from fastswap.cli.verb import Device, Input, Jobs, Output, Ray, Verb
from fastswap.errors import UsageError


@dataclass(kw_only=True)
class Extract(Verb):
    """Find the faces of a video (or picture, or folder of pictures) and write them as a face set.

    Interrupted, it goes on where it stopped when it is run again.
    """

    input: Input
    """A video, a picture, a folder of pictures, or a folder of videos (each becomes a face set)."""
    output: Output
    """The folder of the face set."""
    size: Annotated[int, tyro.conf.arg(aliases=["-z"])] = 512
    """Side of the aligned faces, in pixels."""
    every: Annotated[int, tyro.conf.arg(aliases=["-N"])] = 1
    """Look at one frame in N."""
    min_size: int = 0
    """Ignore faces smaller than this, in frame pixels."""
    small: bool = False
    """Search in tiles too, for faces that are small in a large frame (always done for pictures)."""
    persons: Literal["appearance", "identity"] = "appearance"
    """What persons are told apart by; identity is better and needs `pip install "fastswap[identity]"`."""
    format: Literal["png", "jpg"] = "png"
    """Of the pictures: png keeps every bit; jpg is a fifth of the size, and a GPU can decode it."""
    decoder: Literal["auto", "dali", "av"] = "auto"
    """Who decodes: the GPU's own unit through DALI, or the CPU (default: the GPU what it decodes just as the CPU)."""
    device: Device = "auto"
    """Where the networks run."""
    ray: Ray = None
    """Work on a Ray cluster: host:port of its head node, auto, or local to start one here (docs/cluster.md)."""
    jobs: Jobs = None
    """Work in N processes (with --ray: on N parts at once)."""

    def run(self) -> Any:
        from fastswap.cluster import extract
        from fastswap.faceset.scan import ScanSettings

        settings = ScanSettings(
            self.input,
            self.output,
            size=self.size,
            every=self.every,
            decoder=self.decoder,
            device=self.device,
            small=self.small,
            min_size=self.min_size,
            persons=self.persons,
            format=self.format,
        )
        return extract(settings, ray=self.ray, jobs=self.jobs, quiet=self.quiet)


@dataclass(kw_only=True)
class Evaluate(Verb):
    """Judge a swap against the truth, beside three controls that need no training."""

    input: Input
    """A's video."""
    swapped: Annotated[Path, tyro.conf.arg(aliases=["-s"])]
    """The swapped video."""
    truth: Path
    """The truth: B performing A."""
    faces_a: Annotated[Path, tyro.conf.arg(aliases=["-A"], metavar="FACES")]
    """Face set of A's video."""
    faces_b: Annotated[Path, tyro.conf.arg(aliases=["-B"], metavar="FACES")]
    """Face set of B's training video."""
    colour: Colour = "covariance"
    """How the controls take A's colours: as in the conversion that is judged."""
    blend: Literal["none", "pyramid", "poisson"] = "none"
    """How the controls are joined to their surroundings: as in the conversion that is judged."""
    sheet: Path | None = None
    """Also write a picture: input, swap, truth side by side."""

    def run(self) -> Any:
        from fastswap.evaluation import evaluate

        return evaluate(
            self.input,
            self.swapped,
            self.truth,
            self.faces_a,
            self.faces_b,
            self.sheet,
            colour=self.colour,
            blend=self.blend,
            quiet=self.quiet,
        )


@dataclass(kw_only=True)
class Demo(Verb):
    """The whole path on two puppets made from public-domain portraits (or on two clips of your own)."""

    output: Output = Path("demo")
    """Where everything is left."""
    minutes: float = 4.0
    """How long to train."""
    a: Annotated[Path | None, tyro.conf.arg(aliases=["-A"])] = None
    """A clip of A instead of the puppet."""
    b: Annotated[Path | None, tyro.conf.arg(aliases=["-B"])] = None
    """A clip of B instead of the puppet."""
    seed: int = 0
    """Of the puppets' motion and of the training."""

    def run(self) -> Any:
        from fastswap.demo import demo

        if (self.a is None) != (self.b is None):
            raise UsageError("the demo takes both -A and -B, or neither")
        return demo(self.output, self.minutes, self.a, self.b, self.seed, quiet=self.quiet)


@dataclass(kw_only=True)
class Doctor(Verb):
    """Say what hardware, drivers, packages and implementations are here, and how to install what is missing."""

    def run(self) -> Any:
        from fastswap.doctor import diagnose

        return diagnose()


_subcommand = tyro.conf.subcommand
AnyVerb = (
    Annotated[Extract, _subcommand("extract")]
    | Annotated[Train, _subcommand("train")]
    | Annotated[Convert, _subcommand("convert")]
    | Annotated[FacesVerb, _subcommand("faces", description="See and correct the persons of a face set.")]
    | Annotated[Evaluate, _subcommand("evaluate")]
    | Annotated[Demo, _subcommand("demo")]
    | Annotated[BenchVerb, _subcommand("bench", description="Measure operations, training, swaps.")]
    | Annotated[Doctor, _subcommand("doctor")]
)
