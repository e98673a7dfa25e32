"""`fastswap bench ...`: operations, training and swaps measured against others, and the pages made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from fastswap.cli.verb import Verb


@dataclass(kw_only=True)
class BenchOps(Verb):
    """Measure the operations beside OpenCV, torch and kornia on the same work, each checked before it is timed."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Operations (default: all)."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where the record goes, as JSON."""
    profile: Path | None = None
    """Also write a trace for Perfetto or chrome://tracing."""
    quick: bool = False
    """One case of each operation, a few rounds: a rehearsal."""

    def run(self) -> Any:
        from fastswap.bench.run import bench_ops

        return bench_ops(self.names, output=self.output, profile=self.profile, quick=self.quick, quiet=self.quiet)


@dataclass(kw_only=True)
class BenchDocs(Verb):
    """Make docs/kernels.md, training.md, quality.md, video.md and their plots from the records in bench/results."""

    def run(self) -> Any:
        from fastswap.bench.docs import write_docs

        return write_docs()


@dataclass(kw_only=True)
class BenchQuality(Verb):
    """Train presets on puppet pairs with a known truth, and judge the swaps as the seconds go by.

    Run again, it does what is missing. Seconds are of the processor, one core a run.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("quality")
    """Folder of the study: clips, faces, runs."""
    presets: tuple[str, ...] = ("original", "gan-v2.2:64", "lite", "gan:64")
    """Which networks: name, or name:size."""
    changes: Annotated[tuple[str, ...], tyro.conf.arg(name="set")] = ()
    """Change numbers of these presets, such as objective.adversarial=0.05 generator.dense=384."""
    variants: Path | None = None
    """More presets, as JSON: {"label": {"base": "gan:64", "set": {"generator.dense": 384}}}."""
    pairs: tuple[str, ...] = ()
    """Pairs of puppets (default: the first three; all but the first need FASTSWAP_TEST_DATA)."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the training."""
    minutes: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0)
    """After how much training a swap is judged; a run is as long as the longest."""
    clips: int = 0
    """Seed of the puppets' motions."""
    jobs: int | None = None
    """Runs at once (default: one a core)."""
    record: Path | None = None
    """Where the record goes, as JSON."""
    pictures: Path | None = None
    """Folder that a sheet of pictures goes to for each pair."""
    quick: bool = False
    """Few frames are judged: a rehearsal."""

    def run(self) -> Any:
        from fastswap.bench.quality.entry import entries
        from fastswap.bench.quality.study import PAIRS_SHOWN, Study, bench_quality

        study = Study(
            self.output,
            tuple(entries(self.presets, self.changes, self.variants)),
            pairs=self.pairs or PAIRS_SHOWN,
            seeds=self.seeds,
            minutes=self.minutes,
            jobs=self.jobs,
            clips=self.clips,
            quick=self.quick,
        )
        return bench_quality(study, self.record, self.pictures, quiet=self.quiet)


@dataclass(kw_only=True)
class BenchTrain(Verb):
    """Measure training: examples a second by each engine, beside plain PyTorch and a loader like Faceswap's."""

    presets: tuple[str, ...] = ("gan:64", "lite", "original")
    """Which networks: name, or name:size."""
    batches: tuple[int, ...] = ()
    """Faces of each side in a step (default: each preset's own)."""
    contenders: tuple[str, ...] = ()
    """Ways to train or load: eager, "plain channels_last", loader ... (default: all; compilers and loaders at the first
    batch alone)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the step runs."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """What networks are computed in."""
    record: Path | None = None
    """Where the record goes, as JSON."""
    quick: bool = False
    """Three rounds, and nothing that compiles: a rehearsal."""

    def run(self) -> Any:
        from fastswap.bench.train.run import bench_train

        return bench_train(
            self.presets,
            self.batches,
            self.contenders,
            device=self.device,
            precision=self.precision,
            record=self.record,
            quick=self.quick,
            quiet=self.quiet,
        )


@dataclass(kw_only=True)
class BenchVideo(Verb):
    """Measure decoding, extracting and converting, beside a plain OpenCV implementation on the same clips."""

    sizes: tuple[Literal["480p", "720p", "1080p", "2160p"], ...] = ()
    """Heights of the clips (default: all)."""
    faces: tuple[Literal[0, 1, 4], ...] = ()
    """Faces in every frame (default: each)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where faces are found and swapped."""
    record: Path | None = None
    """Where the record goes, as JSON."""
    quick: bool = False
    """Eight frames of the smallest clip with one face, two rounds: a rehearsal."""

    def run(self) -> Any:
        from fastswap.bench.video.run import bench_video

        return bench_video(
            self.sizes, self.faces, device=self.device, record=self.record, quick=self.quick, quiet=self.quiet
        )


_subcommand = tyro.conf.subcommand
BenchVerb = (
    Annotated[BenchOps, _subcommand("ops")]
    | Annotated[BenchTrain, _subcommand("train")]
    | Annotated[BenchVideo, _subcommand("video")]
    | Annotated[BenchQuality, _subcommand("quality")]
    | Annotated[BenchDocs, _subcommand("docs")]
)
