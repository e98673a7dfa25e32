"""The same examples wherever the faces are kept; and where that is."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import TINY, make_faces

from fastswap.device import free_memory
from fastswap.errors import DamagedFileError, UsageError
from fastswap.faceset import FaceSet
from fastswap.models import newest_checkpoint
from fastswap.ops import Jitter
from fastswap.training import TrainSettings, parallel, placement, store, train
from fastswap.training.assemble import open_feed
from fastswap.training.facecache import FaceCache
from fastswap.training.feed import Feed
from fastswap.training.placement import choose_place
from fastswap.training.prepare import prepare
from fastswap.training.sampler import Sampler
from fastswap.training.sides import Side, choose_side
from fastswap.training.staging import Staging
from fastswap.training.store import Store

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GB = 10**9


@pytest.fixture(scope="module")
def sides(pair: tuple[Path, Path]) -> list[Side]:
    return [choose_side(name, FaceSet.open(path), None) for name, path in zip("AB", pair, strict=True)]


def _feed(opened: Store) -> Feed:
    return Feed(opened, Sampler(opened.counts, 4, 0), TINY, coverage=0.75, jitter=Jitter())


def _assert_same(one: Feed, other: Feed) -> None:
    for iteration in (0, 1, 2, 70):
        mine, theirs = one(iteration).tensors(), other(iteration).tensors()
        for name, tensor in mine.items():
            assert torch.equal(tensor.cpu(), theirs[name].cpu()), name
    assert torch.equal(one.plain(1, 5)[1].cpu(), other.plain(1, 5)[1].cpu())


def test_a_store_holds_pictures_and_masks_side_after_side(sides: list[Side]) -> None:
    opened = Store.open(sides, TINY.objective, 64, CPU)
    faces, index = opened.batch(np.array([0, 12, 20]))
    assert (opened.place, opened.counts, faces.shape) == ("device", [12, 9], (21, 64, 64, 4))
    for place, (side, row) in zip(index.tolist(), [(0, 0), (1, 0), (1, 8)], strict=True):
        picture = sides[side].faces.images([row])[0]
        np.testing.assert_array_equal(faces[place, ..., :3].numpy(), picture)
    assert 100 < faces[0, 32, 32, 3] <= 255
    assert faces[0, 0, 0, 3] == 0


@pytest.mark.parametrize("caching", [False, True])
def test_mapped_faces_give_the_examples_of_those_on_the_device(
    sides: list[Side], caching: bool, tmp_path: Path
) -> None:
    cache = FaceCache(tmp_path) if caching else None
    mapped = Store.open(sides, TINY.objective, 48, CPU, place="mapped", cache=cache)
    assert (mapped.place, len(mapped.parts)) == ("mapped", 2)
    _assert_same(_feed(Store.open(sides, TINY.objective, 48, CPU)), _feed(mapped))


def test_faces_from_the_cache_are_those_that_were_decoded(
    sides: list[Side], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Store.open(sides, TINY.objective, 48, CPU, cache=FaceCache(tmp_path))
    monkeypatch.setattr(store, "decoded", lambda *_: pytest.fail("decoded again"))
    again = Store.open(sides, TINY.objective, 48, CPU, cache=FaceCache(tmp_path))
    assert torch.equal(fresh.parts[0], again.parts[0])
    assert len(list(tmp_path.glob("*.faces"))) == 2, "a file a face set: another B does not decode A again"


def test_a_picture_that_changed_is_decoded_again(tmp_path: Path) -> None:
    folder, cache = make_faces(tmp_path / "a", (200, 150, 120)), tmp_path / "cache"
    first = Store.open([choose_side("A", FaceSet.open(folder), None)], TINY.objective, 48, CPU, cache=FaceCache(cache))
    (folder / "000002_0.png").write_bytes((folder / "000006_0.png").read_bytes())
    (folder / "000009_0.png").unlink()
    again = Store.open([choose_side("A", FaceSet.open(folder), None)], TINY.objective, 48, CPU, cache=FaceCache(cache))
    assert again.counts == [11]
    assert torch.equal(again.parts[0][2, ..., :3], first.parts[0][6, ..., :3])


def test_a_picture_that_cannot_be_read_is_named_and_nothing_kept(tmp_path: Path) -> None:
    folder, cache = make_faces(tmp_path / "a", (200, 150, 120)), tmp_path / "cache"
    (folder / "000003_0.png").write_bytes(b"no picture")
    with pytest.raises(DamagedFileError, match=r"000003_0\.png"):
        Store.open([choose_side("A", FaceSet.open(folder), None)], TINY.objective, 48, CPU, cache=FaceCache(cache))
    assert list(cache.glob("*.faces")) == []


def test_rows_are_gathered_from_all_parts_in_any_order() -> None:
    faces = torch.arange(10 * 16, dtype=torch.uint8).reshape(10, 2, 2, 4)
    staging = Staging([faces[:4], faces[4:7], faces[7:]], CPU)
    for index in ([0, 9], [9, 0, 5, 5, 3, 4, 6, 7], [], [8]):
        rows = staging(np.array(index, dtype=np.int64))
        assert torch.equal(rows, faces[torch.tensor(index, dtype=torch.int64)])
    for wrong in (-1, 10):
        with pytest.raises(IndexError, match="10 faces"):
            staging(np.array([0, wrong]))


def test_a_batch_outlives_the_next_ones() -> None:
    faces = torch.arange(10 * 16, dtype=torch.uint8).reshape(10, 2, 2, 4)
    staging = Staging([faces], CPU)
    batches = [staging(np.array([first, first + 1])) for first in range(5)]
    for first, rows in enumerate(batches):
        assert torch.equal(rows, faces[first : first + 2])


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Bytes free by kind of device, for `choose_place` to find."""
    free = {"cuda": 10 * GB, "cpu": 40 * GB}
    monkeypatch.setattr(placement, "free_memory", lambda device: free[device.type])
    return free


@pytest.mark.parametrize(
    ("size", "device", "reserve", "sharing", "place"),
    [
        (5 * GB, CUDA, None, 1, "device"),
        (6 * GB, CUDA, None, 1, "pinned"),
        (6 * GB, CUDA, 4 * GB, 1, "device"),
        (6 * GB, CUDA, 5 * GB, 1, "pinned"),
        (1 * GB, CUDA, 11 * GB, 1, "pinned"),
        (31 * GB, CUDA, None, 1, "mapped"),
        (8 * GB, CUDA, None, 8, "mapped"),
        (20 * GB, CPU, None, 1, "device"),
        (21 * GB, CPU, None, 1, "mapped"),
        (11 * GB, CPU, None, 2, "mapped"),
    ],
)
def test_faces_spill_from_the_device_to_memory_to_disk(
    memory: dict[str, int],
    caplog: pytest.LogCaptureFixture,
    size: int,
    device: torch.device,
    reserve: int | None,
    sharing: int,
    place: str,
) -> None:
    assert choose_place("auto", size, device, reserve, sharing) == place
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == (place != "device")
    for line in said:
        assert f"{size / GB:.1f} GB" in line
        assert "--store device" in line
        assert ("on disk" in line) == (place == "mapped")


def test_a_place_that_is_asked_for_is_had_or_refused(memory: dict[str, int]) -> None:
    assert choose_place("device", 9 * GB, CUDA) == "device", "beyond the reserve: the user insists"
    assert choose_place("pinned", 1 * GB, CUDA) == "pinned"
    assert choose_place("mapped", 10**15, CPU) == "mapped"
    with pytest.raises(UsageError, match=r"--store device: the faces take 11\.0 GB and 10\.0 GB are free"):
        choose_place("device", 11 * GB, CUDA)
    with pytest.raises(UsageError, match=r"--store pinned: the faces take 41\.0 GB"):
        choose_place("pinned", 41 * GB, CUDA)
    with pytest.raises(UsageError, match="--store pinned is for a GPU"):
        choose_place("pinned", 1, CPU)


def test_free_memory_is_what_can_be_had_without_swapping() -> None:
    assert 10**8 < free_memory(CPU) < 10**14


def test_a_training_is_the_same_wherever_its_faces_are(settings: Callable[..., TrainSettings]) -> None:
    asked = [settings(place, store=place, sampling="yaw", iterations=3) for place in ("device", "mapped")]
    for one in asked:
        train(one)
    device, mapped = (newest_checkpoint(one.model).tensors() for one in asked)  # type: ignore[union-attr]
    assert all(torch.equal(tensor, mapped[name]) for name, tensor in device.items())
    assert asked[0].cache
    assert len(list(asked[0].cache.glob("*.faces"))) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"store": "disk"}, "--store disk: choose one of auto, device, pinned, mapped"),
        ({"sampling": "pitch"}, "--sampling pitch: choose one of uniform, yaw"),
        ({"keep_faces": False}, "--cache and --no-cache exclude each other"),
    ],
)
def test_wrong_settings_name_the_right_ones(
    settings: Callable[..., TrainSettings], wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        settings(**wrong).check()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_with_a_shard_holds_and_shows_that(
    settings: Callable[..., TrainSettings], rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = make_faces(tmp_path / "a", (200, 150, 120), count=17)
    asked = replace(settings(shard=True), faces_a=faces, faces_b=faces)
    config, sides = prepare(asked)
    whole = open_feed(replace(asked, shard=False), config, sides, CPU)
    monkeypatch.setattr(parallel, "rank", lambda: rank)
    monkeypatch.setattr(parallel, "world", lambda: 2)
    part = open_feed(asked, config, sides, CPU)
    held = 9 - rank
    assert part.counts == [held, held]
    shown = np.concatenate([part.sampler.indices(iteration)[:2] for iteration in range(9)])
    assert sorted(shown[:held]) == list(range(held))
    rows, _ = part.store.batch(np.arange(2 * held))
    assert torch.equal(rows[:held], whole.store.batch(np.arange(34))[0][rank:17:2])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="resets the peak by Linux's /proc")
def test_decoding_takes_the_store_and_a_few_chunks(tmp_path: Path) -> None:
    """In a process of its own: what earlier tests leave to be freed would hide it."""
    make_faces(tmp_path / "a", (200, 150, 120), count=600)
    child = Path(__file__).with_name("store_child.py")
    done = subprocess.run(
        [sys.executable, child, tmp_path / "a", tmp_path / "cache"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    size, *peaks = map(int, done.stdout.split())
    for way, grown in zip(("into the cache", "out of it"), peaks, strict=True):
        assert 0.9 * size < grown < 1.4 * size, f"{way}: {grown / 1e6:.0f} MB for {size / 1e6:.0f} MB of faces"


@pytest.mark.gpu
@pytest.mark.parametrize("place", ["device", "pinned", "mapped"])
def test_a_gpu_is_given_the_examples_of_the_cpu(sides: list[Side], cuda: str, place: str, tmp_path: Path) -> None:
    device = torch.device(cuda)
    there = Store.open(sides, TINY.objective, 48, device, place=place, cache=FaceCache(tmp_path))
    here = Store.open(sides, TINY.objective, 48, CPU, cache=FaceCache(tmp_path))
    for iteration in range(300):  # far ahead of the device, so that buffers are used again while they are copied
        faces, index = there.batch(Sampler(here.counts, 4, 0).indices(iteration))
        if iteration % 50 == 0:
            wanted = here.parts[0][torch.from_numpy(Sampler(here.counts, 4, 0).indices(iteration))]
            assert torch.equal(faces[index].cpu(), wanted)


@pytest.mark.gpu
def test_a_buffer_is_not_filled_while_it_is_copied(cuda: str) -> None:
    faces = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(200, 64, 64, 4).contiguous()
    staging, device = Staging([faces], torch.device(cuda)), torch.device(cuda)
    with torch.cuda.stream(torch.cuda.Stream(device)):
        torch.cuda._sleep(10**8)  # the copies wait on the device while the host goes on
        batches = [staging(np.full(16, number)) for number in range(200)]
    torch.cuda.synchronize(device)
    for number, rows in enumerate(batches):
        assert (rows == number).all()


@pytest.mark.gpu
def test_feeds_run_on_any_stream(sides: list[Side], cuda: str) -> None:
    device = torch.device(cuda)
    feeds = [_feed(Store.open(sides, TINY.objective, 48, device, place=place)) for place in ("device", "pinned")]
    with torch.cuda.stream(torch.cuda.Stream(device)):
        _assert_same(*feeds)
