"""One pass that streams and collides, run by run, eight cells at once; ``compiled`` says what a collision keeps."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from algorithms.coronary.lattice.lanes import LANES, load, spread, store
from algorithms.coronary.lattice.velocities import WEIGHTS

_FACE, _EDGE, _CORNER = (float(WEIGHTS[i]) for i in (1, 7, 19))
REST, FACE, EDGE, CORNER = (np.float32(w) for w in (WEIGHTS[0], _FACE, _EDGE, _CORNER))
FACE_3, EDGE_3, CORNER_3 = (np.float32(3 * w) for w in (_FACE, _EDGE, _CORNER))
FACE_9, EDGE_9, CORNER_9 = (np.float32(w) for w in (4.5 * _FACE, 4.5 * _EDGE, 9 * _CORNER))
EDGE_MIXED = np.float32(9 * _EDGE)
THIRD, HALVES_3 = np.float32(1 / 3), np.float32(1.5)


@numba.njit(parallel=True, fastmath=True, cache=True)
def collide(  # noqa: PLR0917 - numba takes no keyword-only arguments
    f: np.ndarray, out: np.ndarray, source: np.ndarray, target: np.ndarray, stride: np.ndarray, length: np.ndarray,
    parts: np.ndarray, keep: np.float32,
) -> None:  # fmt: skip
    """Write to ``out`` what the populations ``f`` become in a step; the tables are those of ``layout.Runs``.

    ``keep`` is the part of the stress out of equilibrium that a collision leaves, 1 - 1 / tau.
    """
    for part in numba.prange(len(parts) - 1):
        for run in range(parts[part], parts[part + 1]):
            to: Any = np.int64(target[run])
            to_next: Any = np.int64(stride[run])
            _run(f, out, source[run], to, to_next, length[run], spread(keep))


@numba.njit(fastmath=True, cache=True)
def _pair(f: np.ndarray, source: np.ndarray, direction: int, k: int) -> tuple[Any, Any]:
    """Return the sum and the difference of the populations that come in a direction and against it."""
    one, other = load(f, np.int64(source[direction]) + k), load(f, np.int64(source[direction + 1]) + k)
    return one + other, one - other


@numba.njit(fastmath=True, cache=True)
def _put(out: np.ndarray, to: int, stride: int, even: Any, odd: Any) -> None:
    """Write the populations that go in a direction and against it."""
    store(out, to, even + odd)
    store(out, to + stride, even - odd)


@numba.njit(fastmath=True, cache=True)
def _run(  # noqa: PLR0915, PLR0917 - one collision, which is one formula
    f: np.ndarray, out: np.ndarray, source: np.ndarray, target: int, stride: int, length: int, keep: Any
) -> None:
    for k in range(0, length, LANES):
        # Moments: density, momentum, and the second moments xx to yz; s are sums of two opposite populations, d differences.
        xx, jx = _pair(f, source, 1, k)
        yy, jy = _pair(f, source, 3, k)
        zz, jz = _pair(f, source, 5, k)
        rho = load(f, np.int64(source[0]) + k) + xx + yy + zz
        s, d = _pair(f, source, 7, k)
        t, e = _pair(f, source, 9, k)
        jx, jy, xy, s = jx + d + e, jy + d - e, s - t, s + t
        rho, xx, yy = rho + s, xx + s, yy + s
        s, d = _pair(f, source, 11, k)
        t, e = _pair(f, source, 13, k)
        jx, jz, xz, s = jx + d + e, jz + d - e, s - t, s + t
        rho, xx, zz = rho + s, xx + s, zz + s
        s, d = _pair(f, source, 15, k)
        t, e = _pair(f, source, 17, k)
        jy, jz, yz, s = jy + d + e, jz + d - e, s - t, s + t
        rho, yy, zz = rho + s, yy + s, zz + s
        s, d = _pair(f, source, 19, k)
        t, e = _pair(f, source, 21, k)
        jx, jy, jz = jx + d + e, jy + d + e, jz + d - e
        xy, xz, yz, s = xy + s + t, xz + s - t, yz + s - t, s + t
        rho, xx, yy, zz = rho + s, xx + s, yy + s, zz + s
        s, d = _pair(f, source, 23, k)
        t, e = _pair(f, source, 25, k)
        jx, jy, jz = jx + d - e, jy + e - d, jz + d + e
        xy, xz, yz, s = xy - s - t, xz + s - t, yz + t - s, s + t
        rho, xx, yy, zz = rho + s, xx + s, yy + s, zz + s
        # Collision: of the stress beyond j j a part stays, and of its trace nothing.
        xx, yy, zz = xx - jx * jx, yy - jy * jy, zz - jz * jz
        trace = (xx + yy + zz) * spread(THIRD)
        xx, yy, zz = keep * (xx - trace) + jx * jx, keep * (yy - trace) + jy * jy, keep * (zz - trace) + jz * jz
        xy, xz, yz = keep * (xy - jx * jy) + jx * jy, keep * (xz - jx * jz) + jx * jz, keep * (yz - jy * jz) + jy * jz
        # Populations of these moments, in pairs: what both have, and what one has more.
        total = xx + yy + zz
        rest = rho - spread(HALVES_3) * total
        to = target + k
        store(out, to, spread(REST) * rest)
        base, of_j, of_s = spread(FACE) * rest, spread(FACE_3), spread(FACE_9)
        _put(out, to + stride, stride, base + of_s * xx, of_j * jx)
        _put(out, to + 3 * stride, stride, base + of_s * yy, of_j * jy)
        _put(out, to + 5 * stride, stride, base + of_s * zz, of_j * jz)
        base, of_s, mixed = spread(EDGE) * rest, spread(EDGE_9), spread(EDGE_MIXED)
        ux, uy, uz = spread(EDGE_3) * jx, spread(EDGE_3) * jy, spread(EDGE_3) * jz
        s, d = base + of_s * (xx + yy), mixed * xy
        _put(out, to + 7 * stride, stride, s + d, ux + uy)
        _put(out, to + 9 * stride, stride, s - d, ux - uy)
        s, d = base + of_s * (xx + zz), mixed * xz
        _put(out, to + 11 * stride, stride, s + d, ux + uz)
        _put(out, to + 13 * stride, stride, s - d, ux - uz)
        s, d = base + of_s * (yy + zz), mixed * yz
        _put(out, to + 15 * stride, stride, s + d, uy + uz)
        _put(out, to + 17 * stride, stride, s - d, uy - uz)
        base = spread(CORNER) * rho + spread(CORNER_3) * total
        xy, xz, yz = spread(CORNER_9) * xy, spread(CORNER_9) * xz, spread(CORNER_9) * yz
        ux, uy, uz = spread(CORNER_3) * jx, spread(CORNER_3) * jy, spread(CORNER_3) * jz
        _put(out, to + 19 * stride, stride, base + xy + xz + yz, ux + uy + uz)
        _put(out, to + 21 * stride, stride, base + xy - xz - yz, ux + uy - uz)
        _put(out, to + 23 * stride, stride, base - xy + xz - yz, ux - uy + uz)
        _put(out, to + 25 * stride, stride, base - xy - xz + yz, uy + uz - ux)
