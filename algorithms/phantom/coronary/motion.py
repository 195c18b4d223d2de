"""The heart that moves while the gantry turns, and the steps between slabs that were scanned in different beats.

A half turn of parallel views measures every direction of a slice's Fourier plane once (the projection-slice theorem), each at
its own moment.  So the image of a moving object is put together in that plane, sector by sector, from the object as it lay
at the moment of each view; tails and doubled walls come out by themselves.  Points are LPS mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np

from algorithms.phantom.coronary.paint import Canvas, Grid
from algorithms.phantom.coronary.person import Person
from algorithms.phantom.coronary.tree import Vessel

MOMENTS = 7
"""Most moments of the half turn at which the heart is looked at; views between them mix their neighbours."""
REACH_MM = 28.0
"""Standard deviation of the region that moves with a vessel."""
SHARES = {"RCA": 1.0, "LCx": 0.7, "LAD": 0.35}
"""How far each artery goes when the right one goes 1.

The order, and a range of 22 to 109 mm/s over arteries and phases, are those of Mao et al., J Comput Assist Tomogr 24:253
(2000); half a turn takes 0.07 to 0.15 s, so an artery goes a few mm.
"""


@dataclass(frozen=True, eq=False)
class Motion:
    """A half turn: middles (K, 3) of the regions that move, their ways (K, M, 3) at M moments, first view (radians)."""

    middles_mm: np.ndarray
    ways_mm: np.ndarray
    first_view: float


def moments_of(motion_mm: float) -> int:
    """Return how many moments make a motion smooth: one for every mm or so, 3 to ``MOMENTS``."""
    return int(np.clip(np.ceil(motion_mm) + 1, 3, MOMENTS))


def draw_motion(seed: int, vessels: Sequence[Vessel], motion_mm: float) -> Motion:
    """Return a half turn during which the right artery goes ``motion_mm`` and the others their share of it."""
    rng = np.random.default_rng([seed, 9])
    first_view = float(rng.uniform(0, np.pi))
    middles, ways = [], []
    for name, share in SHARES.items():
        vessel = next(v for v in vessels if v.name == name)
        middles.append(vessel.axis_mm[int(len(vessel.axis_mm) * (0.5 if name == "RCA" else 0.4))])
        course, bend = rng.normal(0, 1, (2, 3))
        course, bend = (v / np.linalg.norm(v) for v in (course, bend))
        ways.append(motion_mm * share * way(course, 0.8 * bend, first_view, moments_of(motion_mm)))
    return Motion(np.array(middles), np.array(ways), first_view)


def way(course: np.ndarray, bend: np.ndarray, first_view: float, count: int) -> np.ndarray:
    """Return where (count, 3) something lies at every moment that goes along ``course`` (3,) and turns towards ``bend`` (3,).

    Only views along a direction see where it is in that direction, so its image stands where it lay at their moment.  The
    truth is what the image shows: at the moments of its course and of its bend it is, in that direction, at its place.
    """
    moments = np.linspace(0, 1, count)
    bend = bend - (bend @ course) * course
    seen, seen_bend = (((np.arctan2(v[1], v[0]) - first_view) % np.pi / np.pi) for v in (course, bend))
    aside = (moments - seen) ** 2 - (seen_bend - seen) ** 2
    places: np.ndarray = (moments - seen)[:, None] * course + aside[:, None] * bend
    return places


def move_heart(canvas: Canvas, motion: Motion) -> None:
    """Put ``canvas`` together in place from what each view of the half turn saw."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    grid, hu = canvas.grid, canvas.hu
    part = grid.around(motion.middles_mm, 2.4 * REACH_MM)
    still = hu[part].copy()
    if min(still.shape) < 2:
        return
    # What moves fades to nothing at the rim, so zeros beyond it change nothing, and a good length makes the transform fast.
    shape = tuple(next_fast_len(n, real=True) for n in still.shape[1:])
    count = motion.ways_mm.shape[1]
    sectors = _sectors(count, shape, grid.spacing_mm, motion.first_view)
    frame = np.array([grid.block(part).origin_mm, grid.spacing_mm[::-1]])
    changes = np.zeros((count, *shape), dtype=np.float32)
    for k in range(len(still)):
        if _change_slice(changes, (still, k), frame, motion.middles_mm, motion.ways_mm):
            spectrum = (sectors * rfft2(changes)).sum(axis=0)
            hu[part][k] += irfft2(spectrum, s=shape)[: still.shape[1], : still.shape[2]]


def _sectors(count: int, shape: tuple[int, ...], spacing_mm: tuple[float, float, float], first_view: float) -> np.ndarray:
    """Return the share (count, Y, X // 2 + 1) of each moment in every spatial frequency; shares add to 1."""
    fy = np.fft.fftfreq(shape[0], spacing_mm[1])[:, None]
    fx = np.fft.rfftfreq(shape[1], spacing_mm[2])[None, :]
    moment = ((np.arctan2(fy, fx) - first_view) % np.pi) / np.pi * (count - 1)
    sectors = np.maximum(1 - np.abs(moment - np.arange(count)[:, None, None]), 0)
    sectors[:, 0, 0] = 1 / count
    shares: np.ndarray = sectors.astype(np.float32)
    return shares


@numba.njit(cache=True, nogil=True)
def _change_slice(
    changes: np.ndarray, place: tuple[np.ndarray, int], frame: np.ndarray, middles: np.ndarray, ways: np.ndarray
) -> bool:
    """Set ``changes`` (M, Y, X) to what motion adds to one slice at each moment, and return whether it adds anything.

    Regions around ``middles`` (K, 3) go by ``ways`` (K, M, 3); between them, by as much as each region reaches.
    """
    still, k = place
    _, rows, columns = still.shape
    weights = np.empty(len(middles))
    any_change = False
    for y in range(rows):
        for x in range(columns):
            total = 0.0
            for region in range(len(middles)):
                square = (frame[0, 0] + frame[1, 0] * x - middles[region, 0]) ** 2
                square += (frame[0, 1] + frame[1, 1] * y - middles[region, 1]) ** 2
                square += (frame[0, 2] + frame[1, 2] * k - middles[region, 2]) ** 2
                weights[region] = 0.0
                if square < 5.6 * REACH_MM**2:
                    weights[region] = max(np.exp(-0.5 * square / REACH_MM**2) - 0.06, 0.0) / 0.94
                total += weights[region]
            if total < 0.02:
                changes[:, y, x] = 0.0
                continue
            any_change = True
            for moment in range(len(changes)):
                dx, dy, dz = 0.0, 0.0, 0.0
                for region in range(len(middles)):
                    dx += weights[region] * ways[region, moment, 0] / frame[1, 0]
                    dy += weights[region] * ways[region, moment, 1] / frame[1, 1]
                    dz += weights[region] * ways[region, moment, 2] / frame[1, 2]
                changes[moment, y, x] = _interpolated(still, k - dz, y - dy, x - dx) - still[k, y, x]
    return any_change


@numba.njit(cache=True, nogil=True)
def _interpolated(still: np.ndarray, z: float, y: float, x: float) -> float:
    """Return ``still`` between its voxels; beyond its rim, that of the rim."""
    z = min(max(z, 0.0), still.shape[0] - 1.001)
    y = min(max(y, 0.0), still.shape[1] - 1.001)
    x = min(max(x, 0.0), still.shape[2] - 1.001)
    k, j, i = int(z), int(y), int(x)
    sz, sy, sx = np.float32(z - k), np.float32(y - j), np.float32(x - i)
    one = np.float32(1.0)
    near = (still[k, j, i] * (one - sx) + still[k, j, i + 1] * sx) * (one - sy)
    near += (still[k, j + 1, i] * (one - sx) + still[k, j + 1, i + 1] * sx) * sy
    far = (still[k + 1, j, i] * (one - sx) + still[k + 1, j, i + 1] * sx) * (one - sy)
    far += (still[k + 1, j + 1, i] * (one - sx) + still[k + 1, j + 1, i + 1] * sx) * sy
    return float(near * (one - sz) + far * sz)


@dataclass(frozen=True, eq=False)
class Slab:
    """Slices ``start`` to ``stop`` of the whole scan, in which the heart lay ``shift_mm`` (3,) from its place."""

    start: int
    stop: int
    shift_mm: np.ndarray
    contrast: float  # blood's Hounsfield units over those of the scan


def draw_slabs(seed: int, grid: Grid, slab_mm: float, step_mm: float, fading: float) -> list[Slab]:
    """Return the slabs of a scan, ``slab_mm`` high, each shifted by a draw of deviation ``step_mm`` along every axis.

    ``fading`` is the deviation of the contrast from slab to slab, as a share.
    """
    rng = np.random.default_rng([seed, 10])
    height = max(round(slab_mm / grid.spacing_mm[0]), 2)
    first = int(rng.integers(height // 3, height))
    edges = [0, *range(first, grid.shape[0] - 2, height), grid.shape[0]]
    shifts = rng.normal(0, step_mm, (len(edges) - 1, 3))
    shifts -= shifts.mean(axis=0)
    contrasts = 1 + rng.normal(0, fading, len(edges) - 1)
    return [Slab(a, b, s, float(c)) for a, b, s, c in zip(edges[:-1], edges[1:], shifts, contrasts, strict=True)]


def shifted(person: Person, shift_mm: np.ndarray) -> Person:
    """Return ``person`` with the heart's vessels moved by ``shift_mm`` (3,) as a whole."""
    vessels = [replace(v, axis_mm=v.axis_mm + shift_mm, points_mm=v.points_mm + shift_mm) for v in person.vessels]
    nodules = [replace(n, path_mm=n.path_mm + shift_mm) for n in person.nodules]
    sides = [replace(s, path_mm=s.path_mm + shift_mm) if s.of_heart else s for s in person.side_vessels]
    devices = [
        replace(d, strands=tuple((path + shift_mm, radius) for path, radius in d.strands)) if d.of_heart else d
        for d in person.devices
    ]
    return replace(person, vessels=tuple(vessels), nodules=tuple(nodules), side_vessels=tuple(sides), devices=tuple(devices))


def as_scanned(person: Person, grid: Grid, slabs: Sequence[Slab]) -> Person:
    """Return ``person`` with every point of the arteries where the scan shows it: shifted with the slab that it fell into.

    A point that a gap between two slabs swallowed is put into the nearer one, and one that both show into the lower one.
    """
    low = np.array([grid.origin_mm[2] + (s.start - 0.5) * grid.spacing_mm[0] for s in slabs])
    high = np.array([grid.origin_mm[2] + (s.stop - 0.5) * grid.spacing_mm[0] for s in slabs])
    low[0], high[-1] = -np.inf, np.inf
    shifts = np.array([s.shift_mm for s in slabs])

    def shown(points: np.ndarray) -> np.ndarray:
        z = points[:, 2, None] + shifts[:, 2]
        outside = np.maximum(np.maximum(low - z, z - high), 0)
        placed: np.ndarray = points + shifts[np.argmin(outside, axis=1)]
        return placed

    vessels = [replace(v, axis_mm=shown(v.axis_mm), points_mm=shown(v.points_mm)) for v in person.vessels]
    return replace(person, vessels=tuple(vessels))
