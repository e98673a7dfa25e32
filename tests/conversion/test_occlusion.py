"""An occluder is found and kept; a face that only talks, turns or is lit otherwise is swapped whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as nn
from numpy.typing import NDArray
from torch import Tensor

from fastswap.conversion.occlusion import Usual, learn, usual, visible

SIZE = 96
FRAMES = 24


def field(seed: int, channels: int = 3) -> Tensor:
    """A person: soft patches, [1, channels, SIZE, SIZE]."""
    coarse = torch.rand(1, channels, 9, 9, generator=torch.Generator().manual_seed(seed))
    return 0.3 + 0.4 * nn.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic", align_corners=False)


def mouth(opening: float) -> Tensor:
    line = torch.arange(SIZE, dtype=torch.float32)
    return torch.exp(-(((line - 48) / 12) ** 2) - ((line[:, None] - 66) / (2 + 6 * opening)) ** 2)[None, None]


MASK = ((torch.arange(SIZE) - 48) ** 2 / 34**2 + (torch.arange(SIZE)[:, None] - 48) ** 2 / 42**2 < 1).float()[
    None, None
]


def clip(opening: NDArray[np.float64], light: NDArray[np.float64]) -> tuple[Tensor, Tensor, Tensor]:
    """Frames of A under changing light, and B, who opens the mouth a little less than A and knows no light."""
    noise = 0.01 * torch.randn(len(opening), 3, SIZE, SIZE, generator=torch.Generator().manual_seed(9))
    faces = torch.cat([float(k) * (field(1) - 0.5 * mouth(float(o))) for o, k in zip(opening, light, strict=True)])
    colour = torch.cat([field(2) - 0.4 * mouth(0.8 * float(o)) for o in opening])
    return (faces + noise).clamp(0, 1), colour.clamp(0, 1), MASK.expand(len(opening), -1, -1, -1)


@pytest.fixture(scope="module")
def person() -> tuple[Usual, Tensor, Tensor, Tensor]:
    generator = np.random.default_rng(0)
    faces, colour, mask = clip(generator.uniform(0, 0.5, FRAMES), generator.uniform(0.8, 1.1, FRAMES))
    return usual(faces, colour, mask), faces, colour, mask


def hand() -> Tensor:
    """From below up to before the mouth, [1, 1, SIZE, SIZE]."""
    return ((torch.arange(SIZE) > 38) & (torch.arange(SIZE) < 66) & (torch.arange(SIZE)[:, None] > 58)).float()[
        None, None
    ]


def with_hand(faces: Tensor, contrast: float = 1.0) -> Tensor:
    skin = faces[:, :, 20:40, 30:60].mean((2, 3), keepdim=True) * (1 + 0.35 * contrast)
    return faces + hand() * min(contrast * 2, 1) * (skin - faces)


def test_a_face_with_nothing_before_it_is_all_visible(person: Any) -> None:
    expected, faces, colour, mask = person
    assert torch.equal(visible(expected, faces, colour, mask), torch.ones(FRAMES, 1, SIZE, SIZE))


@pytest.mark.parametrize(("opening", "light"), [(1.0, 1.0), (0.2, 0.5), (0.2, 1.3)])
def test_a_mouth_wide_open_or_another_light_is_no_occluder(person: Any, opening: float, light: float) -> None:
    faces, colour, mask = clip(np.array([opening]), np.array([light]))
    assert visible(person[0], faces, colour, mask).min() > 0.9


def test_a_hand_before_the_mouth_is_found_in_its_place(person: Any) -> None:
    expected, faces, colour, mask = person
    clear = visible(expected, with_hand(faces), colour, mask)
    hidden, wanted = 1 - clear, hand() * MASK
    overlap = torch.minimum(hidden, wanted).sum((1, 2, 3)) / torch.maximum(hidden, wanted).sum((1, 2, 3))
    assert overlap.min() > 0.7
    assert (clear[:, :, :50] > 0.95).all(), "above it the face is swapped"


def test_it_is_found_where_a_third_of_the_learnt_faces_has_it_and_not_where_most_have(person: Any) -> None:
    _, faces, colour, mask = person
    for share, found in ((1 / 3, True), (0.75, False)):
        known = faces.clone()
        known[: int(share * FRAMES)] = with_hand(faces[: int(share * FRAMES)])
        clear = visible(usual(known, colour, mask), with_hand(faces[-4:]), colour[-4:], mask[-4:])
        assert bool((clear[:, :, 62:80, 44:60] < 0.2).all()) == found


def test_what_does_not_reach_the_edge_of_the_face_is_the_face_s_own(person: Any) -> None:
    expected, faces, colour, mask = person
    spot = faces.clone()
    spot[:, :, 40:56, 36:60] = 0.95
    assert visible(expected, spot, colour, mask).min() == 1
    spot[:, :, 40:56, :60] = 0.95
    assert visible(expected, spot, colour, mask)[:, :, 44:52, 40:56].max() < 0.1


def test_an_occluder_fades_in(person: Any) -> None:
    expected, faces, colour, mask = person
    place = (slice(0, 1), slice(None), slice(64, 76), slice(46, 58))
    shown = [
        float(visible(expected, with_hand(faces[:1], contrast), colour[:1], mask[:1])[place].mean())
        for contrast in np.linspace(0, 1, 41)
    ]
    steps = -np.diff(shown)
    assert shown[0] == 1
    assert shown[-1] < 0.05
    assert steps.max() < 0.5, "no switch"


class Pictures:
    """A face set of `count` pictures, each as bright as its row says."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []

    def rows(self, person: int) -> NDArray[np.int64]:
        return np.arange(100 * person, 100 * person + self.count)

    def images(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        self.asked = rows.tolist()
        return np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (len(rows), 64, 64, 3)).copy()


@pytest.mark.parametrize(("count", "asked"), [(7, 0), (8, 8), (100, 10), (3000, 24)])
def test_the_usual_is_learnt_from_faces_all_over_the_clip(count: int, asked: int) -> None:
    faces, sizes = Pictures(count), []

    def generate(aligned: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(tuple(aligned.shape[1:]))
        return aligned, torch.ones_like(aligned[:, :1])

    learnt: Any = learn(faces, 0, generate, 48, 0.75, "cpu")  # type: ignore[arg-type]
    assert len(faces.asked) == asked
    assert (learnt is None) == (asked == 0)
    if asked:
        assert (faces.asked[0], faces.asked[-1]) == (0, count - 1)
        assert set(sizes) == {(3, 48, 48)}
