"""The puppet's rasteriser: which triangle every quarter of a pixel shows, then one colour a pixel from the texture.

Two passes. `cover` fills a depth buffer of twice the frame's width and height with the nearest triangle's number.
`shade` maps each pixel back to the texture: where its four quarters lie close together in the texture (nearly
everywhere) one bilinear sample does; where they do not (a lip over the mouth, a nose over a cheek) the four are sampled
and averaged, which is what keeps those edges from looking sawn.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

EMPTY = -1
APART = 6.0  # texture px (the texture has two a frame px): further apart than this, quarters show different surfaces


@nb.njit(cache=True, nogil=True, fastmath=True)
def cover(points: Any, triangles: Any, depth: Any, owner: Any) -> None:
    """points: float32 [V, 3] frame px and depth (smaller is nearer); triangles: int32 [T, 3]; depth: float32 [2H, 2W]
    and owner: int32 [2H, 2W] are overwritten."""
    height, width = depth.shape
    depth[:] = np.float32(1e30)
    owner[:] = EMPTY
    two, half = np.float32(2), np.float32(0.5)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t]
        ax, ay = points[a, 0] * two + half, points[a, 1] * two + half
        bx, by = points[b, 0] * two + half, points[b, 1] * two + half
        cx, cy = points[c, 0] * two + half, points[c, 1] * two + half
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < np.float32(1e-6):
            continue
        inverse = np.float32(1) / area
        x0 = max(int(np.ceil(min(ax, bx, cx))), 0)
        x1 = min(int(np.floor(max(ax, bx, cx))), width - 1)
        y0 = max(int(np.ceil(min(ay, by, cy))), 0)
        y1 = min(int(np.floor(max(ay, by, cy))), height - 1)
        az, bz, cz = points[a, 2], points[b, 2], points[c, 2]
        step_b, step_c = (cy - ay) * inverse, -(by - ay) * inverse
        for y in range(y0, y1 + 1):
            dy = np.float32(y) - ay
            wb = ((np.float32(x0) - ax) * (cy - ay) - dy * (cx - ax)) * inverse
            wc = (dy * (bx - ax) - (np.float32(x0) - ax) * (by - ay)) * inverse
            for x in range(x0, x1 + 1):
                if wb >= np.float32(-1e-5) and wc >= np.float32(-1e-5) and wb + wc <= np.float32(1.00001):
                    z = az + wb * (bz - az) + wc * (cz - az)
                    if z < depth[y, x]:
                        depth[y, x] = z
                        owner[y, x] = t
                wb += step_b
                wc += step_c


@nb.njit(cache=True, nogil=True, fastmath=True)
def planes(points: Any, triangles: Any, values: Any) -> Any:
    """values: float32 [V, K] at the vertices -> float32 [T, K, 3]: each triangle's coefficients of (x, y, 1)."""
    count = values.shape[1]
    out = np.zeros((triangles.shape[0], count, 3), np.float32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t]
        ax, ay = points[a, 0], points[a, 1]
        ux, uy = points[b, 0] - ax, points[b, 1] - ay
        vx, vy = points[c, 0] - ax, points[c, 1] - ay
        area = ux * vy - uy * vx
        if abs(area) < 2.5e-7:
            continue
        for k in range(count):
            first, second = values[b, k] - values[a, k], values[c, k] - values[a, k]
            gx = (first * vy - second * uy) / area
            gy = (second * ux - first * vx) / area
            out[t, k, 0], out[t, k, 1], out[t, k, 2] = gx, gy, values[a, k] - gx * ax - gy * ay
    return out


@nb.njit(inline="always")
def _sample(texture: Any, u: Any, v: Any, share: Any, total: Any) -> None:
    height, width = texture.shape[0], texture.shape[1]
    u = min(max(u, np.float32(0)), np.float32(width - 1.001))
    v = min(max(v, np.float32(0)), np.float32(height - 1.001))
    x, y = int(u), int(v)
    fx, fy = u - np.float32(x), v - np.float32(y)
    for k in range(3):
        top = texture[y, x, k] + fx * (np.float32(texture[y, x + 1, k]) - np.float32(texture[y, x, k]))
        low = texture[y + 1, x, k] + fx * (np.float32(texture[y + 1, x + 1, k]) - np.float32(texture[y + 1, x, k]))
        total[k] += share * (top + fy * (low - top))


@nb.njit(cache=True, nogil=True, fastmath=True)
def shade(owner: Any, plane: Any, texture: Any, out: Any) -> None:
    """owner: int32 [2H, 2W] of `cover`; plane: float32 [T, 5, 3], of (u, v) in texture px and of the light's (r, g, b)
    gains; texture: uint8 [H', W', 3]; out: uint8 [H, W, 3], overwritten."""
    height, width = out.shape[0], out.shape[1]
    total = np.zeros(3, np.float32)
    us, vs = np.zeros(4, np.float32), np.zeros(4, np.float32)
    quarter = np.float32(0.25)
    for y in range(height):
        for x in range(width):
            t = owner[2 * y, 2 * x]
            t1, t2, t3 = owner[2 * y, 2 * x + 1], owner[2 * y + 1, 2 * x], owner[2 * y + 1, 2 * x + 1]
            fx, fy = np.float32(x), np.float32(y)
            total[:] = np.float32(0)
            if t == t1 and t == t2 and t == t3:
                p = plane[t]
                u, v = p[0, 0] * fx + p[0, 1] * fy + p[0, 2], p[1, 0] * fx + p[1, 1] * fy + p[1, 2]
                _sample(texture, u, v, np.float32(1), total)
            else:
                for s in range(4):
                    sx = fx + (quarter if s % 2 else -quarter)
                    sy = fy + (quarter if s // 2 else -quarter)
                    p = plane[owner[2 * y + s // 2, 2 * x + s % 2]]
                    us[s] = p[0, 0] * sx + p[0, 1] * sy + p[0, 2]
                    vs[s] = p[1, 0] * sx + p[1, 1] * sy + p[1, 2]
                spread = max(us.max() - us.min(), vs.max() - vs.min())
                if spread < np.float32(APART):
                    _sample(texture, us.mean(), vs.mean(), np.float32(1), total)
                else:
                    for s in range(4):
                        _sample(texture, us[s], vs[s], quarter, total)
            g = plane[t]
            for k in range(3):
                gain = g[2 + k, 0] * fx + g[2 + k, 1] * fy + g[2 + k, 2]
                out[y, x, k] = np.uint8(min(max(total[k] * gain + np.float32(0.5), np.float32(0)), np.float32(255)))
