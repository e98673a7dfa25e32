"""What the video bench compares with: clips of the faces that were put there, and a plain swap that does the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fastswap.bench.video import codec, plain
from fastswap.bench.video.clip import FACE, SIZES, Portrait
from fastswap.bench.video.scene import Scene, make_generator, make_scene
from fastswap.bench.video.swap import LEAST_PSNR, PLAINS, Ours, Plain, Work, agreement, swap_rows
from fastswap.bench.video.trial import CAREFUL, OURS, PLAIN, Trial
from fastswap.bench.video.watch import Operations, Watch
from fastswap.errors import FastswapError
from fastswap.ops import soft_mask
from fastswap.video import open_video

FRAMES = 4


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return Portrait.load()


@pytest.fixture(scope="module")
def scene(portrait: Portrait, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"), portrait, "480p", 4, FRAMES)


@pytest.fixture
def work(scene: Scene, portrait: Portrait) -> Work:
    return Work(Trial("480p", 4, "cpu", quick=True), scene, "constant", *make_generator("constant", portrait))


class TestScene:
    def test_each_face_that_was_put_there_is_found_and_as_high_as_it_should_be(self, scene: Scene) -> None:
        assert sorted(scene.rows) == list(range(FRAMES))
        assert all(len(rows) == 4 for rows in scene.rows.values())
        boxes = np.array(scene.found.table["box"].to_pylist())
        heights = (boxes[:, 3] - boxes[:, 1]) / SIZES["480p"][1]
        assert np.abs(heights / FACE - 1).max() < 0.12

    def test_both_sides_read_the_same_colours(self, scene: Scene) -> None:
        with open_video(scene.path) as video:
            ours = [frame.planes for frame in video]
        theirs = list(plain.read(scene.path))
        assert len(ours) == len(theirs) == FRAMES
        luma = ours[0].data[0][0].numpy()
        weights = [np.float32(w) for w in ((0.114, 0.587, 0.299), (0.0722, 0.7152, 0.2126))]  # BT.601, BT.709; BGR
        errors = [np.abs(theirs[0] @ each * 219 / 255 + 16 - luma).mean() for each in weights]
        assert errors[0] < 1.5 < errors[1]

    def test_a_clip_whose_faces_are_not_found_is_no_scene(self, portrait: Portrait, tmp_path: Path) -> None:
        blind = Portrait(np.full_like(portrait.photo, 90), portrait.middle, portrait.height, portrait.landmarks)
        with pytest.raises(FastswapError, match=r"no face found|0 faces were found"):
            make_scene(tmp_path, blind, "480p", 1, 2)


class TestAgreement:
    @pytest.mark.parametrize("name", [PLAIN, CAREFUL])
    def test_the_plain_swap_is_ours_to_within_what_a_figure_needs(self, work: Work, name: str) -> None:
        ours, theirs = Ours(work).pictures(), Plain(work, PLAINS[name]).pictures()
        untouched = [frame for frame, _ in Plain(work, PLAINS[name]).jobs]
        assert agreement(work.scene, ours, theirs) > LEAST_PSNR
        assert agreement(work.scene, ours, untouched) < LEAST_PSNR - 10  # so that to do nothing is no agreement
        outside = np.abs(np.subtract(theirs[0][:40], untouched[0][:40], dtype=np.int16))
        assert outside.max() <= 1

    def test_a_swap_with_other_pictures_has_no_figures(self, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plain.PlainSwapper, "colour", lambda self, face, target, mask: target)
        rows = {row["contender"]: row for row in swap_rows(work)}
        assert "cpu" in rows[OURS]
        assert "cpu" not in rows[PLAIN]
        assert rows[PLAIN]["reason"].startswith("other pictures")

    def test_files_that_were_encoded_otherwise_are_refused(self, scene: Scene, tmp_path: Path) -> None:
        coding = codec.Coding(scene, tmp_path)
        assert coding.write() == coding.plain_write() == coding.encode() == FRAMES
        coding.output.rename(tmp_path / "theirs.mp4")
        coding.write()
        codec.check(coding.output, tmp_path / "theirs.mp4")
        with pytest.raises(FastswapError, match=r"not encoded alike .*crf"):
            codec.check(coding.output, scene.path)


class TestWatch:
    def test_operations_are_told_by_their_stage_and_nothing_else_is(self) -> None:
        watch = Watch()
        with Operations(watch), watch.part("whole"):
            soft_mask(torch.ones(1, 1, 64, 64), 1.0, 4.0)
            torch.ones(8).sum()
        seconds = watch.seconds()
        assert set(seconds) == {"mask", "whole"}
        assert 0 < seconds["mask"] <= seconds["whole"]
        assert watch.seconds() == {}

    def test_the_stages_of_a_swap_make_up_the_whole(self, work: Work) -> None:
        ours = Ours(work)
        ours.step()
        stages = ours.stages()
        assert {"crop", "generate", "colour", "mask", "paste", "rest"} <= set(stages)
        assert stages["rest"] < 0.7 * sum(stages.values())
