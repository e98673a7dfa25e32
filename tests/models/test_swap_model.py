"""The networks: shapes, sizes, what is shared and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fastswap.errors import UsageError
from fastswap.models import LITE, ORIGINAL, PRESETS, Preset, SwapModel, find_preset

TINY = replace(
    LITE, name="tiny",
    generator=replace(
        LITE.generator, size_in=32, size_out=32, encoder=(16,), dense=32, seed_size=4, seed_channels=16, shared_up=16,
        decoder=(16,), residual=(1,),
    ),
)  # fmt: skip


def _parameters(preset: Preset) -> dict[str, int]:
    with torch.device("meta"):
        model = SwapModel(preset.generator)
    return {name: parameter.numel() for name, parameter in model.named_parameters()}


def test_original_has_the_parameters_of_the_original() -> None:
    counts = _parameters(ORIGINAL)
    mask = 2 * (64 * 5 * 5 + 1)
    assert sum(counts.values()) - mask == 82_062_470
    assert sum(n for name, n in counts.items() if name.startswith("encoder")) == 69_662_976


def test_lite_has_a_few_million_parameters() -> None:
    assert 2e6 < sum(_parameters(LITE).values()) < 10e6


@pytest.mark.parametrize("preset", [LITE, ORIGINAL, TINY], ids=lambda preset: preset.name)
def test_shapes(preset: Preset) -> None:
    with torch.device("meta"):
        model = SwapModel(preset.generator, sides=3)
        x = torch.empty(2, 3, preset.size_in, preset.size_in)
    colour, mask = model(x, 2)
    assert colour.shape == (2, 3, preset.size_out, preset.size_out)
    assert mask.shape == (2, 1, preset.size_out, preset.size_out)


@pytest.mark.parametrize("preset", [TINY, LITE], ids=lambda preset: preset.name)
def test_values_are_in_range_and_start_without_a_checkerboard(preset: Preset) -> None:
    torch.manual_seed(0)
    model = SwapModel(preset.generator)
    colour, mask = model(torch.rand(2, 3, preset.size_in, preset.size_in), 0)
    assert 0 <= colour.min() <= colour.max() <= 1
    assert 0 <= mask.min() <= mask.max() <= 1
    torch.testing.assert_close(colour[..., ::2, ::2], colour[..., 1::2, 1::2], msg="sub-pixels start equal")


def test_one_pass_of_all_sides_is_each_side_alone() -> None:
    torch.manual_seed(0)
    model = SwapModel(TINY.generator).eval()
    x = torch.rand(6, 3, 32, 32)
    colour, mask, code, auxiliary = model.reconstruct(x)
    assert auxiliary == ()
    assert code.shape == (6, TINY.generator.dense)
    for side, part in enumerate(x.chunk(2)):
        alone = model(part, side)
        torch.testing.assert_close(colour.chunk(2)[side], alone[0])
        torch.testing.assert_close(mask.chunk(2)[side], alone[1])


def test_a_side_trains_the_encoder_and_its_own_decoder_only() -> None:
    model = SwapModel(TINY.generator)
    model(torch.rand(1, 3, 32, 32), 1)[0].sum().backward()
    trained = {
        name.split(".")[0] + "." + name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None
    }
    assert "decoders.1" in trained
    assert "decoders.0" not in trained
    assert any(name.startswith("encoder") for name in trained)


def test_presets_are_found_by_name() -> None:
    assert find_preset("lite") is LITE
    assert all(find_preset(name, size).name == name for name, sizes in PRESETS.items() for size in sizes)
    with pytest.raises(UsageError, match=r"choose one of gan, gan-v2\.2, lite, original"):
        find_preset("dfl")
    with pytest.raises(UsageError, match="not made for 100 px: choose one of 64"):
        find_preset("original", 100)


@pytest.mark.parametrize(
    "change",
    [
        {"size_out": 128},
        {"size_in": 100},
        {"residual": (1,)},
        {"dense": 0},
        {"decoder": (9999, 64)},
        {"stem": 0},
    ],
)
def test_a_preset_whose_layers_do_not_fit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"generator|residual blocks"):
        replace(LITE.generator, **change)
    with pytest.raises(ValueError, match="preset lite: batch"):
        replace(LITE, batch=0)


def test_lite_does_not_see_light_nor_skin_colour() -> None:
    torch.manual_seed(0)
    model = SwapModel(TINY.generator)
    x = 0.2 + 0.4 * torch.rand(2, 3, 32, 32)
    other = x * torch.tensor([0.9, 1.2, 0.8]).view(3, 1, 1) + 0.1
    torch.testing.assert_close(model(other, 0)[0], model(x, 0)[0], atol=2e-2, rtol=0)


def test_a_face_without_contrast_stays_finite() -> None:
    colour, mask = SwapModel(TINY.generator)(torch.full((1, 3, 32, 32), 0.5), 0)
    assert bool(torch.isfinite(colour).all() and torch.isfinite(mask).all())
