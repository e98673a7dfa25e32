"""Puppets: the photo at rest, what each track does to it, and where B stands on A's place."""

from __future__ import annotations

from dataclasses import fields

import cv2
import numpy as np
import pytest
import torch

from fastswap.errors import InputError, UsageError
from fastswap.faces import FaceFinder, Faces, align, eye_opening, head_pose, mouth_opening
from fastswap.ops.planes import Planes
from fastswap.quality import anatomy as at
from fastswap.quality import clips, portraits
from fastswap.quality.metrics import correlation
from fastswap.quality.motion import Motion
from fastswap.quality.puppet import DETAIL, Picture, Puppet

Pair = tuple[Puppet, Puppet]


def posed(puppet: Puppet, **values: float) -> Motion:
    rest = Motion.neutral(1, puppet.mouth)
    return Motion(**{f.name: np.full(1, values.get(f.name, getattr(rest, f.name)[0])) for f in fields(Motion)})


def find(pictures: list[Picture]) -> Faces:
    return FaceFinder().find(Planes("rgb", (torch.from_numpy(np.stack(pictures)),)))


@pytest.mark.parametrize("which", [0, 1], ids=["astronaut", "admiral"])
def test_a_puppet_at_rest_is_its_photo(pair: Pair, which: int) -> None:
    puppet = pair[which]
    wide = puppet.size * DETAIL
    photo = cv2.resize(puppet._texture[:wide], (puppet.size, puppet.size), interpolation=cv2.INTER_LINEAR)
    error = puppet.render(posed(puppet), 0).astype(np.float64) - photo
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 40


@pytest.mark.parametrize("which", [0, 1])
def test_the_skin_has_holes_where_the_mouth_and_the_eyes_are(pair: Pair, which: int) -> None:
    rig = pair[which]._rig
    corners = {frozenset(triangle) for triangle in rig.triangles.tolist()}
    for hole in (at.INNER_LIPS, *at.EYES):
        assert not [t for t in corners if t <= set(hole)]
    assert rig.triangles.max() < len(rig.points)
    assert set(at.IRISES).isdisjoint(rig.triangles.ravel().tolist())


def test_rendering_is_deterministic(pair: Pair) -> None:
    motion = Motion.performance(5, 40, 25)
    first, again = pair[0].render(motion, 20), pair[0].render(motion, 20)
    np.testing.assert_array_equal(first, again)
    assert first.shape == (pair[0].size, pair[0].size, 3)


@pytest.mark.parametrize("which", [0, 1])
def test_every_track_moves_what_it_names(pair: Pair, which: int) -> None:
    puppet = pair[which]
    rest = {"mouth": 0.0}
    poses = [
        rest,
        {"yaw": 15.0, **rest},
        {"pitch": 8.0, **rest},
        {"roll": 8.0, **rest},
        {"mouth": 0.15},
        {"blink": 1.0, **rest},
    ]
    faces = find([puppet.render(posed(puppet, **pose), 0) for pose in poses])
    assert faces.frame.tolist() == list(range(len(poses)))
    turn = head_pose(faces.landmarks) - head_pose(faces.landmarks)[:1]
    assert turn[1, 0] > 8
    assert turn[2, 1] > 4
    assert turn[3, 2] > 6
    mouth, eyes = mouth_opening(faces.landmarks), eye_opening(faces.landmarks)
    assert mouth[4] > 0.2 > 0.05 > mouth[0]
    assert eyes[5] < 0.75 * eyes[0]


def test_light_falls_from_where_it_stands_and_warms(pair: Pair) -> None:
    puppet = pair[1]
    left, right = (puppet.render(posed(puppet, light_x=x), 0).astype(int) for x in (-1, 1))
    middle = puppet.size // 2
    cheek = slice(middle - 20, middle + 20)
    assert (left - right)[cheek, middle - 60 : middle - 30].mean() > 10
    assert (left - right)[cheek, middle + 30 : middle + 60].mean() < -10
    warm = puppet.render(posed(puppet, warmth=1), 0).astype(int) - puppet.render(posed(puppet), 0)
    assert warm[..., 0].mean() > 2 > -2 > warm[..., 2].mean()


def test_b_stands_exactly_where_a_stands(pair: Pair) -> None:
    faces = find([puppet.render(posed(puppet), 0) for puppet in pair])
    a, b = align(faces.landmarks).numpy()
    corners = np.asarray([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1], [0.5, 0.5, 1]])
    apart = np.linalg.norm(corners @ (a - b).T, axis=1)
    side = pair[0].size * 0.75
    assert apart[:4].max() < 0.03 * side
    assert apart[4] < 0.01 * side
    wanted = portraits.neutral(pair[0].size)
    assert np.linalg.norm(corners @ (a - wanted).T, axis=1).max() < 0.03 * side


@pytest.mark.parametrize("which", [0, 1], ids=["astronaut", "admiral"])
def test_a_short_clip_is_found_whole_and_follows_its_motion(pair: Pair, which: int) -> None:
    puppet = pair[which]
    motion = Motion.performance(11 + which, 100, 12.5)
    pictures = [picture for index, picture in enumerate(clips.frames(puppet, motion)) if index % 2 == 0]
    faces = find(pictures)
    assert faces.frame.tolist() == list(range(len(pictures)))
    pose = head_pose(faces.landmarks).numpy()
    assert correlation(pose[:, 0], motion.yaw[::2]) > 0.97
    assert correlation(pose[:, 1], motion.pitch[::2]) > 0.8
    assert correlation(pose[:, 2], motion.roll[::2]) > 0.95
    assert correlation(mouth_opening(faces.landmarks).numpy(), motion.mouth[::2]) > 0.9
    assert correlation(eye_opening(faces.landmarks).numpy(), motion.blink[::2]) < -0.6
    driven = np.stack([puppet.landmarks(motion, index)[:, :2] for index in range(0, len(motion), 2)])
    apart = np.linalg.norm(driven - faces.landmarks[..., :2].numpy(), axis=2)
    assert np.median(apart) < 0.03 * 0.45 * puppet.size


def test_a_photo_without_a_face_is_refused() -> None:
    with pytest.raises(InputError, match="no face was found"):
        portraits.puppet(np.full((200, 200, 3), 90, np.uint8), FaceFinder())


def test_an_odd_size_is_refused() -> None:
    with pytest.raises(UsageError, match="even"):
        clips.make_clips(portraits.Path("unused"), size=321)
