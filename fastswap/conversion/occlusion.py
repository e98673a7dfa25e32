"""What lies in front of a face: a hand before the mouth is to stay a hand.

The generator draws a face whatever it is shown, so that where something hides A's face, the frame and the swap differ.
They differ everywhere, as A and B are two persons; but that difference is about the same in every frame, because the
swap follows A's pose and expression. So the difference that is usual for this person is learnt from a few faces of the
clip, and what departs from it much, over a large part of the face and in from its edge, is taken for an occluder. A
beard, glasses, or a shadow that stays are usual. What the clip shows most of the time cannot be told from the face.

All on maps of 48 x 48, in colours with luma and chroma apart, without waiting for the device:

1. The swap takes the frame's colours by a gain and an offset a channel, fitted with weights that fall with the
   difference (three rounds; Geman and McClure 1987), so that an occluder does not pull at the rest of the face.
2. Departure: the length of the difference from the usual one, over what is usual for its length here and in all of this
   face, plus a floor.
3. Where it is high over a window it is the seed of an occluder, which grows through its surroundings as far as they
   depart too (reconstruction by dilation: Vincent 1993), from seeds well inside of the mask, and only if it then
   reaches the mask's edge: what is in front of a face comes from outside of it, an open mouth does not.

Seeds and growth are grey, not yes or no: an occluder that comes or goes fades over a few frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from fastswap.conversion.generator import Generate
from fastswap.conversion.masks import central
from fastswap.faceset import FaceSet

SIDE = 48
"""Cells of the maps, each way: 2 px of 96, 5 px of 256."""
_YCC = ((0.299, 0.587, 0.114), (0.75, -0.628, -0.122), (-0.254, -0.496, 0.75))
"""Luma and 1.5 times the chroma of BT.601: a shadow changes luma, and the skin's own chroma hardly changes."""
_FITS = 3
_FIT_SCALE = 0.05
"""A difference at which a cell counts a quarter in the fit of colours."""
_GAIN = (0.3, 3.0)
_RIDGE = 1e-3
"""A swap without contrast is shifted, not stretched."""
_FLOOR = 0.05
"""A departure that is nothing, however steady the clip: of noise and of compression."""
_SPREADS, _OWN = 1.5, 1.5
"""How many times the usual spread, and the departure of half of this very face, are nothing: a pose or a light that the
generator knows little departs everywhere."""
_LOW, _HIGH = 0.6, 0.8
"""Departures from which on a cell may belong to an occluder, and a window has the seed of one."""
_RAMP = 0.25
"""Either side of these, in shares of them: how soft the decision is."""
_WINDOW = 7
_THIN = 1
"""Cells: what is narrower than 2 _THIN + 1 is a contour that moved."""
_INSIDE = 3
"""Cells from the mask's edge in which nothing is sown: where the head turns, the background shows there."""
_LEAST, _MOST = 8, 24
"""Faces that the usual is learnt from: the median of fewer is no habit, more tell nothing new."""
_TOGETHER = 8
"""Faces given to the generator at once while learning."""
_STRIDE, _STEPS = 2, 24
"""Growth: steps of 2 cells, as many as cross the map."""


@dataclass(frozen=True)
class Usual:
    """How the frame and the swap of a person differ as a rule. difference: [1, 3, SIDE, SIDE], RGB; spread:
    [1, 1, SIDE, SIDE], how far single faces are from it."""

    difference: Tensor
    spread: Tensor


def learn(
    faces: FaceSet,
    person: int,
    generate: Generate,
    size: int,  # of the faces given to the generator
    coverage: float,  # the share of the aligned square that it sees
    device: str,
) -> Usual | None:
    """What is usual for a person, from faces spread over the pictures of the face set: a tenth of them, but 8 to 24.
    None where fewer pictures are there."""
    rows = faces.rows(person)
    if len(rows) < _LEAST:
        return None
    count = min(max(len(rows) // 10, _LEAST), _MOST)
    chosen = rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]
    pictures = torch.from_numpy(faces.images(chosen)).permute(0, 3, 1, 2).float() / 255
    seen = central(pictures, size, coverage).to(device)
    colours, masks = zip(*(generate(part) for part in torch.split(seen, _TOGETHER)), strict=True)
    learnt = usual(seen, torch.cat(colours), torch.cat(masks))
    if seen.is_cuda:
        torch.cuda.current_stream(seen.device).synchronize()  # it will be read on other streams
    return learnt


def usual(
    faces: Tensor,  # float [K, 3, s, s], of one person, over all of the clip
    colour: Tensor,  # float [K, 3, t, t], the swap of each
    mask: Tensor,  # float [K, 1, t, t], the network's
) -> Usual:
    """What `visible` compares with: medians over the K faces, so that an occluder in fewer than half is not learnt."""
    x, swap, inside = _small(faces), _small(colour), _binary(mask)
    difference = torch.zeros_like(x[:1])
    for _ in range(2):  # the second time the fit knows where the two persons differ
        difference = (_unlike(x - difference, swap, inside) + difference).median(0, keepdim=True).values
    spread = _length(_unlike(x - difference, swap, inside)).median(0, keepdim=True).values
    return Usual(difference, nn.max_pool2d(spread, 3, 1, 1))


def visible(
    expected: Usual,
    faces: Tensor,  # float [N, 3, s, s], the frame's
    colour: Tensor,  # float [N, 3, t, t], the swap, as the network drew it
    mask: Tensor,  # float [N, 1, t, t], the network's
) -> Tensor:
    """float [N, 1, t, t]: 1 where nothing is in front of the face, 0 where something is. 1 outside of the mask."""
    inside = _binary(mask)
    hidden = _occluders(_departure(expected, _small(faces), _small(colour), inside), inside)
    size = mask.shape[-1]
    return 1 - nn.interpolate(hidden, size=(size, size), mode="bilinear", align_corners=False)


def _small(picture: Tensor) -> Tensor:
    return nn.interpolate(picture.float(), size=(SIDE, SIDE), mode="area")


def _binary(mask: Tensor) -> Tensor:
    return (_small(mask) > 0.5).float()


def _unlike(target: Tensor, colour: Tensor, inside: Tensor) -> Tensor:
    """[N, 3, SIDE, SIDE]: target - (gain colour + offset), fitted for each face and channel inside of the mask."""
    weight = inside
    for _ in range(_FITS):
        total = weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
        of_target, of_colour = ((weight * x).sum((2, 3), keepdim=True) / total for x in (target, colour))
        y, x = target - of_target, colour - of_colour
        covariance, variance = ((weight * x * z).sum((2, 3), keepdim=True) / total for z in (y, x))
        rest = y - ((covariance + _RIDGE) / (variance + _RIDGE)).clamp(*_GAIN) * x
        weight = inside / (1 + rest.square().sum(1, keepdim=True) / _FIT_SCALE**2) ** 2
    return rest


def _length(difference: Tensor) -> Tensor:
    """[N, 1, SIDE, SIDE]."""
    parts = torch.einsum("nchw,kc->nkhw", difference, difference.new_tensor(_YCC))
    length: Tensor = torch.linalg.vector_norm(parts, dim=1, keepdim=True)
    return length


def _departure(expected: Usual, faces: Tensor, colour: Tensor, inside: Tensor) -> Tensor:
    rest = _unlike(faces - expected.difference, colour, inside)
    length = _length(rest)
    own = torch.where(inside > 0, length, torch.nan).flatten(1).nanmedian(1).values.nan_to_num()[:, None, None, None]
    departure = length / (_FLOOR + _SPREADS * expected.spread + _OWN * own)
    return nn.avg_pool2d(nn.pad(departure, (1, 1, 1, 1), mode="replicate"), 3, 1)


def _occluders(departure: Tensor, inside: Tensor) -> Tensor:
    """[N, 1, SIDE, SIDE] in 0..1, how surely each cell is hidden."""
    departs = _ramp(departure, _LOW) * inside
    departs = torch.minimum(_widened(_narrowed(departs, _THIN), _THIN), departs)
    dense = nn.avg_pool2d(departure * departs, _WINDOW, 1, _WINDOW // 2)
    seed = _ramp(dense, _HIGH) * _narrowed(inside, _INSIDE)
    found = _grown(torch.minimum(seed, departs), departs)
    edge = inside - _narrowed(inside, 1)
    return _grown(found * edge, found)


def _ramp(value: Tensor, middle: float) -> Tensor:
    return ((value / middle - 1 + _RAMP) / (2 * _RAMP)).clamp(0, 1)


def _widened(map_: Tensor, radius: int) -> Tensor:
    return nn.max_pool2d(map_, 2 * radius + 1, 1, radius)


def _narrowed(map_: Tensor, radius: int) -> Tensor:
    return 1 - _widened(1 - map_, radius)


def _grown(seed: Tensor, within: Tensor) -> Tensor:
    if seed.device.type == "cpu" and not bool(seed.any()):  # nearly always; elsewhere asking would wait for the device
        return seed
    for _ in range(_STEPS):
        seed = torch.minimum(_widened(seed, _STRIDE), within)
    return seed
