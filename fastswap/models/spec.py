"""What describes a network and its training: small frozen dataclasses that `config.json` holds in full. Their ranges
are checked, since a stranger may have written them."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_CHANNELS = 4096
_MOST_PIXELS = 1024
_MOST_STAGES = 8
_MOST_POINTS = 32
_KERNELS = (1, 3, 5, 7)
_HALVING_KERNELS = (3, 4, 5)
_MOST_ATTENTION = 64
"""Pixels of the side of a map that attends to itself: 4,096 to 4,096."""
_MOST_ATTENTION_TWICE = 32
"""The same where the weights of all pairs of pixels stay in memory."""
NORMS = ("none", "instance", "group", "rms")
ADVERSARIES = ("none", "hinge", "lsgan", "relativistic")
OPTIMISERS = ("adam", "adamw", "adabelief")


@dataclass(frozen=True)
class GeneratorSpec:
    """`stem` is the factor by which the encoder folds pixels into channels before its first layer (1: not at all), and
    `stem_channels` the width of that layer (0: as wide as the first halving where the stem folds, no such layer where
    it does not); `encoder` lists the channels after each halving; `dense` is the width of the bottleneck; `seed_size`
    and `seed_channels` shape the map it unfolds to; `shared_up` is the width of the upscale that all sides share (0:
    none); `decoder` lists the channels after each doubling; `head` doubles once more, straight into colour and mask
    (False: one convolution at full size). `kernel` is that of the halvings.
    `standardise` takes light and skin colour out of what the encoder sees.

    `encoder_residual` (empty: none) and `residual` say how many residual blocks follow each halving and each doubling;
    `encoder_attention` and `attention` list the sides, in pixels, of the maps that attend to themselves there;
    `auxiliary` lists the sides of the decoder's maps that are made a picture too; `norm` is what normalises the maps.
    Sizes are pixels."""

    size_in: int
    size_out: int
    stem: int
    kernel: int
    encoder: tuple[int, ...]
    dense: int
    seed_size: int
    seed_channels: int
    shared_up: int
    decoder: tuple[int, ...]
    residual: tuple[int, ...]
    head: bool
    slope: float = 0.1
    standardise: bool = False
    stem_channels: int = 0
    encoder_residual: tuple[int, ...] = ()
    encoder_attention: tuple[int, ...] = ()
    attention: tuple[int, ...] = ()
    auxiliary: tuple[int, ...] = ()
    norm: str = "none"

    def __post_init__(self) -> None:
        if not 0 < self.stem <= self.size_in <= _MOST_PIXELS or not 0 < self.size_out <= _MOST_PIXELS:
            raise ValueError("the generator's sizes are out of range")
        widths = (self.dense, self.seed_channels, *self.encoder, *self.decoder)
        if min(widths) < 1 or max(*widths, self.shared_up, self.stem_channels) > _MOST_CHANNELS:
            raise ValueError(f"the generator has channels outside of 1..{_MOST_CHANNELS}")
        if min(self.shared_up, self.stem_channels) < 0 or not 0 <= self.slope < 1:
            raise ValueError("the generator has channels or a slope below 0, or a slope of 1")
        if self.kernel not in _KERNELS:
            raise ValueError(f"the generator's kernel is {self.kernel}: one of {_KERNELS}")
        self._check_stages()
        _check_norm(self.norm)
        _check_sides("generator's encoder", self.encoder_attention, self.encoder_maps, _MOST_ATTENTION)
        _check_sides("generator's decoders", self.attention, self.decoder_maps, _MOST_ATTENTION)
        _check_sides("generator's decoders", self.auxiliary, self.decoder_maps, _MOST_PIXELS)

    def _check_stages(self) -> None:
        blocks = (*self.residual, *self.encoder_residual)
        if not all(0 <= count <= _MOST_STAGES for count in blocks) or len(self.encoder) > _MOST_STAGES:
            raise ValueError(f"the generator has more than {_MOST_STAGES} layers")
        if len(self.residual) != len(self.decoder) or len(self.encoder_residual) not in (0, len(self.encoder)):
            raise ValueError("one number of residual blocks for each of the decoder's stages, and of the encoder's")
        doublings = len(self.decoder) + bool(self.shared_up) + self.head
        size_in, size_out = self.bottleneck * self.stem << len(self.encoder), self.seed_size << min(doublings, 16)
        if (self.size_in, self.size_out) != (size_in, size_out):
            raise ValueError(f"the generator's layers lead from {size_in} to {size_out} pixels")

    @property
    def encoder_maps(self) -> list[int]:
        """The sides of the maps after the encoder's first layer, where it has one, and after each halving."""
        first = 0 if self.stem_channels or self.stem > 1 else 1
        return [self.size_in // self.stem >> halvings for halvings in range(first, len(self.encoder) + 1)]

    @property
    def decoder_maps(self) -> list[int]:
        """The sides of the maps after each of a decoder's doublings."""
        shared = self.seed_size << bool(self.shared_up)
        return [shared << doublings for doublings in range(1, len(self.decoder) + 1)]

    @property
    def bottleneck(self) -> int:
        """The side of the map that the encoder ends in, before it is flattened."""
        return self.size_in // self.stem >> len(self.encoder)


def _check_norm(norm: str) -> None:
    if norm not in NORMS:
        raise ValueError(f"the norm is {norm!r}: one of {', '.join(NORMS)}")


def _check_sides(what: str, sides: tuple[int, ...], maps: list[int], most: int) -> None:
    """Refuses maps that the network does not have, twice the same, or larger than `most`."""
    possible = [side for side in maps if side <= most]
    if len(set(sides)) != len(sides) or not set(sides) <= set(possible):
        raise ValueError(f"the {what} may use maps of {possible} pixels, each once, and is told to use others")


@dataclass(frozen=True)
class DiscriminatorSpec:
    """`size` of the pictures it judges; `channels` after each halving, by convolutions of `kernel`; `residual` blocks
    after each of them; `attention` lists the sides, in pixels, of the maps that attend to themselves; `conditional`: it
    sees the distorted input beside the picture; `unet`: it also judges every pixel, going back up; `spectral`
    normalises its weights (Miyato et al. 2018, arXiv 1802.05957); `stem` and `norm` as in the generator."""

    size: int
    channels: tuple[int, ...]
    stem: int = 1
    kernel: int = 4
    residual: int = 0
    attention: tuple[int, ...] = ()
    conditional: bool = False
    unet: bool = False
    spectral: bool = False
    norm: str = "none"
    slope: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < len(self.channels) <= _MOST_STAGES or not 0 <= self.residual <= _MOST_STAGES:
            raise ValueError(f"the discriminator has more than {_MOST_STAGES} layers, or none")
        if not all(0 < width <= _MOST_CHANNELS for width in self.channels) or not 0 < self.stem <= _MOST_STAGES:
            raise ValueError(f"the discriminator has channels outside of 1..{_MOST_CHANNELS}")
        if self.kernel not in _HALVING_KERNELS or not 0 <= self.slope < 1:
            raise ValueError(f"the discriminator's kernel is none of {_HALVING_KERNELS}, or its slope not in 0..1")
        if not 0 < self.size <= _MOST_PIXELS or self.size % (self.stem << len(self.channels)):
            raise ValueError(f"the discriminator's layers do not divide {self.size} pixels")
        _check_sides("discriminator", self.attention, self.maps, _MOST_ATTENTION_TWICE)
        _check_norm(self.norm)

    @property
    def maps(self) -> list[int]:
        """The sides of the maps after each halving."""
        return [self.size // self.stem >> halvings for halvings in range(1, len(self.channels) + 1)]


@dataclass(frozen=True)
class Schedule:
    """A factor over the run, on the weight of a loss, on "learning_rate", or on "mask_margin" (of the mask's hinge):
    from each of `shares` (of the run, 0..1, rising) on it is the factor at the same place, before the first of them the
    first; `linear`: straight lines between them instead of steps."""

    term: str
    shares: tuple[float, ...]
    factors: tuple[float, ...]
    linear: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.shares) == len(self.factors) <= _MOST_POINTS or list(self.shares) != sorted(self.shares):
            raise ValueError(f"the schedule of {self.term} needs as many factors as shares, and rising shares")


@dataclass(frozen=True)
class Objective:
    """The weights of the losses; what weighs 0 is not computed. Reconstruction, inside of the mask: `l1`, `mse`,
    `dssim` (from 256 px on with two windows), `ms_ssim`, `edges`; `eyes` and `mouth` are how much these count there
    (1 is the rest of the face). Mask: `mask` (L1 to the mesh's), `mask_hinge`, `mask_variation`. `agreement` of the
    sides' codes. `perceptual`: only with weights that the user supplies. `adversarial` weighs the adversary, which is
    `adversary`: none | hinge | lsgan (with mixup of Beta(mixup, mixup)) | relativistic (R3GAN), whose discriminator is
    penalised by `r1` and `r2` (weights of the squared gradients' halves)."""

    l1: float = 0.0
    mse: float = 0.0
    dssim: float = 0.0
    ms_ssim: float = 0.0
    edges: float = 0.0
    eyes: float = 1.0
    mouth: float = 1.0
    mask: float = 0.0
    mask_hinge: float = 0.0
    mask_variation: float = 0.0
    agreement: float = 0.0
    perceptual: float = 0.0
    adversary: str = "none"
    adversarial: float = 0.0
    mixup: float = 0.2
    r1: float = 0.0
    r2: float = 0.0
    schedules: tuple[Schedule, ...] = ()

    def __post_init__(self) -> None:
        if self.adversary not in ADVERSARIES:
            raise ValueError(f"the adversary is {self.adversary!r}: one of {', '.join(ADVERSARIES)}")
        if min(self.eyes, self.mouth) < 1 or len(self.schedules) > _MOST_POINTS:
            raise ValueError("eyes and mouth weigh 1 or more, and there is a bounded number of schedules")


@dataclass(frozen=True)
class Optimisation:
    """`optimiser`: adam | adamw | adabelief, for the generator with `learning_rate` and `betas`, for the discriminator
    with `discriminator_rate` (a factor on it) and `discriminator_betas`. The rate rises over `warm_up` iterations,
    stays up to the share `hold` of the run and falls to 1 % in half a cosine; the geometric jitter falls to `settle` in
    the same time. `ema`: decay of the weights' moving average, which previews and `convert` show (0: none). `clip`: the
    norm that a gradient is cut to (0: not at all). `dropout`: the share of weights that an iteration leaves as they are
    (learning-rate dropout; 0: none)."""

    learning_rate: float
    betas: tuple[float, float]
    optimiser: str = "adam"
    discriminator_rate: float = 1.0
    discriminator_betas: tuple[float, float] = (0.5, 0.99)
    weight_decay: float = 0.0
    warm_up: int = 0
    hold: float = 1.0
    settle: float = 1.0
    ema: float = 0.0
    clip: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"the optimiser is {self.optimiser!r}: one of {', '.join(OPTIMISERS)}")
        if not 0 <= self.ema < 1 or not 0 <= self.dropout < 1 or not 0 <= self.hold <= 1:
            raise ValueError("ema and dropout lie in 0..1, without the 1, and hold in 0..1")


@dataclass(frozen=True)
class Preset:
    """A generator, the discriminator it is trained against (None: none), and how. `batch`: faces of each side in a
    step; `iterations`: where no number is given; `coverage`: the share of the aligned square that is seen; `colour`:
    whether its colours are jittered."""

    name: str
    generator: GeneratorSpec
    discriminator: DiscriminatorSpec | None
    objective: Objective
    optimisation: Optimisation
    batch: int
    iterations: int
    coverage: float
    colour: bool

    def __post_init__(self) -> None:
        if self.batch < 1 or self.iterations < 1 or not 0 < self.coverage <= 1:
            raise ValueError(f"preset {self.name}: batch, iterations or coverage out of range")
        if (self.discriminator is None) != (self.objective.adversary == "none"):
            raise ValueError(f"preset {self.name}: a discriminator and an adversarial loss go together")
        if self.discriminator is not None and self.discriminator.size != self.size_out:
            raise ValueError(f"preset {self.name}: the discriminator judges other sizes than the generator makes")

    @property
    def size_in(self) -> int:
        return self.generator.size_in

    @property
    def size_out(self) -> int:
        return self.generator.size_out
