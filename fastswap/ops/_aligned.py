"""What `match_colour`, `blend_pyramid` and `blend_poisson` ask of their arguments: two aligned pictures and weights."""

from __future__ import annotations

from torch import Tensor

from fastswap.ops._impl import on_host

_MOST_ON_GPU = 65535 // 3  # a launch has at most 65,535 blocks along its second and third side: one a channel


def check(face: Tensor, target: Tensor, weight: Tensor, name: str) -> None:
    """Raises TypeError unless all are floating point of one type, and ValueError unless face and target are
    [N, 3, s, s], weight, which the caller calls `name`, [N, 1, s, s], and all on one device."""
    if not face.is_floating_point() or not face.dtype == target.dtype == weight.dtype:
        got = f"{face.dtype}, {target.dtype} and {weight.dtype}"
        raise TypeError(f"face, target and {name} are floating point of one type, got {got}")
    square = face.ndim == 4 and face.shape[1] == 3 and face.shape[2] == face.shape[3] >= 1
    if not square or target.shape != face.shape:
        raise ValueError(f"face and target are both [N, 3, s, s], got {list(face.shape)} and {list(target.shape)}")
    if weight.shape != (face.shape[0], 1, *face.shape[2:]):
        raise ValueError(f"the {name} of faces {list(face.shape)} is [N, 1, s, s], got {list(weight.shape)}")
    if not face.device == target.device == weight.device:
        places = f"{face.device}, {target.device} and {weight.device}"
        raise ValueError(f"face, target and {name} lie on one device, got {places}")


def check_count(face: Tensor, impl: str) -> None:
    """Raises ValueError for more faces than one launch on a GPU takes."""
    if not on_host(impl) and len(face) > _MOST_ON_GPU:
        raise ValueError(f"on a GPU a call takes up to {_MOST_ON_GPU} faces, got {len(face)}: split the batch")
