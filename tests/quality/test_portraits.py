"""The two portraits of the trial, graded alike."""

from __future__ import annotations

import numpy as np
import pytest

from fastswap.errors import InputError
from fastswap.faces import FaceFinder
from fastswap.quality import portraits

pytest.importorskip("skimage.data")


def test_a_graded_portrait_has_the_others_colours_and_its_own_face() -> None:
    finder = FaceFinder()
    admiral, astronaut = portraits.admiral(), portraits.astronaut()
    graded = portraits.graded(admiral, astronaut, finder)
    assert graded.shape == admiral.shape
    before, after, like = (
        portraits._face_lab(picture, finder).mean(axis=0) for picture in (admiral, graded, astronaut)
    )
    assert np.abs(after - like).max() < 2.0, "but for what does not fit into 0..255"
    assert np.abs(before - like).max() > 5.0
    grey = [picture.astype(float).mean(axis=2).ravel() for picture in (admiral, graded)]
    assert np.corrcoef(*grey)[0, 1] > 0.95


def test_a_photo_without_a_face_cannot_be_graded() -> None:
    with pytest.raises(InputError, match="no face"):
        portraits.graded(np.full((200, 200, 3), 90, np.uint8), portraits.astronaut(), FaceFinder())
