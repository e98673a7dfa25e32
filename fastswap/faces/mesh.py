"""The 478-point face mesh: which points are what, as ordered index tuples, and its triangles.

Left and right are the person's own: the left eye is on the right of the picture. Rings are closed and in order (the
last point joins the first); mesh points 0..467 are the surface, 468..477 the irises.
"""

from __future__ import annotations

import ast
from functools import cache

import torch
from torch import Tensor

from fastswap.faces import networks

POINTS = 478
SURFACE_POINTS = 468

Ring = tuple[int, ...]

FACE_OVAL: Ring = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
RIGHT_EYE: Ring = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE: Ring = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
RIGHT_BROW: Ring = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW: Ring = (336, 296, 334, 293, 300, 276, 283, 282, 295, 285)
OUTER_LIPS: Ring = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
INNER_LIPS: Ring = (
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95,
)  # fmt: skip
RIGHT_IRIS: Ring = (469, 470, 471, 472)
LEFT_IRIS: Ring = (474, 475, 476, 477)

RIGHT_PUPIL, LEFT_PUPIL = 468, 473
NOSE_TIP, CHIN, FOREHEAD = 1, 152, 10
RIGHT_EYE_CORNERS = (33, 133)  # outer, inner
LEFT_EYE_CORNERS = (263, 362)
MOUTH_CORNERS = (61, 291)  # right, left

REGIONS: dict[str, tuple[Ring, ...]] = {
    "oval": (FACE_OVAL,),
    "eyes": (RIGHT_EYE, LEFT_EYE),
    "brows": (RIGHT_BROW, LEFT_BROW),
    "mouth": (OUTER_LIPS,),
    "inner_mouth": (INNER_LIPS,),
    "irises": (RIGHT_IRIS, LEFT_IRIS),
}


@cache
def triangles() -> Tensor:
    """The surface, int64 [852, 3], without the openings of eyes and mouth. Read from the wheel's table of edges, in
    which every three edges walk around one triangle; the file is parsed, never run."""
    table = ast.parse(networks.read(networks.CONNECTIONS))
    for statement in table.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "FACEMESH_TESSELATION":
            call = statement.value
            assert isinstance(call, ast.Call)
            edges = torch.tensor(ast.literal_eval(call.args[0]))
            return edges[:, 0].reshape(-1, 3)
    raise AssertionError("the checksummed file holds FACEMESH_TESSELATION")
