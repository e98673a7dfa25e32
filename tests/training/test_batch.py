"""The largest batch that fits, with memories that are made up."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from synthetic import SIZE, TINY, make_faces

from fastswap import device
from fastswap.device import free_memory
from fastswap.errors import TrainingError
from fastswap.models import DiscriminatorSpec
from fastswap.training import TrainSettings, assemble, batch
from fastswap.training.batch import advice, find_batch, largest
from fastswap.training.prepare import prepare
from fastswap.training.step import Step
from fastswap.training.store import Store

CPU = torch.device("cpu")


def _made() -> Step:
    judged = replace(
        TINY,
        discriminator=DiscriminatorSpec(size=32, channels=(8,)),
        objective=replace(TINY.objective, adversary="relativistic", adversarial=0.1, r1=1.0),
    )
    return Step(judged, 2, 0, CPU)


@pytest.mark.parametrize(("limit", "multiple"), [(1, 1), (2, 1), (7, 1), (37, 1), (100, 8), (700, 6), (5000, 1)])
def test_the_largest_is_found_to_an_eighth_with_few_trials(limit: int, multiple: int) -> None:
    tried: list[int] = []

    def fits(count: int) -> bool:
        tried.append(count)
        return count <= limit

    found = largest(fits, multiple)
    reachable = min(limit, batch.MOST) // multiple * multiple
    assert found % multiple == 0
    assert reachable - max(multiple, reachable // 8) <= found <= reachable
    assert len(tried) <= 16
    assert all(count % multiple == 0 for count in tried)


def test_nothing_fits() -> None:
    assert largest(lambda count: False) == 0


def test_on_a_cpu_twice_the_free_memory_is_about_twice_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for free in (200e6, 400e6, 800e6):
        monkeypatch.setattr(batch, "free_memory", lambda device, free=free: free)
        found.append(find_batch(_made))
    assert found[0] >= 8
    assert all(1.7 < more / less < 2.4 for less, more in itertools.pairwise(found))
    monkeypatch.setattr(batch, "free_memory", lambda device: 400e6)
    assert found[0] * 0.8 <= find_batch(_made, reserve=180_000_000) <= found[0] * 1.3
    assert find_batch(_made, multiple=5) % 5 == 0
    assert find_batch(_made, most=9) == 9


def test_memory_that_is_too_small_for_any_batch_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "free_memory", lambda device: 1e5)
    with pytest.raises(TrainingError, match="too small for the smallest batch"):
        find_batch(_made)


def test_a_control_groups_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = free_memory(CPU)
    assert 1e8 < free < 1e14
    monkeypatch.setattr(device, "_GROUP", tmp_path)
    (tmp_path / "memory.current").write_text("3000\n")
    (tmp_path / "memory.max").write_text("8000\n")
    assert free_memory(CPU) == 5000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(CPU) == pytest.approx(free, rel=0.2)


@pytest.mark.parametrize(
    ("wanted", "fitting", "said"),
    [(64, 24, "--batch 24, or --accumulate 4 to keep"), (7, 3, "--batch 3, or --accumulate 7"), (4, 0, "--batch 0")],
)
def test_what_to_do_is_said(wanted: int, fitting: int, said: str) -> None:
    assert said in advice(wanted, fitting)


@pytest.mark.gpu
def test_on_a_gpu_what_is_found_fits_and_twice_of_it_does_not(cuda: str) -> None:
    device = torch.device(cuda)
    reserve = int(0.9 * torch.cuda.mem_get_info(device)[1]) - 600_000_000

    def make() -> Step:
        return Step(_made().preset, 2, 0, device)

    found = find_batch(make, most=1 << 16, reserve=reserve)
    fits: Callable[[int], bool] = batch._gpu_fits(make())
    with batch._limited(device, reserve):
        assert fits(found)
        assert not fits(2 * found)


def test_the_memory_that_the_faces_will_take_is_left_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = [make_faces(tmp_path / name, (200, 150, shade)) for name, shade in (("a", 90), ("b", 120))]
    settings = TrainSettings(*faces, tmp_path / "model", preset="lite", loader="resident")
    config, sides = prepare(settings)
    taken = Store.open(sides, config.preset.objective, SIZE, CPU).parts[0].nbytes
    assert assemble.bytes_to_keep(settings, config, sides, CPU) == taken
    assert assemble.bytes_to_keep(replace(settings, store="mapped"), config, sides, CPU) == 0
    monkeypatch.setattr(assemble, "free_memory", lambda device: taken)  # they would not lie there: `auto` maps them
    assert assemble.bytes_to_keep(settings, config, sides, CPU) == 0
