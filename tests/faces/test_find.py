"""FaceFinder on real clips and pictures: who is found, and who is not there."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields

import numpy as np
import pytest
import torch

from fastswap.faces import FaceFinder, _belief, detect, find, mesh
from fastswap.ops.planes import Planes

BATCH = 16


@pytest.fixture
def faces_a_frame(read):
    """faces_a_frame(path, every=1, aspect=1): how many faces each frame of a clip has: int64 [frames]."""

    def count(path, every: int = 1, aspect: float = 1.0) -> torch.Tensor:
        finder, frames, counts = FaceFinder(), read(path, every), []
        for start in range(0, len(frames), BATCH):
            planes = Planes.stack(frames[start : start + BATCH])
            counts.append(torch.bincount(finder.find(planes, aspect=aspect).frame, minlength=planes.frames))
        return torch.cat(counts)

    return count


@pytest.fixture
def in_picture(read):
    """in_picture(path): the faces of a picture."""
    return lambda path: FaceFinder(small=True).find(read(path)[0])


class TestClips:
    # The least share of frames: what a Haar cascade finds (MANIFEST.csv), or all where all show a face.
    @pytest.mark.parametrize(
        ("name", "every", "share"),
        [
            ("videos/hard_profile_turns.gif", 1, 1.0),  # the cascade: 0.739
            ("videos/hard_hand_on_mouth.mkv", 1, 1.0),
            ("videos/A_man_kitchen.mp4", 32, 0.984),
            ("videos/B_woman_garden.mp4", 25, 1.0),
            ("videos/grid_older_woman.mpg", 5, 1.0),
            ("videos/small_man_webcam.mp4", 24, 1.0),
            ("videos/hard_face_leaves.mov", 8, 0.4),  # 0.426 of all frames
            ("odd/v_lowlight.mp4", 8, 0.992),
            ("odd/v_hevc_10bit.mp4", 8, 1.0),
            ("odd/v_rot90_meta.mp4", 8, 1.0),
        ],
    )
    def test_faces_are_found(self, faces_a_frame, data, name, every, share):
        assert float((faces_a_frame(data / name, every) > 0).float().mean()) >= share

    def test_both_of_two_people(self, faces_a_frame, data):
        """The cascade finds anybody in 14 % of these frames."""
        assert (faces_a_frame(data / "videos/hard_two_people_tilt.gif") == 2).all()

    def test_non_square_pixels(self, faces_a_frame, data):
        assert (faces_a_frame(data / "odd/v_sar_2to1.mp4", 8, aspect=2.0) > 0).all()

    @pytest.mark.parametrize(
        ("name", "every"),
        [
            ("videos/noface.mp4", 3),
            ("odd/v_moviepy_failing_audio.mp4", 10),
            ("odd/v_torchcodec_bt709_full_range.mp4", 3),
            ("odd/v_torchcodec_h264_10bits.mp4", 3),
            ("odd/v_decord_video_180.mov", 1),
        ],
    )
    def test_nobody_where_nobody_is(self, faces_a_frame, data, name, every):
        assert int(faces_a_frame(data / name, every).sum()) == 0


class TestPictures:
    def test_a_crowd_of_small_faces(self, in_picture, data):
        faces = in_picture(data / "photos/crowd_29_small_faces.jpg")
        assert 27 <= len(faces.frame) <= 29
        assert float(faces.box[:, 3].max()) < 400  # they sit and stand in the upper half: nothing in the caption
        sides = faces.box[:, 3] - faces.box[:, 1]
        assert 40 < float(sides.min()) <= float(sides.max()) < 100

    def test_a_collage_of_turned_and_tiny_faces(self, in_picture, data):
        faces = in_picture(data / "photos/collage_many.jpg")
        truth = json.loads((data / "photos/collage_many.json").read_text())["faces"]
        pupils = np.array([[face["left_pupil"], face["right_pupil"]] for face in truth])
        eyes = faces.landmarks[:, [mesh.RIGHT_PUPIL, mesh.LEFT_PUPIL], :2].numpy()
        apart = np.linalg.norm(pupils[:, None] - eyes[None], axis=3).mean(2)
        right = (apart.min(1) < 0.15 * np.linalg.norm(pupils[:, 0] - pupils[:, 1], axis=1)).sum()
        assert right >= 12
        assert len(faces.frame) <= len(truth)

    @pytest.mark.parametrize(
        "name",
        [
            "photos/london_099.jpg", "photos/selfie_3.jpg", "photos/beard_hat_glasses.jpg",
            "photos/man_bryan_115px.png", "odd/i_tiny_face_24px.png",
            "odd/i_pillow_hopper_bw_500.png",
        ],
    )  # fmt: skip
    def test_one_face(self, in_picture, data, name):
        assert len(in_picture(data / name).frame) == 1

    @pytest.mark.parametrize("name", ["odd/i_upside_down.jpg", "odd/i_rotated_noexif.jpg"])
    def test_turned_faces_are_the_right_way_round(self, in_picture, read, data, name):
        upright, turned = FaceFinder().find(read(data / "odd/i_progressive.jpg")[0]), in_picture(data / name)
        assert len(turned.frame) == 1
        down = turned.landmarks[0, mesh.CHIN, :2] - turned.landmarks[0, mesh.FOREHEAD, :2]
        was = upright.landmarks[0, mesh.CHIN, :2] - upright.landmarks[0, mesh.FOREHEAD, :2]
        assert float(down.norm()) == pytest.approx(float(was.norm()), rel=0.05)
        assert float(down @ was) < 0.2 * float(was @ was)

    @pytest.mark.parametrize("name", ["noface_cat.png", "noface_fox.jpg", "noface_logo.jpg", "noface_tree.jpg"])
    def test_no_face(self, in_picture, data, name):
        assert len(in_picture(data / "photos" / name).frame) == 0


class TestContract:
    def test_faces_of_a_portrait(self, portrait_planes):
        faces = FaceFinder().find(portrait_planes)
        assert faces.frame.tolist() == [0]
        assert faces.landmarks.shape == (1, mesh.POINTS, 3)
        points = faces.landmarks[0, :, :2]
        torch.testing.assert_close(faces.box[0], torch.cat([points.amin(0), points.amax(0)]))
        assert float(faces.flag) > 0.9
        assert float(faces.score) > 0.7

    def test_landmarks_are_in_frame_pixels_whatever_the_aspect(self, portrait, portrait_planes):
        square = FaceFinder().find(portrait_planes).landmarks[0]
        squeezed = FaceFinder().find(Planes("rgb", (portrait[None, :, ::2].contiguous(),)), aspect=2.0).landmarks[0]
        apart = (squeezed[:, :2] * torch.tensor([2.0, 1.0]) - square[:, :2]).norm(dim=1)
        assert float(apart.mean()) < 1.5
        assert float((squeezed[:, 2] - square[:, 2]).abs().mean()) < 1.5

    def test_nothing_in_an_empty_frame(self):
        faces = FaceFinder(small=True).find(Planes("rgb", (torch.zeros(2, 1, 1, 3, dtype=torch.uint8),)))
        assert [len(getattr(faces, name)) for name in ("frame", "box", "score", "flag", "landmarks")] == [0] * 5

    @pytest.mark.parametrize("aspect", [0.0, -1.0, float("nan"), float("inf")])
    def test_an_aspect_that_cannot_be(self, portrait_planes, aspect):
        with pytest.raises(ValueError, match="aspect"):
            FaceFinder().find(portrait_planes, aspect=aspect)


class TestApart:
    """What a device that must be waited for takes instead: all rows for those worth it, one transfer for many."""

    @pytest.mark.parametrize("name", ["videos/hard_two_people_tilt.gif", "odd/v_lowlight.mp4"])
    def test_the_same_faces(self, read, data, monkeypatch, name):
        planes = Planes.stack(read(data / name, 14))
        near = FaceFinder().find(planes)
        for module in (detect, _belief):
            monkeypatch.setattr(module, "is_apart", lambda tensor: True)
        apart = FaceFinder().find(planes)
        assert len(near.frame) >= planes.frames
        for field in fields(near):
            torch.testing.assert_close(getattr(apart, field.name), getattr(near, field.name), rtol=1e-4, atol=0.02)

    def test_nobody(self, monkeypatch):
        for module in (detect, _belief):
            monkeypatch.setattr(module, "is_apart", lambda tensor: True)
        assert len(FaceFinder().find(Planes("rgb", (torch.zeros(2, 64, 64, 3, dtype=torch.uint8),))).frame) == 0

    @pytest.mark.gpu
    @pytest.mark.parametrize(
        "name", ["videos/hard_two_people_tilt.gif", "videos/hard_profile_turns.gif", "odd/v_lowlight.mp4"]
    )
    def test_a_gpu_finds_the_cpus_faces(self, cuda, read, data, name):
        planes = Planes.stack(read(data / name, 10))
        expected, found = FaceFinder().find(planes), FaceFinder(cuda).find(planes.to(cuda))
        assert found.frame.tolist() == expected.frame.tolist()
        assert found.landmarks.device.type == "cpu"
        eyes = [mesh.RIGHT_PUPIL, mesh.LEFT_PUPIL]
        between = expected.landmarks[:, eyes, :2].diff(dim=1).norm(dim=2)
        apart = (found.landmarks - expected.landmarks)[..., :2].norm(dim=2).mean(1, keepdim=True)
        assert float((apart / between).max()) < 0.01

    @pytest.mark.gpu
    def test_a_gpu_is_waited_for_twice(self, cuda, portrait_planes):
        planes, finder = portrait_planes.to(cuda), FaceFinder(cuda)
        finder.find(planes)  # graphs are captured, tables sent
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                faces = finder.find(planes)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        assert len(faces.frame) == 1
        assert len([each for each in said if "synchroniz" in str(each.message)]) <= 2


class TestFollowing:
    @pytest.fixture
    def moving(self, portrait):
        """Five frames of the portrait, moved by 6 px a frame, and a sixth without anybody."""
        frames = [portrait.roll(6 * step, dims=1) for step in range(5)] + [torch.full_like(portrait, 70)]
        return Planes("rgb", (torch.stack(frames),))

    def test_a_face_is_carried_to_the_frames_beside(self, moving, monkeypatch):
        """The detector sees the third frame only; the mesh sees all five, and nobody in the sixth."""
        original = detect.detect

        def third_only(planes, aspect, detector, views, threshold):
            return original(planes, aspect, detector, detect.select(views, torch.arange(6) == 2), threshold)

        monkeypatch.setattr(find.detect, "detect", third_only)
        faces = FaceFinder().find(moving)
        assert faces.frame.tolist() == [0, 1, 2, 3, 4]
        steps = faces.landmarks[:, :, 0].mean(1).diff()
        assert steps.tolist() == pytest.approx([6.0] * 4, abs=1.0)

    def test_a_batch_of_windows_finds_what_they_find_alone(self, moving, monkeypatch):
        """Windows of two frames, and the detector sees the third only: the face is carried to the fourth."""
        original = detect.detect

        def third_only(planes, aspect, detector, views, threshold):
            return original(planes, aspect, detector, detect.select(views, torch.arange(6) == 2), threshold)

        monkeypatch.setattr(find.detect, "detect", third_only)
        monkeypatch.setattr(find, "_SEARCH_EVERY", 100)
        assert FaceFinder(window=2).find(moving).frame.tolist() == [2, 3]

    def test_every_window_is_searched_from_its_start(self):
        search = find._Search(Planes("rgb", (torch.zeros(20, 8, 8, 3, dtype=torch.uint8),)), 1.0, 10)
        assert search.thinned_empty().nonzero()[:, 0].tolist() == [0, 8, 10, 18]

    def test_empty_frames_are_searched_now_and_then(self):
        search = find._Search(Planes("rgb", (torch.zeros(20, 8, 8, 3, dtype=torch.uint8),)), 1.0, 20)
        assert search.thinned_empty().nonzero()[:, 0].tolist() == [0, 8, 16]
