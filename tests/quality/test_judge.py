"""The judge: the truth itself scores best, faults cost what they should, and memory stays flat."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fastswap.faces import FaceFinder
from fastswap.quality import clips
from fastswap.quality.judge import CHUNK, Judge, Scores
from fastswap.quality.motion import Motion
from fastswap.quality.puppet import Picture, Puppet

FRAMES = 28


@pytest.fixture(scope="module")
def scores(pair: tuple[Puppet, Puppet]) -> dict[str, Scores]:
    """Of the truth, its blurred and darkened forms, one still frame of it, flicker, an edge, and A untouched."""
    a, b = pair
    motion = Motion.performance(21, FRAMES, 4)
    still = b.render(motion, 0)
    names = ("truth", "blurred", "still", "flickering", "edge", "untouched", "nobody")
    judge = Judge(names, FaceFinder())
    for index, (given, truth) in enumerate(zip(clips.frames(a, motion), clips.frames(b, motion), strict=True)):
        outputs = {
            "truth": truth,
            "blurred": cv2.GaussianBlur(truth, (0, 0), 2),
            "still": still,
            "flickering": np.clip(truth.astype(int) + (8 if index % 2 else 0), 0, 255).astype(np.uint8),
            "edge": _with_edge(truth, b.landmarks(motion, index)),
            "untouched": given,
            "nobody": np.full_like(truth, 128),
        }
        judge.add(outputs, truth, given)
        assert len(judge._waiting) < CHUNK
    return judge.scores()


def _with_edge(truth: Picture, landmarks: np.ndarray) -> Picture:
    from fastswap.quality.anatomy import OVAL

    mask = np.zeros(truth.shape[:2], np.uint8)
    cv2.fillPoly(mask, [landmarks[list(OVAL), :2].round().astype(np.int32)], 1)
    return np.where(mask[..., None] > 0, np.minimum(truth * 1.4, 255).astype(np.uint8), truth)


def test_the_truth_is_perfect(scores: dict[str, Scores]) -> None:
    best = scores["truth"]
    assert best.frames == FRAMES
    assert (best.psnr, best.ssim, best.sharpness, best.found) == pytest.approx((100, 1, 1, 1))
    assert (best.delta_e, best.delta_e_p95, best.flicker) == (0, 0, 0)
    assert (best.seam_gradient, best.seam_delta_e) == (0, 0)
    assert (best.yaw, best.pitch, best.mouth, best.eyes) == pytest.approx((1, 1, 1, 1))


def test_the_untouched_input_gains_nothing_and_follows_well(scores: dict[str, Scores]) -> None:
    given = scores["untouched"]
    assert given.margin == 0
    assert given.psnr < scores["blurred"].psnr < scores["flickering"].psnr
    assert given.yaw > 0.95
    assert given.mouth > 0.9
    assert given.delta_e_p95 > given.delta_e > 5


def test_b_s_picture_gains_and_a_still_one_does_not_follow(scores: dict[str, Scores]) -> None:
    assert scores["blurred"].margin > 3
    assert scores["still"].margin < 1
    assert np.isnan(scores["still"].yaw)
    assert scores["still"].to_json()["yaw"] is None


def test_each_fault_shows_where_it_should(scores: dict[str, Scores]) -> None:
    assert scores["blurred"].sharpness < 0.3
    assert scores["blurred"].ssim < 0.95
    assert scores["flickering"].flicker == pytest.approx(8, abs=1)
    assert scores["edge"].seam_delta_e > 3
    assert scores["edge"].seam_gradient > 0.3
    assert abs(scores["flickering"].seam_delta_e) < 0.2


def test_an_output_without_a_face_is_said(scores: dict[str, Scores]) -> None:
    assert scores["nobody"].found == 0
    assert np.isnan(scores["nobody"].mouth)


def test_frames_that_do_not_belong_together_are_refused() -> None:
    judge = Judge(("swap",))
    small, large = np.zeros((64, 64, 3), np.uint8), np.zeros((66, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="one size"):
        judge.add({"swap": small}, large, small)
    with pytest.raises(ValueError, match="are due"):
        judge.add({"other": small}, small, small)
