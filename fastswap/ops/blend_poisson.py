"""blend_poisson: a face joined to its surroundings by its gradients, its colours taken from what is round it."""

from __future__ import annotations

import torch
from torch import Tensor

from fastswap.ops import _aligned
from fastswap.ops._impl import resolve, run

MODES = ("normal", "mixed")


def blend_poisson(
    face: Tensor,  # [N, 3, s, s] RGB 0..1
    target: Tensor,  # [N, 3, s, s] RGB 0..1
    mask: Tensor,  # [N, 1, s, s] 0..1
    mode: str = "normal",
    *,
    impl: str = "auto",
) -> Tensor:
    """Seamless cloning on the aligned square: [N, 3, s, s], clamped to 0..1.

    The picture u whose differences between neighbours are, by least squares, nearest to those wanted, and whose
    outermost pixels are the target's. Of two neighbouring pixels p and q, with w = min(mask(p), mask(q)) and
    df = face(q) - face(p), dt = target(q) - target(p),

        normal:  v = w df + (1 - w) dt
        mixed:   the same where |df| > |dt|, else v = dt: of the two differences the stronger one

    and for every pixel p inside the square  sum over its 4 neighbours q of  (u(q) - u(p)) - v(p, q) = 0: the discrete
    Poisson equation. (Perez, Gangnet, Blake: "Poisson Image Editing", ACM Transactions on Graphics 22(3), 2003,
    equations 7, 11 and 13.) What is solved is the equation of the correction c = u - target, which is 0 on the border:
    sum of (c(q) - c(p)) = sum of (v - dt), with nothing on the right where face and target differ by a constant, and
    so c comes out small and stands low precision. In the mixed mode, differences equal to within 1e-4 (a fortieth of a
    level) count as equal: rounding does not choose.

    The edge that is held fast is the *square's*, as in `cv2.seamlessClone`: outside of the mask the target keeps its
    differences, not its colours. What face and target disagree about at the mask's edge is shared by both sides of it
    and fades towards the border. So a mask whose edge lies on skin in one picture and in hair in the other tints both
    sides: give it a wide ramp, `soft_mask`'s alpha, and paste the result by that same alpha, which leaves the
    surroundings alone (as `fastswap.conversion` does). Keep it clear of the square's border, where all must be the
    target. What the face's pixels are where the mask is 0 does not matter. A square of fewer than 3 pixels a side is
    all border. The mixed mode is for glass and smoke: through a face, the target's features show.

    float16, bfloat16 and float32 are computed in float32 (products in float16 on a GPU, within half a level of 255);
    float64 is kept by the reference only.

    Raises TypeError where the three are not floating point of one type, ValueError for other shapes, tensors on
    different devices, or an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"no mode {mode!r} of a Poisson blend: use one of {', '.join(MODES)}")
    _aligned.check(face, target, mask, "mask")
    impl = resolve("blend_poisson", impl, face.device)
    _aligned.check_count(face, impl)
    blended: Tensor = _blend_poisson(face, target, mask, mode, impl)
    return blended


@torch.library.custom_op("fastswap::blend_poisson", mutates_args=())
def _blend_poisson(face: Tensor, target: Tensor, mask: Tensor, mode: str, impl: str) -> Tensor:
    out: Tensor = run("blend_poisson", impl, face, target, mask, mode)
    return out


@_blend_poisson.register_fake
def _(face: Tensor, target: Tensor, mask: Tensor, mode: str, impl: str) -> Tensor:
    return torch.empty(face.shape, dtype=face.dtype, device=face.device)
