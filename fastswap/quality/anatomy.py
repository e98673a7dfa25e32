"""Which vertices of the 478-point face mesh are what: MediaPipe's canonical numbering, rows from the picture's left to
its right, oval from the forehead clockwise."""

from __future__ import annotations

LANDMARKS = 478
IRISES = tuple(range(468, LANDMARKS))
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
UPPER_OVAL = (*OVAL[:11], *OVAL[26:])  # from ear to ear over the forehead: what the jaw does not move
EARS = (234, 454)
FOREHEAD, CHIN = 10, 152
CHIN_ROW = (176, 148, 152, 377, 400, 175, 199)
# Four rows a lip, from the skin to the teeth; each starts and ends in a corner that both lips share.
UPPER_LIP = (
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291), (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292), (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
)  # fmt: skip
LOWER_LIP = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291), (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292), (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)  # fmt: skip
INNER_LIPS = (*UPPER_LIP[-1], *LOWER_LIP[-1][-2:0:-1])
INNER_TOP, INNER_LOW = 13, 14
# Per eye (the picture's left, then right), from corner to corner.
EYE_CORNERS = ((33, 133), (362, 263))
UPPER_LID = ((246, 161, 160, 159, 158, 157, 173), (398, 384, 385, 386, 387, 388, 466))
LOWER_LID = ((7, 163, 144, 145, 153, 154, 155), (382, 381, 380, 374, 373, 390, 249))
LID_CREASE = ((247, 30, 29, 27, 28, 56, 190), (414, 286, 258, 257, 259, 260, 467))
ABOVE_CREASE = ((113, 225, 224, 223, 222, 221, 189), (413, 441, 442, 443, 444, 445, 342))
EYES = tuple(
    (a, *upper, b, *lower[::-1]) for (a, b), upper, lower in zip(EYE_CORNERS, UPPER_LID, LOWER_LID, strict=True)
)
BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
NOSE = (
    1, 2, 4, 5, 6, 19, 45, 48, 64, 94, 97, 98, 102, 115, 131, 168, 195, 197, 220, 275, 278, 294, 326, 327, 331, 344,
    360,
)  # fmt: skip
