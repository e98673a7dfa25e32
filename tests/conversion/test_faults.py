"""An error in any stage of a conversion: it is raised to the caller, at once, and no thread, file or process stays."""

from __future__ import annotations

import pkgutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest

from fastswap import workers
from fastswap.conversion import CompositeSettings, ConvertSettings, convert, swapped_frames
from fastswap.errors import InputError
from fastswap.faceset import FaceSet
from fastswap.models import TrainedModel
from fastswap.video import open_video

pytestmark = pytest.mark.timeout(60)
FRAMES = 96  # twelve batches: more than what waits anywhere
WAIT_S = 20
STAGES = {
    "decode": ("fastswap.video._samples", "from_av"),
    "faces": ("fastswap.faceset:FaceSet", "landmarks"),
    "generate": ("fastswap.models:TrainedModel", "generate"),
    "composite": ("fastswap.conversion.composite", "match_colour"),
    "paste": ("fastswap.conversion.composite", "paste"),
    "encode": ("fastswap.video:VideoWriter", "write"),
}
"""Stage -> what it calls for every frame or batch."""
SETTINGS = CompositeSettings(32, 0.8)


class KilledError(BaseException):
    """Nothing that `except Exception` would catch."""


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(workers, "cores", lambda: 2)
    before, children = set(threading.enumerate()), processes()
    yield
    assert set(threading.enumerate()) <= before
    assert processes() <= children, "no process stays, not even a dead one"
    assert not [path for path in tmp_path.iterdir() if "swapped" in path.name], "neither an output nor a part of one"


def processes() -> set[str]:
    """The children of this process."""
    return {pid for list_of in Path("/proc/self/task").glob("*/children") for pid in list_of.read_text().split()}


def break_at(
    monkeypatch: pytest.MonkeyPatch, stage: str, failure: Callable[[], NoReturn], call: int = 3
) -> threading.Event:
    """Makes what the stage calls fail at the so manieth call. The event: it has."""
    place, name = STAGES[stage]
    owner = pkgutil.resolve_name(place)
    real, lock, failed, calls = getattr(owner, name), threading.Lock(), threading.Event(), 0

    def broken(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        with lock:
            calls += 1
            due = calls == call
        if due:
            failed.set()
            failure()
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, broken)
    return failed


def fail(kind: type[BaseException]) -> Callable[[], NoReturn]:
    def failure() -> NoReturn:
        raise kind("broken on purpose")

    return failure


@pytest.mark.parametrize("kind", [InputError, KilledError])
@pytest.mark.parametrize("stage", STAGES)
def test_an_error_in_any_stage_ends_the_conversion_and_leaves_nothing(
    make_input: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, kind: type[BaseException]
) -> None:
    given = make_input(frames=FRAMES)
    failed = break_at(monkeypatch, stage, fail(kind))
    settings = ConvertSettings(given.clip, model, tmp_path / "swapped.mp4", faces=given.faces)
    with pytest.raises(kind, match="broken on purpose"):
        convert(settings, quiet=True)
    assert failed.is_set()


@pytest.mark.parametrize("stage", ["decode", "faces", "generate", "paste"])
def test_a_stage_that_breaks_while_everybody_waits_for_room_ends_all(
    make_input: Any, model: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Nobody takes a frame, so that all that may wait does; then the stage breaks, then the next frame is asked for."""
    given = make_input(frames=FRAMES)
    taken = threading.Event()

    def when_taken() -> NoReturn:
        taken.wait(WAIT_S)
        time.sleep(0.2)
        raise KilledError("broken on purpose")

    break_at(monkeypatch, stage, when_taken, call=40 if stage == "decode" else 4)
    trained = TrainedModel.open(model)
    with open_video(given.clip) as video:
        frames = swapped_frames(
            video, FaceSet.open(given.faces), 0, lambda x: trained.generate(x, 1), SETTINGS, threads=2
        )
        next(frames)
        time.sleep(0.5)
        taken.set()
        with pytest.raises(KilledError, match="on purpose"):
            list(frames)


def test_a_caller_who_leaves_early_leaves_no_thread(make_input: Any, model: Path) -> None:
    given = make_input(frames=FRAMES)
    trained = TrainedModel.open(model)
    with open_video(given.clip) as video:
        frames = swapped_frames(
            video, FaceSet.open(given.faces), 0, lambda x: trained.generate(x, 1), SETTINGS, threads=2
        )
        with closing(frames):
            next(frames)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastswap")]
