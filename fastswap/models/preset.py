"""What a network looks like and how it is trained, by name. A model folder records all fields, so that a preset may
change without breaking the models that were trained with it."""

from __future__ import annotations

from dataclasses import dataclass

from fastswap.errors import UsageError

_MOST_CHANNELS = 4096
_MOST_PIXELS = 1024
_MOST_BLOCKS = 8


@dataclass(frozen=True)
class Preset:
    """Structure: `stem` is the factor by which the encoder's first layer folds pixels into channels (1: none);
    `encoder` lists the channels after each halving; `dense` is the width of the bottleneck; `seed_size` and
    `seed_channels` shape the map it unfolds to; `shared_up` is the width of the upscale that both sides share (0:
    none); `decoder` lists the channels after each doubling; `residual` says how many residual blocks follow each of
    them; `head` doubles once more, straight into colour and mask (False: one convolution at full size). `standardise`
    takes light and skin colour out of what the encoder sees. `size_in` and `size_out` are pixels.

    Training: batch (a side), iterations where no number is given, weights of the losses, of eyes and mouth inside the
    face (1 is the rest of it), Adam, and the moving average of the weights that is kept for previews and `convert`
    (0: none). `coverage` is the share of the aligned square that is seen, `colour` whether its colours are jittered,
    `settle` what is left of the geometric jitter at the end of the run: it falls while the learning rate does."""

    name: str
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
    slope: float
    standardise: bool
    batch: int
    iterations: int
    learning_rate: float
    betas: tuple[float, float]
    warm_up: int
    hold: float
    ema: float
    dssim: float
    l1: float
    mse: float
    mask: float
    agreement: float
    eyes: float
    mouth: float
    coverage: float
    colour: bool
    settle: float

    def __post_init__(self) -> None:
        if not 0 < self.stem <= self.size_in <= _MOST_PIXELS or not 0 < self.size_out <= _MOST_PIXELS or self.batch < 1:
            raise ValueError(f"preset {self.name}: sizes out of range")
        widths = (self.dense, self.seed_channels, *self.encoder, *self.decoder)
        if min(widths) < 1 or max(widths) > _MOST_CHANNELS or not 0 <= self.shared_up <= _MOST_CHANNELS:
            raise ValueError(f"preset {self.name}: channels outside of 1..{_MOST_CHANNELS}")
        if not all(0 <= count <= _MOST_BLOCKS for count in self.residual) or len(self.encoder) > _MOST_BLOCKS:
            raise ValueError(f"preset {self.name}: more than {_MOST_BLOCKS} layers")
        if len(self.residual) != len(self.decoder):
            raise ValueError(f"preset {self.name}: one number of residual blocks for each of its decoder's stages")
        doublings = len(self.decoder) + bool(self.shared_up) + self.head
        size_in, size_out = self.bottleneck * self.stem << len(self.encoder), self.seed_size << doublings
        if (self.size_in, self.size_out) != (size_in, size_out):
            raise ValueError(f"preset {self.name}: its layers lead from {size_in} to {size_out} pixels")

    @property
    def bottleneck(self) -> int:
        """The side of the map that the encoder ends in, before it is flattened."""
        return self.size_in // self.stem >> len(self.encoder)


ORIGINAL = Preset(
    name="original", size_in=64, size_out=64,
    stem=1, kernel=5, encoder=(128, 256, 512, 1024), dense=1024, seed_size=4, seed_channels=1024, shared_up=512,
    decoder=(256, 128, 64), residual=(0, 0, 0), head=False, slope=0.1, standardise=False,
    batch=16, iterations=100_000, learning_rate=5e-5, betas=(0.5, 0.99), warm_up=0, hold=1.0, ema=0.0,
    dssim=1.0, l1=0.0, mse=1.0, mask=1.0, agreement=0.0, eyes=1.0, mouth=1.0, coverage=0.8, colour=True, settle=1.0,
)  # fmt: skip

LITE = Preset(
    name="lite", size_in=96, size_out=96,
    stem=4, kernel=3, encoder=(160, 256), dense=256, seed_size=6, seed_channels=128, shared_up=192,
    decoder=(96, 64), residual=(1, 1), head=True, slope=0.1, standardise=True,
    batch=8, iterations=20_000, learning_rate=1e-3, betas=(0.9, 0.99), warm_up=50, hold=0.5, ema=0.99,
    dssim=1.0, l1=3.0, mse=0.0, mask=0.5, agreement=0.5, eyes=4.0, mouth=3.0, coverage=0.75, colour=False, settle=0.3,
)  # fmt: skip

PRESETS = {preset.name: preset for preset in (LITE, ORIGINAL)}


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises UsageError naming the ones there are."""
    if name not in PRESETS:
        raise UsageError(f"no model is called '{name}': choose one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
