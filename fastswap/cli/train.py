"""`fastswap train`: its flags, named after Faceswap's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from fastswap.cli.verb import Verb
from fastswap.errors import UsageError


@dataclass(kw_only=True)
class Train(Verb):
    """Train a model that turns the faces of A into those of B. Ctrl-C saves and leaves; run again, it goes on."""

    faces_a: Annotated[Path | None, tyro.conf.arg(aliases=["-A"], metavar="FACES")] = None
    """Face set of A, the person replaced."""
    faces_b: Annotated[Path | None, tyro.conf.arg(aliases=["-B"], metavar="FACES")] = None
    """Face set of B, the person put in."""
    model: Annotated[Path | None, tyro.conf.arg(aliases=["-m"], metavar="MODEL")] = None
    """The model's folder."""
    trainer: Annotated[str | None, tyro.conf.arg(aliases=["-t"])] = None
    """Which network: lite, original, gan, ... (default: lite, or what the model has)."""
    size: int | None = None
    """Side of the network's faces, in pixels (default: the network's own)."""
    batch: Annotated[int | Literal["auto"] | None, tyro.conf.arg(aliases=["-b"])] = None
    """Faces of each side in a step; auto: for a new model as many as fit (default: the network's own)."""
    accumulate: int = 1
    """Works each batch off in this many parts, one after the other: the same weights with less memory."""
    iterations: Annotated[int | None, tyro.conf.arg(aliases=["-i"])] = None
    """Steps in all (default: the network's own, 20,000 of lite)."""
    minutes: float | None = None
    """A time budget instead of --iterations."""
    seed: int = 0
    """The same seed gives the same model on the same CPU."""
    save_every: Annotated[int, tyro.conf.arg(aliases=["-s"])] = 250
    """Steps between checkpoints."""
    preview_every: int = 250
    """Steps between preview sheets."""
    keep: int = 3
    """How many checkpoints are kept."""
    person_a: Annotated[int | None, tyro.conf.arg(aliases=["--person"])] = None
    """Who of A's face set (default: the most frequent)."""
    person_b: int | None = None
    """Who of B's face set (default: the most frequent)."""
    no_warp: bool = False
    """No random warp of the input."""
    no_flip: bool = False
    """No mirrored faces."""
    no_colour: bool = False
    """No colour jitter (lite has none: its encoder sees faces without their light)."""
    optimiser: Literal["adam", "adamw", "adabelief"] | None = None
    """What turns gradients into steps (default: the network's own)."""
    clip: float | None = None
    """The norm that gradients are cut to, 0 for none (default: the network's own)."""
    dropout: float | None = None
    """The share of the weights that each step leaves as they are (default: the network's own)."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """What products are computed in (default: bf16 where the hardware has it, else fp16 on a GPU)."""
    engine: Literal["auto", "eager", "compile", "graph", "compiled-graph"] = "auto"
    """How steps are run (default: on a GPU each as one CUDA graph)."""
    sampling: Literal["uniform", "yaw"] = "uniform"
    """Which faces are shown: each as often as the others, or each direction of the head (of 5 degrees)."""
    store: Literal["auto", "device", "pinned", "mapped"] = "auto"
    """Where the decoded faces are: the device's memory, the host's, on disk (default: the first that holds them)."""
    cache: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Keeps decoded faces for the next start (default: in the user's cache folder, 20 GB at most)."""
    no_cache: bool = False
    """Keeps no decoded faces."""
    shard: bool = False
    """With several GPUs, each holds and shows its part of the faces only, for sets larger than a GPU's memory."""
    loader: Literal["auto", "resident", "dali"] = "auto"
    """What reads faces: a store of decoded ones, or DALI, which decodes them as they are shown (default: the store)."""
    perceptual: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Weights of a VGG16 (.safetensors, named as torchvision's): faces are compared by its features too."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the training runs."""
    snapshot_every: int = 0
    """Steps between checkpoints that are kept for ever, in MODEL/snapshots (0: none)."""
    timelapse: Annotated[Path | None, tyro.conf.arg(metavar="FACES")] = None
    """A face set or a folder of pictures: at each preview a numbered picture of the same faces, for a film."""
    timelapse_output: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where those are written (default: MODEL/timelapse)."""
    find_learning_rate: bool = False
    """Trains nothing: tries learning rates on a copy, suggests one and writes the curve to MODEL/logs."""
    load_weights: Annotated[Path | None, tyro.conf.arg(metavar="MODEL")] = None
    """A new model starts with the weights of this one."""
    load_parts: tuple[str, ...] = ()
    """Which of them: encoder, decoder-a, decoder-b, discriminators (default: all)."""
    freeze: tuple[str, ...] = ()
    """What is not trained: encoder, decoder-a, decoder-b, or all-but-decoder-b and so on."""
    export: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Writes the model for other programs: FILE.onnx, or FILE.dfm for DeepFaceLive; without -A and -B as it is."""
    export_side: str = "B"
    """Whose faces the exported model makes."""
    summary: bool = False
    """Trains nothing: prints the layers, parameters, FLOPs an iteration and memory of -t, --size and -b, or of -m."""

    def run(self) -> Any:
        from fastswap.models.export import check_export, export
        from fastswap.training.parallel import launched

        if launched():  # one of several ranks, and not rank 0, which alone talks and exports
            self.quiet, self.json, self.export = True, False, None
        if self.summary:
            return self._summarise()
        if self.find_learning_rate:
            return self._find()
        if self.export is None:
            return self._train()
        check_export(self.export)
        trained = self._train() if self.faces_a or self.faces_b else None
        exported = export(self._model(), self.export, self.export_side)
        return exported if trained is None else dataclasses.replace(trained, exported=exported.path)

    def _summarise(self) -> Any:
        from fastswap.models import LITE, find_preset, has_config, read_config, summarise

        batch = None if self.batch == "auto" else self.batch
        if batch is not None and batch < 1:
            raise UsageError(f"batch is {batch}: it has to be positive")
        if self.model is None or not has_config(self.model):
            return summarise(find_preset(self.trainer or LITE.name, self.size), batch=batch)
        if self.trainer or self.size:
            raise UsageError(f"{self.model} has a network already: leave -t and --size out, or -m")
        config = read_config(self.model)
        return summarise(config.preset, len(config.sides), batch or config.batch)

    def _model(self) -> Path:
        if self.model is None:
            raise UsageError("train needs a folder for the model: -m MODEL")
        return self.model

    def _find(self) -> Any:
        from fastswap.progress import bar
        from fastswap.training.finder import STEPS, find_learning_rate

        settings = self.settings()
        with bar(f"learning rates for {self.model}", STEPS, "steps", quiet=self.quiet) as report:
            return find_learning_rate(settings, report)

    def _train(self) -> Any:
        from fastswap.progress import bar
        from fastswap.training import train

        settings = self.settings()
        with bar(f"train {self.model}", self.iterations, "iterations", quiet=self.quiet) as report:
            return train(settings, report)

    def settings(self) -> Any:
        from fastswap.training import TrainSettings

        if self.faces_a is None or self.faces_b is None:
            raise UsageError("train needs two face sets: -A FACES and -B FACES")
        return TrainSettings(
            faces_a=self.faces_a,
            faces_b=self.faces_b,
            model=self._model(),
            preset=self.trainer,
            size=self.size,
            batch=self.batch,
            iterations=self.iterations,
            minutes=self.minutes,
            seed=self.seed,
            save_every=self.save_every,
            preview_every=self.preview_every,
            keep=self.keep,
            person_a=self.person_a,
            person_b=self.person_b,
            warp=not self.no_warp,
            flip=not self.no_flip,
            colour=not self.no_colour,
            optimiser=self.optimiser,
            clip=self.clip,
            dropout=self.dropout,
            precision=self.precision,
            engine=self.engine,
            accumulate=self.accumulate,
            sampling=self.sampling,
            store=self.store,
            cache=self.cache,
            keep_faces=not self.no_cache,
            shard=self.shard,
            perceptual=self.perceptual,
            snapshot_every=self.snapshot_every,
            timelapse=self.timelapse,
            timelapse_output=self.timelapse_output,
            load_weights=self.load_weights,
            load_parts=self.load_parts,
            freeze=self.freeze,
            loader=self.loader,
            device=self.device,
        )
