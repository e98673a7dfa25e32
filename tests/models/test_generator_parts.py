"""What the generator is made of: attention, norms, auxiliary pictures, and which specs are refused."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from fastswap.models import LITE, PRESETS, Discriminator, Preset, SwapModel, find_preset
from fastswap.models.attention import SelfAttention
from fastswap.models.blocks import Residual, Upscale, normalise
from fastswap.models.spec import NORMS, DiscriminatorSpec, GeneratorSpec

ALL = [preset for sizes in PRESETS.values() for preset in sizes.values()]
GANS = [find_preset("gan", 64), find_preset("gan-v2.2", 64)]
SMALL = GeneratorSpec(
    size_in=32, size_out=32, stem=2, stem_channels=8, kernel=3, encoder=(8, 16), encoder_residual=(1, 1), dense=16,
    seed_size=4, seed_channels=16, shared_up=16, decoder=(16, 8), residual=(1, 1), head=False,
)  # fmt: skip
REAL = DiscriminatorSpec(size=64, channels=(8, 8))


def _label(preset: Preset) -> str:
    return f"{preset.name}-{preset.size_out}"


@pytest.mark.parametrize("preset", ALL, ids=_label)
def test_every_preset_has_the_sizes_it_says(preset: Preset) -> None:
    with torch.device("meta"):
        model = SwapModel(preset.generator, sides=2)
        made = model.reconstruct(torch.empty(4, 3, preset.size_in, preset.size_in))
    size = preset.size_out
    assert made.colour.shape == (4, 3, size, size)
    assert made.mask.shape == (4, 1, size, size)
    assert made.code.shape == (4, preset.generator.dense)
    assert [picture.shape for picture in made.auxiliary] == [(4, 3, s, s) for s in preset.generator.auxiliary]
    if preset.discriminator is not None:
        with torch.device("meta"):
            critic = Discriminator(preset.discriminator)
            logits = critic(made.colour, made.colour if preset.discriminator.conditional else None)
        coarse = preset.discriminator.maps[-1]
        assert [x.shape[-1] for x in logits] == [coarse, size][: 1 + preset.discriminator.unet]


@pytest.mark.parametrize("preset", GANS, ids=_label)
def test_the_smallest_gan_runs_and_starts_without_a_checkerboard(preset: Preset) -> None:
    torch.manual_seed(0)
    model = SwapModel(preset.generator)
    with torch.no_grad():
        colour, mask = model(torch.rand(1, 3, 64, 64), 1)
    assert 0 <= colour.min() <= colour.max() <= 1
    assert 0 <= mask.min() <= mask.max() <= 1
    if preset.generator.head:  # else a convolution at full size comes last
        torch.testing.assert_close(colour[..., ::2, ::2], colour[..., 1::2, 1::2])


def test_an_upscale_starts_as_a_nearest_neighbour() -> None:
    torch.manual_seed(0)
    up = Upscale(6, 5, 0.1)(torch.randn(2, 6, 4, 4))
    torch.testing.assert_close(up, up[..., ::2, ::2].repeat_interleave(2, -1).repeat_interleave(2, -2))


@pytest.mark.parametrize("twice", [False, True])
def test_attention_begins_as_nothing_and_then_reaches_over_the_whole_map(twice: bool) -> None:
    torch.manual_seed(0)
    layer = SelfAttention(256, twice=twice)
    x = torch.randn(2, 256, 6, 6)
    assert torch.equal(layer(x), x)
    layer.gamma.data.fill_(1.0)
    other = x.clone()
    other[0, :, 0, 0] += 5 * torch.randn(256)
    change = (layer(other) - layer(x)).abs().amax(1)
    assert change[0, 5, 5] > 1e-4
    assert change[1].max() == 0


def test_both_forms_of_attention_give_the_same() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(256)
    layer.gamma.data.fill_(1.0)
    x = torch.randn(2, 256, 4, 6)
    fused = layer(x)
    layer.twice = True
    torch.testing.assert_close(layer(x), fused, rtol=1e-4, atol=1e-4)


def test_a_generator_with_attention_starts_as_one_without() -> None:
    attentive = replace(SMALL, encoder_attention=(16, 4), attention=(16,))
    torch.manual_seed(0)
    model, plain = SwapModel(attentive), SwapModel(SMALL)
    own = dict(model.named_modules())
    pairs = [
        [part for part in network.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]
        for network in (plain, model)
    ]
    inside = {id(part) for layer in own.values() if isinstance(layer, SelfAttention) for part in layer.modules()}
    for ours, theirs in zip(pairs[0], [part for part in pairs[1] if id(part) not in inside], strict=True):
        ours.load_state_dict(theirs.state_dict())
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(model(x, 0)[0], plain(x, 0)[0])


def test_a_residual_block_starts_as_nothing() -> None:
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(Residual(8, 0.1, "rms")(x), x)


@pytest.mark.parametrize("norm", [norm for norm in NORMS if norm != "none"])
@pytest.mark.parametrize("channels", [12, 64])
def test_norms_take_the_scale_away(norm: str, channels: int) -> None:
    torch.manual_seed(0)
    (layer,) = normalise(norm, channels)
    x = torch.randn(2, channels, 6, 6)
    torch.testing.assert_close(layer(100 * x), layer(x), rtol=1e-3, atol=1e-3)
    assert layer(x).square().mean().item() == pytest.approx(1, rel=0.1)


def test_auxiliary_pictures_are_of_the_stages_named_and_are_trained() -> None:
    model = SwapModel(replace(SMALL, auxiliary=(16, 32), norm="rms"))
    x = torch.rand(4, 3, 32, 32)
    made = model.reconstruct(x)
    assert [tuple(picture.shape) for picture in made.auxiliary] == [(4, 3, 16, 16), (4, 3, 32, 32)]
    torch.testing.assert_close(made.colour[2:], model(x[2:], 1)[0])
    made.auxiliary[0].sum().backward()
    trained = {name.rsplit(".", 1)[0] for name, p in model.named_parameters() if p.grad is not None}
    assert {"encoder.squeeze", "decoders.0.stages.0.0", "decoders.1.stages.0.0"} <= trained
    assert "decoders.0.head" not in trained


@pytest.mark.parametrize(
    "change",
    [
        {"attention": (64,)},
        {"attention": (16, 16)},
        {"attention": tuple(range(100_000))},
        {"encoder_attention": (32,)},
        {"auxiliary": (8, 12)},
        {"norm": "batch"},
        {"kernel": 10**6},
        {"kernel": 4},
        {"slope": 1.5},
        {"stem_channels": 10**9},
        {"stem_channels": -1},
        {"stem": 3},
        {"encoder": (8,) * 10**5},
        {"encoder_residual": (10**6, 1)},
        {"decoder": (8,) * 10**5, "residual": (0,) * 10**5},
        {"seed_size": 10**9},
    ],
)
def test_a_strangers_generator_is_refused_at_once(change: dict[str, object]) -> None:
    begin = time.process_time()
    with pytest.raises(ValueError, match=r"generator|residual blocks|norm") as refused:
        replace(SMALL, **change)
    assert len(str(refused.value)) < 300
    assert time.process_time() - begin < 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"size": 50},
        {"size": 2**40},
        {"channels": ()},
        {"channels": (10**6, 8)},
        {"channels": (8,) * 10**5},
        {"kernel": 9},
        {"attention": (64,)},
        {"size": 256, "attention": (128,)},
        {"stem": 0},
        {"stem": 10**9},
        {"residual": 10**9},
        {"slope": -1.0},
        {"norm": "batch"},
    ],
)
def test_a_strangers_discriminator_is_refused_at_once(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"discriminator|norm"):
        replace(REAL, **change)


def test_a_discriminator_judges_what_the_generator_makes() -> None:
    with pytest.raises(ValueError, match="other sizes"):
        replace(find_preset("gan", 64), discriminator=find_preset("gan", 128).discriminator)


def test_the_weights_of_lite_are_named_and_drawn_as_ever() -> None:
    torch.manual_seed(0)
    state = SwapModel(LITE.generator).state_dict()
    assert sum(p.numel() for p in state.values()) == 7_367_136
    assert list(state)[:2] == ["encoder.stages.2.weight", "encoder.stages.2.bias"]
    assert list(state)[-1] == "decoders.1.head.bias"
    assert "decoders.1.stages.1.second.weight" in state
