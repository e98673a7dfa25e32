"""Descriptors of faces and the grouping of tracks into persons."""

from __future__ import annotations

import itertools
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from fastswap.errors import MissingDependencyError
from fastswap.faces import FaceFinder, Gallery, Look, align, descriptor, group_persons, mean_face, persons, pixel_matrix
from fastswap.ops.planes import Planes
from fastswap.ops.warp import warp

# Eight tracks of seven people; the man at the webcam has two clips.
CLIPS = {
    "small_man_webcam.mp4": "webcam",
    "small_man_webcam_long.mp4": "webcam",
    "grid_woman.mpg": "young woman",
    "grid_older_woman.mpg": "older woman",
    "grid_man_dark_skin.mpg": "dark man",
    "grid_man_glasses.mpg": "man with glasses",
    "author_smile.mp4": "author",
    "hard_hand_on_mouth.mkv": "signer",
}


def looks_of(path: Path, first_track: int) -> list[Look]:
    """Frames 0, 8, ... 40 of a clip, as two tracks: the earlier and the later half."""
    with av.open(str(path)) as container:
        pictures = [picture.to_ndarray(format="rgb24") for picture in itertools.islice(container.decode(video=0), 41)]
    planes = Planes("rgb", (torch.from_numpy(np.stack(pictures[::8])),))
    faces = FaceFinder().find(planes)
    crops = warp(planes, pixel_matrix(align(faces.landmarks), 128), 128, frame=faces.frame)
    gallery = Gallery()
    for frame, numbers in zip(faces.frame.tolist(), descriptor(crops, faces.landmarks), strict=True):
        track = first_track + (frame >= 3)
        gallery.add(track, 1000 * track + frame, numbers)
    return gallery.looks()


def look(track: int, place: float, first: int, last: int, faces: int = 1) -> Look:
    return Look(track, first, last, faces, np.array([place, 0.0], np.float32))


class TestGroups:
    def test_near_is_one_far_is_two_and_most_faces_come_first(self):
        looks = [look(7, 0.0, 0, 9, faces=4), look(8, 5.0, 20, 29, faces=9), look(9, 0.3, 40, 49, faces=6)]
        assert group_persons(looks) == {7: 0, 9: 0, 8: 1}

    def test_tracks_that_share_a_frame_are_never_one(self):
        assert group_persons([look(0, 0.0, 0, 9), look(1, 0.0, 9, 20)]) == {0: 0, 1: 1}

    def test_nor_through_a_third(self):
        looks = [look(0, 0.0, 0, 9), look(1, 0.2, 5, 20), look(2, 0.05, 30, 40)]
        assert group_persons(looks) == {0: 0, 2: 0, 1: 1}

    def test_of_equals_the_first_seen_comes_first(self):
        assert group_persons([look(0, 9.0, 50, 60), look(1, 0.0, 0, 10)]) == {1: 0, 0: 1}

    def test_groups_are_compared_by_the_mean(self):
        chain = [look(track, 0.5 * track, 100 * track, 100 * track + 9) for track in range(8)]
        grouped = group_persons(chain)
        assert len(set(grouped.values())) > 2  # the nearest pair alone would join the whole chain

    def test_nobody(self):
        assert group_persons([]) == {}

    def test_the_gallery_keeps_means(self):
        gallery = Gallery()
        for frame in range(4):
            gallery.add(3, frame, torch.tensor([frame, 1.0]))
        (only,) = gallery.looks()
        assert (only.track, only.first, only.last, only.faces) == (3, 0, 3, 4)
        assert only.descriptor.tolist() == [1.5, 1.0]


@pytest.fixture
def face() -> tuple[Tensor, Tensor]:
    """A crop of coloured blots, and landmarks."""
    generator = torch.Generator().manual_seed(0)
    crop = torch.nn.functional.interpolate(torch.rand(1, 3, 16, 16, generator=generator), size=256, mode="bilinear")
    return crop, mean_face()[None] * 300 + torch.tensor([50.0, 80.0, 0.0])


class TestDescriptor:
    def test_light_hardly_counts(self, face):
        crop, landmarks = face
        slope = torch.linspace(0.4, 1.0, 256)
        base, dark, sidelit = (descriptor(picture, landmarks) for picture in (crop, crop * 0.5, crop * slope))
        assert float((base - dark).norm()) < 0.25
        assert float((base - sidelit).norm()) < 0.25

    def test_size_and_tilt_do_not_count(self, face):
        crop, landmarks = face
        angle = torch.tensor(0.6)
        turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]])
        small = torch.nn.functional.interpolate(crop, size=128, mode="area")
        assert float((descriptor(small, landmarks @ turn.T * 0.3) - descriptor(crop, landmarks)).norm()) < 0.05

    def test_another_face_is_far(self, face):
        crop, landmarks = face
        assert float((descriptor(crop.flip(2), landmarks) - descriptor(crop, landmarks)).norm()) > 1

    def test_shapes_fit(self, face):
        crop, landmarks = face
        with pytest.raises(ValueError, match=r"crop must be \[1, 3, s, s\]"):
            descriptor(crop[:, :1], landmarks)
        assert len(descriptor(crop[:0], landmarks[:0])) == 0

    def test_real_people_are_told_apart_and_found_again(self, data):
        looks, truth = [], {}
        for number, (name, person) in enumerate(CLIPS.items()):
            for one in looks_of(data / "videos" / name, 2 * number):
                looks.append(one)
                truth[one.track] = person
        assert len(looks) == 2 * len(CLIPS)
        groups = defaultdict(set)
        for track, person in group_persons(looks).items():
            groups[person].add(truth[track])
        assert sorted(map(sorted, groups.values())) == sorted([name] for name in set(CLIPS.values()))
        assert groups[0] == {"webcam"}


class TestMethods:
    def test_by_name(self):
        assert persons.method("appearance").describe is descriptor
        with pytest.raises(ValueError, match="appearance or identity"):
            persons.method("hair")

    def test_identity_without_its_package_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr("fastswap.faces.identity.find_spec", lambda name: None)
        with pytest.raises(MissingDependencyError, match=r'pip install "fastswap\[identity\]"'):
            persons.method("identity")

    def test_identity_in_photos_of_one_woman_and_others(self, data):
        if find_spec("dlib") is None or find_spec("face_recognition_models") is None:
            pytest.skip('dlib is not installed: pip install "fastswap[identity]"')
        describe = persons.method("identity")
        names = ["selfie_1.jpg", "zoom_60cm.jpg", "london_107.jpg"]
        numbers = [describe.describe(*aligned(data / "photos" / name), 1.0)[0] for name in names]
        assert float((numbers[0] - numbers[1]).norm()) < describe.same_person
        assert float((numbers[0] - numbers[2]).norm()) > describe.same_person
        assert float((numbers[1] - numbers[2]).norm()) > describe.same_person


def aligned(photo: Path) -> tuple[Tensor, Tensor]:
    from PIL import Image

    planes = Planes("rgb", (torch.from_numpy(np.array(Image.open(photo).convert("RGB")))[None],))
    landmarks = FaceFinder().find(planes).landmarks
    return warp(planes, pixel_matrix(align(landmarks), 256), 256), landmarks
