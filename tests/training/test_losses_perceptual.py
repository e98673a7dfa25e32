"""The loss in the features of a network that the user brings: what it is, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from fastswap.errors import InputError
from fastswap.models import read_config
from fastswap.training import TrainSettings, losses, train

CPU = torch.device("cpu")
STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21))
CHANNELS = (3, 4, 4, 6, 6, 8, 8, 8, 5, 5, 5)
Write = Callable[..., Path]


def _noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _tensors() -> dict[str, Tensor]:
    """A VGG as small as they come, with a fifth stage and a head that nobody needs."""
    tensors = {"classifier.0.weight": torch.zeros(2, 5)}
    tensors |= {"features.24.weight": torch.zeros(7, 5, 3, 3), "features.24.bias": torch.zeros(7)}
    for number, before, after in zip(itertools.chain(*STAGES), CHANNELS, CHANNELS[1:], strict=False):
        tensors[f"features.{number}.weight"] = _noise(number, after, before, 3, 3) - 0.4
        tensors[f"features.{number}.bias"] = _noise(number + 50, after) - 0.5
    return tensors


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(**changes: Tensor | None) -> Path:
        tensors = _tensors()
        for name, tensor in changes.items():
            key = name.replace("__", ".")
            tensors.pop(key, None)
            if tensor is not None:
                tensors[key] = tensor
        save_file(tensors, tmp_path / "network.safetensors")
        return tmp_path / "network.safetensors"

    return make


def _features(picture: Tensor) -> list[Tensor]:
    tensors = {name: tensor.double() for name, tensor in _tensors().items()}
    mean, deviation = (torch.tensor(x).double().view(3, 1, 1) for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    x, maps = (picture.double() - mean) / deviation, []
    for stage in STAGES:
        x = functional.max_pool2d(x, 2) if maps else x
        for number in stage:
            x = functional.conv2d(
                x, tensors[f"features.{number}.weight"], tensors[f"features.{number}.bias"], padding=1
            ).relu()
        variance, average = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
        maps.append((x - average) / (variance + 1e-5).sqrt())
    return maps


def test_it_is_the_weighted_distance_of_the_features_of_four_stages(write: Write) -> None:
    network = losses.open_perceptual(write(), CPU)
    output, target = _noise(1, 2, 3, 32, 32), _noise(2, 2, 3, 32, 32)
    pairs = zip((0.01, 0.1, 0.3, 0.1), _features(output), _features(target), strict=True)
    expected = sum(share * (a - b).abs().mean() for share, a, b in pairs)
    assert network(output, target).item() == pytest.approx(float(expected), rel=1e-3)
    assert network(target, target.clone()).item() == 0


def test_the_picture_learns_and_the_network_does_not(write: Write) -> None:
    network = losses.open_perceptual(write(), CPU)
    output = _noise(1, 1, 3, 32, 32).requires_grad_()
    network(output, _noise(2, 1, 3, 32, 32)).backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_it_runs_in_the_precision_of_the_step(write: Write) -> None:
    path, output, target = write(), _noise(1, 1, 3, 32, 32), _noise(2, 1, 3, 32, 32)
    exact = losses.open_perceptual(path, CPU)(output, target)
    half = losses.open_perceptual(path, CPU, torch.bfloat16)
    near = half(output, target)
    assert half.precision == torch.bfloat16
    assert near.dtype == torch.float32
    assert near.item() == pytest.approx(exact.item(), rel=0.05)


def test_parts_of_a_batch_add_up(write: Write) -> None:
    network = losses.open_perceptual(write(), CPU)
    output, target = _noise(1, 4, 3, 32, 32), _noise(2, 4, 3, 32, 32)
    halves = [network(output[part], target[part]).item() for part in (slice(2), slice(2, 4))]
    assert network(output, target).item() == pytest.approx(sum(halves) / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features__0__weight": None}, "features.0.weight"),
        ({"features__2__bias": None}, "features.2 has 4 channels"),
        ({"features__5__weight": torch.zeros(6, 9, 3, 3)}, "features.5.weight"),
        ({"features__2__weight": torch.zeros(4, 4, 3, 1)}, "features.2.weight"),
        ({"features__2__weight": torch.ones(4)}, "features.2.weight"),
        ({"features__7__weight": None}, "between features.5 and features.10"),
        ({"features__2__bias": torch.full((4,), torch.nan)}, "not a number"),
    ],
)
def test_what_is_no_such_network_is_refused_in_one_line(
    write: Write, changes: dict[str, Tensor | None], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        losses.open_perceptual(write(**changes), CPU)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vgg16.pth").write_bytes(b"PK\x03\x04 a pickle in a zip, as torch.save writes it")
    for name in ("vgg16.pth", "absent.safetensors"):
        with pytest.raises(InputError, match=r"--perceptual takes a \.safetensors"):
            losses.open_perceptual(tmp_path / name, CPU)


def test_training_with_it_gives_it_a_weight(write: Write, settings: Callable[..., TrainSettings]) -> None:
    asked = settings(iterations=2, perceptual=write())
    summary = train(asked)
    assert summary.losses["perceptual"] > 0
    assert read_config(asked.model).preset.objective.perceptual == 1.0


def test_training_on_without_it_says_so(
    write: Write, settings: Callable[..., TrainSettings], caplog: pytest.LogCaptureFixture
) -> None:
    train(settings(iterations=1, perceptual=write()))
    summary = train(settings(iterations=2))
    assert "perceptual" not in summary.losses
    assert "needs --perceptual FILE" in caplog.text


def test_training_with_a_file_that_is_none_leaves_no_model(
    tmp_path: Path, settings: Callable[..., TrainSettings]
) -> None:
    asked = settings(perceptual=tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match="--perceptual takes"):
        train(asked)
    assert not (asked.model / "config.json").exists()
