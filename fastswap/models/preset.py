"""What a network looks like and how it is trained, by name and size. A model folder records all fields, so that a
preset may change without breaking the models that were trained with it."""

from __future__ import annotations

from fastswap.errors import UsageError
from fastswap.models.preset_gan import GAN_64, GAN_128, GAN_256, GAN_512
from fastswap.models.preset_gan_v22 import GAN_V22_64, GAN_V22_128, GAN_V22_256
from fastswap.models.spec import GeneratorSpec, Objective, Optimisation, Preset

ORIGINAL = Preset(
    name="original",
    generator=GeneratorSpec(
        size_in=64, size_out=64, stem=1, kernel=5, encoder=(128, 256, 512, 1024), dense=1024, seed_size=4,
        seed_channels=1024, shared_up=512, decoder=(256, 128, 64), residual=(0, 0, 0), head=False,
    ),
    discriminator=None,
    objective=Objective(dssim=1.0, mse=1.0, mask=1.0),
    optimisation=Optimisation(learning_rate=5e-5, betas=(0.5, 0.99)),
    batch=16, iterations=100_000, coverage=0.8, colour=True,
)  # fmt: skip

LITE = Preset(
    name="lite",
    generator=GeneratorSpec(
        size_in=96, size_out=96, stem=4, kernel=3, encoder=(160, 256), dense=256, seed_size=6, seed_channels=128,
        shared_up=192, decoder=(96, 64), residual=(1, 1), head=True, standardise=True,
    ),
    discriminator=None,
    objective=Objective(dssim=1.0, l1=3.0, mask=0.5, agreement=0.5, eyes=4.0, mouth=3.0),
    optimisation=Optimisation(learning_rate=1e-3, betas=(0.9, 0.99), warm_up=50, hold=0.5, ema=0.99, settle=0.3),
    batch=8, iterations=20_000, coverage=0.75, colour=False,
)  # fmt: skip

_ALL = (
    *(LITE, ORIGINAL),
    *(GAN_128, GAN_64, GAN_256, GAN_512),
    *(GAN_V22_128, GAN_V22_64, GAN_V22_256),
)
PRESETS: dict[str, dict[int, Preset]] = {}
for _preset in _ALL:
    PRESETS.setdefault(_preset.name, {})[_preset.size_out] = _preset
"""Name -> size of the output -> preset; the first size of a name is its default."""


def find_preset(name: str, size: int | None = None) -> Preset:
    """The preset of that name and size (None: the name's default). Raises UsageError naming the ones there are."""
    if name not in PRESETS:
        raise UsageError(f"no model is called '{name}': choose one of {', '.join(sorted(PRESETS))}")
    sizes = PRESETS[name]
    if size is not None and size not in sizes:
        raise UsageError(f"'{name}' is not made for {size} px: choose one of {', '.join(map(str, sorted(sizes)))}")
    return sizes[size] if size is not None else next(iter(sizes.values()))
