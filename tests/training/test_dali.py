"""Faces that DALI reads from disk are those of the resident store; what is wrong on disk is one clear line."""

from __future__ import annotations

import builtins
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from synthetic import TINY, make_faces

from fastswap.errors import DamagedFileError, InputError, MissingDependencyError, UsageError
from fastswap.faceset import FaceSet
from fastswap.ops import Jitter
from fastswap.training import TrainSettings, train
from fastswap.training.dali import AHEAD, DaliFeed, Disk, pipeline, threads
from fastswap.training.examples import Examples
from fastswap.training.feed import Feed
from fastswap.training.sampler import Sampler
from fastswap.training.sides import Side, choose_side
from fastswap.training.store import Store

pytest.importorskip("nvidia.dali", reason='NVIDIA DALI is not installed: pip install "fastswap[cuda]"')

Settings = Callable[..., TrainSettings]
Pair = tuple[Path, Path]
CPU = torch.device("cpu")


def _sides(pair: Pair) -> list[Side]:
    return [choose_side(name, FaceSet.open(path), None) for name, path in zip("AB", pair, strict=True)]


def _sampler(sides: list[Side], **changes: int) -> Sampler:
    return Sampler([len(side.rows) for side in sides], 4, 3, **changes)


def _resident(sides: list[Side], size: int = 64, device: torch.device = CPU, **changes: int) -> Feed:
    store = Store.open(sides, TINY.objective, size, device, place="device")
    return Feed(store, _sampler(sides, **changes), TINY, coverage=0.75, jitter=Jitter())


@pytest.fixture
def dali() -> Iterator[Callable[..., DaliFeed]]:
    """Makes feeds, closed in the end."""
    made: list[DaliFeed] = []

    def make(sides: list[Side], size: int = 64, device: torch.device = CPU, **changes: int) -> DaliFeed:
        sampler = _sampler(sides, **changes)
        disk = Disk(sides, TINY.objective, size, sampler, device)
        made.append(DaliFeed(disk, sampler, TINY, coverage=0.75, jitter=Jitter()))
        return made[-1]

    yield make
    for feed in made:
        feed.close()


def _same(one: Examples, other: Examples) -> bool:
    first, second = one.tensors(), other.tensors()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _run(feed: Feed, first: int, end: int) -> None:
    for iteration in range(first, end):
        feed(iteration)


def test_examples_are_those_of_the_resident_store_bit_for_bit(pair: Pair, dali: Callable[..., DaliFeed]) -> None:
    resident, feed = _resident(_sides(pair)), dali(_sides(pair))
    assert feed.counts == resident.counts
    assert feed.epoch(7) == resident.epoch(7)
    for iteration in range(5):
        assert _same(resident(iteration, 0.5), feed(iteration, 0.5)), f"iteration {iteration}"
    index, faces = feed.plain(1, 5)
    torch.testing.assert_close(faces, resident.plain(1, 5)[1], atol=0, rtol=0)
    assert index.tolist() == resident.plain(1, 5)[0].tolist()
    assert _same(resident(5), feed(5)), "the preview between them takes nothing from the queue"


def test_shrunk_pictures_differ_by_the_filter_alone(tmp_path: Path, dali: Callable[..., DaliFeed]) -> None:
    pair = make_faces(tmp_path / "a", (200, 150, 120), size=256), make_faces(tmp_path / "b", (120, 150, 200), size=128)
    ours, theirs = _resident(_sides(pair), 85)(3), dali(_sides(pair), 85)(3)
    for name in ("warped", "target"):
        difference = ours.tensors()[name] - theirs.tensors()[name]
        assert -10 * difference.square().mean().log10() > 55, name  # dB: 60 on these, 55 to 60 on a photograph
        assert difference.abs().max() < 0.02
    assert torch.equal(ours.mask, theirs.mask)
    assert torch.equal(ours.emphasis, theirs.emphasis)


def test_a_side_that_is_not_shrunk_stays_as_it_is_beside_one_that_is(
    tmp_path: Path, dali: Callable[..., DaliFeed]
) -> None:
    pair = make_faces(tmp_path / "a", (200, 150, 120), size=128), make_faces(tmp_path / "b", (120, 150, 200), size=64)
    ours, theirs = _resident(_sides(pair))(0).target, dali(_sides(pair))(0).target
    assert torch.equal(ours[4:], theirs[4:])
    assert not torch.equal(ours[:4], theirs[:4])


def test_iterations_in_order_never_start_anew(
    pair: Pair, dali: Callable[..., DaliFeed], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []
    monkeypatch.setattr("fastswap.training.dali.pipeline", lambda *a, **k: built.append(1) or pipeline(*a, **k))
    feed = dali(_sides(pair))
    _run(feed, 5, 10)
    assert len(built) == 1
    _run(feed, 5, 10)
    assert len(built) == 2


def test_any_iteration_is_the_same_whenever_it_is_asked_for(pair: Pair, dali: Callable[..., DaliFeed]) -> None:
    feed, resumed = dali(_sides(pair)), dali(_sides(pair))
    whole = [feed(iteration) for iteration in range(9)]
    assert all(_same(whole[iteration], resumed(iteration)) for iteration in (6, 7, 8)), "resumed at 6"
    assert all(_same(whole[iteration], resumed(iteration)) for iteration in (2, 2, 3, 1)), "jumps"


def test_two_processes_show_the_parts_of_one(pair: Pair, dali: Callable[..., DaliFeed]) -> None:
    whole = dali(_sides(pair))(4).target.unflatten(0, (2, 2, 2))
    for rank in range(2):
        torch.testing.assert_close(dali(_sides(pair), rank=rank, world=2)(4).target, whole[:, rank].flatten(0, 1))


def test_processes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastswap.workers.cores", lambda: 16)
    assert threads() == 16
    for processes, each in ((8, 2), (32, 1)):
        monkeypatch.setattr("fastswap.training.parallel.neighbours", lambda count=processes: count)
        assert threads() == each


def test_a_mask_of_the_users_own_goes_with_its_face(tmp_path: Path, dali: Callable[..., DaliFeed]) -> None:
    pair = make_faces(tmp_path / "a", (200, 150, 120)), make_faces(tmp_path / "b", (120, 150, 200))
    for path in pair[0].glob("*_0.png"):
        cv2.imwrite(str(path.with_suffix(".mask.png")), np.zeros((64, 64), np.uint8))
    mask = dali(_sides(pair))(0).mask
    assert mask[:4].max() == 0
    assert mask[4:].max() == 1


def test_masks_are_drawn_once(pair: Pair, dali: Callable[..., DaliFeed], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    original = FaceSet.masks

    def count(self: FaceSet, rows: Any, size: int) -> Any:
        drawn.extend(rows)
        return original(self, rows, size)

    monkeypatch.setattr(FaceSet, "masks", count)
    _run(dali(_sides(pair)), 0, 12)
    assert len(drawn) <= (12 + 9) * 1.5, "two threads that miss the same face may both draw it"


def _copy(tmp_path: Path) -> Pair:
    return make_faces(tmp_path / "a", (200, 150, 120)), make_faces(tmp_path / "b", (120, 150, 200), count=9)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _shrink(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((32, 32, 3), np.uint8))


@pytest.mark.parametrize("break_it", [_cut, _flip, _shrink, lambda path: path.write_bytes(b"")])
def test_a_picture_that_is_broken_is_named(
    tmp_path: Path, dali: Callable[..., DaliFeed], break_it: Callable[[Path], None]
) -> None:
    pair = _copy(tmp_path)
    break_it(pair[1] / "000005_0.png")
    feed = dali(_sides(pair))
    with pytest.raises(DamagedFileError, match=r"000005_0\.png is not a 64 x 64 picture: delete it") as caught:
        _run(feed, 0, 9)
    assert "\n" not in str(caught.value)


def test_a_picture_deleted_before_is_a_face_that_is_gone_and_one_deleted_meanwhile_is_named(
    tmp_path: Path, dali: Callable[..., DaliFeed]
) -> None:
    pair = _copy(tmp_path)
    (pair[0] / "000004_0.png").unlink()
    feed = dali(_sides(pair))
    assert feed.counts == [11, 9]
    feed(0)
    for path in pair[0].glob("*.png"):
        path.unlink()
    with pytest.raises(InputError, match=r"00000\d_0\.png was deleted while it was trained on"):
        _run(feed, 1, 2 + AHEAD)


def test_training_from_disk_goes_on_with_the_same_bits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    original = DaliFeed.__call__

    def interrupted(self: DaliFeed, iteration: int, *arguments: float) -> Examples:
        if iteration == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, iteration, *arguments)

    whole = train(settings("whole", loader="dali", cache=None))
    with monkeypatch.context() as patch:
        patch.setattr(DaliFeed, "__call__", interrupted)
        assert train(settings("cut", loader="dali", cache=None)).interrupted
    cut = train(settings("cut", loader="dali", cache=None))
    resident = train(settings("resident", loader="resident"))
    assert (whole.iteration, cut.iterations) == (12, 5)
    one, two, three = (load_file(summary.checkpoint) for summary in (whole, cut, resident))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(torch.equal(one[name], three[name]) for name in one), "64 px are kept as they are: nothing is resampled"


def test_who_keeps_decoded_faces_on_disk_is_told_of_dali(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        train(settings("resident", iterations=1, loader="resident", store="mapped"))
        assert "--loader dali" not in caplog.text
        train(settings("auto", iterations=1, store="mapped"))
        assert caplog.text.count("--loader dali") == 1


@pytest.mark.parametrize("changes", [{"store": "device", "cache": None}, {}])
def test_dali_keeps_no_decoded_faces(settings: Settings, changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="--store and --cache are for decoded faces"):
        train(settings(loader="dali", **changes))


def test_memory_does_not_grow(pair: Pair, dali: Callable[..., DaliFeed]) -> None:
    feed = dali(_sides(pair))

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    _run(feed, 0, 100)
    before = resident()
    _run(feed, 100, 600)
    assert resident() - before < 500 * 8 * 64 * 64 * 3 / 4, "a quarter of what was decoded"


def test_a_machine_without_dali_is_told_the_extra(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.startswith("nvidia.dali"):
            raise ModuleNotFoundError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.delitem(sys.modules, "nvidia.dali", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match=r'pip install "fastswap\[cuda\]"'):
        train(settings(loader="dali", cache=None))


@pytest.mark.parametrize("shrinks", [False, True])
def test_the_pipeline_of_a_gpu_is_one_that_dali_accepts(shrinks: bool) -> None:
    graph = pipeline(4, 64, shrinks=shrinks, decoder="mixed", device_id=None).serialize()
    assert b"mixed" in graph
    assert (b"Resize" in graph) == shrinks


@pytest.mark.gpu
@pytest.mark.parametrize("aside", [False, True])
def test_on_a_gpu_the_examples_are_those_of_the_store_there(
    pair: Pair, dali: Callable[..., DaliFeed], cuda: str, aside: bool
) -> None:
    device = torch.device(cuda)
    resident, feed = _resident(_sides(pair), device=device), dali(_sides(pair), device=device)
    with torch.cuda.stream(torch.cuda.Stream() if aside else torch.cuda.current_stream()):
        got = [feed(iteration) for iteration in range(20)]
        expected = [resident(iteration) for iteration in range(20)]
    torch.cuda.synchronize()
    assert all(one.target.is_cuda for one in got)
    assert all(_same(one, other) for one, other in zip(got, expected, strict=True))
