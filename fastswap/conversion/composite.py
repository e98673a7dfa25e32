"""One face swapped in a frame: colour, sharpness, mask, blend, paste; all but the paste on the aligned square."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fastswap.conversion.blend import Blend, joined
from fastswap.conversion.generator import Generate
from fastswap.conversion.masks import MaskSource, Sides, face_mask, scaled, soft_sides
from fastswap.conversion.occlusion import Usual, visible
from fastswap.faces import invert, pixel_matrix
from fastswap.ops import Planes, match_colour, paste, sharpen, warp

SHARPEN_RADIUS = 0.01
"""Of the square's side: 1 px of 96, 3 px of 256, about as wide as what a network of that size leaves soft."""


@dataclass(frozen=True)
class CompositeSettings:
    """size_in: of the faces given to the generator; coverage: the central share of the aligned face that it sees;
    colour: "none" or a method of `match_colour`; mask: see `face_mask`; erode and feather: see `soft_sides`; blend: see
    `joined`; sharpen: "none" or a method of `sharpen`; face_scale: how much larger than A's the face is drawn, about
    the middle of its square, its mask with it; opacity: what the alpha is multiplied by; occlusion: whether what is in
    front of a face is looked for (`occlusion`); impl: of every operation."""

    size_in: int
    coverage: float
    colour: str = "covariance"
    mask: MaskSource = "predicted"
    erode: Sides = 0.0
    feather: Sides = 0.09
    blend: Blend = "none"
    sharpen: str = "none"
    face_scale: float = 1.0
    opacity: float = 1.0
    occlusion: bool = False
    impl: str = "auto"


@dataclass(frozen=True)
class Generated:
    """What the generator made of N faces. faces: float [N, 3, s, s], as it was given them, s = `settings.size_in`;
    colour: [N, 3, t, t] and mask: [N, 1, t, t], its answer."""

    faces: Tensor
    colour: Tensor
    mask: Tensor


def composite(
    planes: Planes,
    alignment: Tensor,  # float32 [N, 2, 3], unit square -> frame pixels
    landmarks: Tensor,  # float32 [N, 478, 3], frame pixels
    frame: Tensor,  # int64 [N], which of the frames each face is in
    generate: Generate,
    settings: CompositeSettings,
) -> None:
    """Swaps N faces in M native frames, in place. A sample outside of every face's mask stays as it was, bit for bit.

    Alignment, landmarks and frame may stay on the CPU where the frames are on a GPU: they are checked there, and the
    operations wait for nothing."""
    if len(frame):
        finish(planes, alignment, landmarks, frame, generated(planes, alignment, frame, generate, settings), settings)


def generated(
    planes: Planes,
    alignment: Tensor,  # float32 [N, 2, 3]
    frame: Tensor,  # int64 [N]
    generate: Generate,
    settings: CompositeSettings,
) -> Generated:
    """The first half of `composite`: the aligned faces, and what the generator makes of them."""
    matrix = pixel_matrix(alignment, settings.size_in, settings.coverage)
    faces = warp(planes, matrix, settings.size_in, frame=frame, impl=settings.impl)
    return Generated(faces, *generate(faces))


def finish(
    planes: Planes,
    alignment: Tensor,  # float32 [N, 2, 3]
    landmarks: Tensor,  # float32 [N, 478, 3]
    frame: Tensor,  # int64 [N]
    made: Generated,
    settings: CompositeSettings,
    *,
    given: Tensor | None = None,  # [N, 1, t, t], the face set's masks of the whole aligned square, 0..1
    expected: Usual | None = None,  # what `occlusion` learnt: what is in front of a face stays
    drawn: Planes | None = None,  # M black frames: what is pasted shows white in them
) -> None:
    """The second half of `composite`: colour, sharpness, mask and blend of what was generated, and the paste. Of faces
    that overlap in a frame the nearer (larger) one is on top."""
    impl, faces, size = settings.impl, made.faces, made.colour.shape[-1]
    matrix = pixel_matrix(alignment, size, settings.coverage)
    if size != settings.size_in:
        faces = warp(planes, matrix, size, frame=frame, impl=impl)
    mask = face_mask(settings.mask, made.mask, landmarks, matrix, given, settings.coverage)
    clear = None if expected is None else visible(expected, made.faces, made.colour, made.mask)
    colour = made.colour
    if settings.colour != "none":
        seen = mask if clear is None else mask * clear
        colour = match_colour(colour, faces, seen, settings.colour, impl=impl)
    if settings.sharpen != "none":
        colour = sharpen(colour, settings.sharpen, radius=max(round(SHARPEN_RADIUS * size), 1), impl=impl)
    alpha = soft_sides(mask, settings.erode, settings.feather, impl)
    if settings.face_scale != 1:
        clear = None if clear is None else scaled(clear, settings.face_scale)  # what is in front stays where it is
        matrix = pixel_matrix(alignment, size, settings.coverage * settings.face_scale)
        if settings.blend != "none":
            faces = warp(planes, matrix, size, frame=frame, impl=impl)
    alpha = alpha if clear is None else alpha * clear
    colour = joined(colour, faces, alpha, settings.blend, impl)
    if settings.opacity != 1:
        alpha = alpha * settings.opacity
    _paste(planes, drawn, colour, alpha, matrix, frame, impl)


def _paste(
    planes: Planes, drawn: Planes | None, colour: Tensor, alpha: Tensor, matrix: Tensor, frame: Tensor, impl: str
) -> None:
    """Pastes N faces whose pixels lie at `matrix` [N, 2, 3], aligned px -> frame px, the smaller ones first."""
    if len(set(frame.tolist())) < len(frame):  # of several faces in a frame the smaller is farther away
        order = torch.linalg.det(matrix[..., :2].float()).abs().argsort(stable=True)
        there = order.to(colour.device)
        colour, alpha, matrix, frame = colour[there], alpha[there], matrix[order], frame[order.to(frame.device)]
    place = invert(matrix)
    paste(planes, colour, alpha, place, frame=frame, impl=impl)
    if drawn is not None:
        paste(drawn, torch.ones_like(colour), alpha, place, frame=frame, impl=impl)
