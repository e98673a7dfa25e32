"""The parts of a run, as its settings and its model's configuration ask for them: the step, the feed, the batch."""

from __future__ import annotations

import logging

import torch

from fastswap.device import free_memory
from fastswap.errors import UsageError
from fastswap.models import ModelConfig
from fastswap.ops import Jitter
from fastswap.training import parallel
from fastswap.training.batch import advice, find_batch
from fastswap.training.dali import DaliFeed, Disk, has_dali
from fastswap.training.decoding import CHANNELS
from fastswap.training.facecache import FaceCache, default_cache
from fastswap.training.feed import Feed
from fastswap.training.losses import open_perceptual
from fastswap.training.pairing import performance, yaw
from fastswap.training.placement import DEVICE, MAPPED
from fastswap.training.sampler import Sampler
from fastswap.training.settings import TrainSettings
from fastswap.training.sides import Side, shard, stored_size
from fastswap.training.step import Step
from fastswap.training.store import Store
from fastswap.training.weights import frozen_prefixes, side_names

_LOG = logging.getLogger(__name__)


def make_step(settings: TrainSettings, config: ModelConfig, device: torch.device) -> Step:
    """A new step, as the settings and the configuration ask for it."""
    step = Step(
        *(config.preset, len(config.sides), config.seed, device),
        rate=config.learning_rate,
        precision=settings.precision,
        frozen=frozen_prefixes(settings.freeze, side_names(config)),
        accumulate=settings.accumulate,
    )
    if settings.perceptual is not None:
        step.perceptual = open_perceptual(settings.perceptual, device, step.precision.dtype or torch.float32)
    return step


def open_feed(settings: TrainSettings, config: ModelConfig, sides: list[Side], device: torch.device) -> Feed:
    """What shows this process its faces: all of them, or with `shard` every world-th of each side."""
    preset, rank, world = config.preset, parallel.rank(), parallel.world()
    own = slice(rank, None, world) if settings.shard else slice(None)
    doing = [performance(side.faces, side.rows)[own] for side in sides]
    degrees = [yaw(side.faces, side.rows)[own] for side in sides] if settings.sampling == "yaw" else []
    if settings.shard:
        sides = [shard(side, rank, world) for side in sides]
    sampler = Sampler(
        [len(side.rows) for side in sides],
        config.batch,
        config.seed,
        performances=doing,
        yaw=degrees,
        mixup=preset.objective.mixup if preset.objective.adversary == "lsgan" else 0.0,
        rank=rank,
        world=world,
        sharded=settings.shard,
    )
    jitter = Jitter().without(
        warp=not settings.warp, flip=not settings.flip, colour=not (settings.colour and preset.colour)
    )
    size = stored_size(sides, preset.size_out, config.coverage)
    if settings.loader == "dali":
        disk = Disk(sides, preset.objective, size, sampler, device)
        return DaliFeed(disk, sampler, preset, coverage=config.coverage, jitter=jitter)
    cache = FaceCache(settings.cache or default_cache(), required=settings.cache is not None)
    store = Store.open(
        sides,
        preset.objective,
        size,
        device,
        place=settings.store,
        cache=cache if settings.keep_faces else None,
        sharing=parallel.neighbours(),
    )
    if store.place == MAPPED and settings.loader == "auto" and has_dali():
        _LOG.info("--loader dali decodes faces as they are shown, and keeps none on disk beside their pictures")
    return Feed(store, sampler, preset, coverage=config.coverage, jitter=jitter)


def too_large(settings: TrainSettings, config: ModelConfig, device: torch.device) -> str:
    """What to say where the batch does not fit."""
    said = f"the memory of {device} is too small for a batch of {config.batch}"
    if parallel.world() > 1:
        return f"{said}: give a smaller --batch, or --accumulate"
    return f"{said}: {advice(config.batch, fitting_batch(settings, config, device))}"


def bytes_to_keep(settings: TrainSettings, config: ModelConfig, sides: list[Side], device: torch.device) -> int:
    """Of the device's memory: what the faces take there, as `choose_place` will find when they are opened."""
    size = stored_size(sides, config.preset.size_out, config.coverage)
    kept = sum(len(side.rows) for side in sides) * size * size * CHANNELS
    if settings.loader == "dali" or settings.store not in ("auto", DEVICE):
        return 0
    return kept if settings.store == DEVICE or kept <= free_memory(device) // 2 else 0


def fitting_batch(settings: TrainSettings, config: ModelConfig, device: torch.device, reserve: int = 0) -> int:
    """The largest batch for the network and the device, no larger than a face set; `reserve` bytes of its memory are
    left. Raises UsageError where several processes would have to try at once."""
    if parallel.world() > 1:
        raise UsageError("--batch auto tries what one process can take: find it with one, give all of them the sum")
    multiple = settings.accumulate
    most = max(min(side.count for side in config.sides) // multiple * multiple, multiple)
    return find_batch(lambda: make_step(settings, config, device), multiple=multiple, most=most, reserve=reserve)
