"""Where glands, lumens and sheets of cells lie: depth below the outer surface of epithelium, on a coarse grid.

Glands stand on a jittered lattice for each pattern; a gland exists where the map of patterns names its pattern at its centre.
Overlapping glands join, which makes the fused glands of Gleason 4.
Positions are (x, y) in micrometres.
Shapes and sizes are an own reading of textbook pictures (docs/prostate.md, Synthetic patients).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from algorithms.phantom.biopsy.noise import chance, sample

COARSE_UM = 2.0
"""Grid spacing of the architecture; the smallest lumen is three of them across."""
STROMA, BENIGN, GLEASON3, GLEASON4, GLEASON5 = range(5)
FAR_UM = 60.0
"""Distances to epithelium are cut here."""
TURN = 6.283185307179586

GLANDS = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [215.0, 0.92, 78.0, 0.28, 0.30, 19.0, 16.0],
        [52.0, 0.86, 19.0, 0.28, 0.12, 12.5, 5.0],
        [150.0, 0.97, 74.0, 0.25, 0.16, 1e3, 14.0],
        [120.0, 0.93, 62.0, 0.30, 0.22, 1e3, 26.0],
        [37.0, 0.95, 21.0, 0.22, 0.14, 12.0, 7.0],
    ]
)
"""Of each pattern, and last of the fused glands of Gleason 4 (a pitch below the diameter joins them): lattice pitch (um), share
of places taken, mean radius (um), its relative spread, depth of lobes relative to the radius, thickness of the epithelium
(um, 1000 for solid), amplitude of the warp (um)."""
FUSED = 5
"""Row of the fused glands in ``GLANDS``."""
FUSED_SHARE = 0.4
"""Share of Gleason 4 places that hold fused glands and not cribriform sheets."""
FUSED_PATCH_UM = 450.0
"""Edge of the patches that are of one kind."""
HOLES = (25.0, 0.72, 6.5)
"""Pitch (um), share and mean radius (um) of the punched lumens in cribriform sheets."""


class Place(NamedTuple):
    """What lies where: map of patterns, distance to the tissue's edge (um), origin and spacing of both, texture, seed."""

    patterns: np.ndarray
    edge: np.ndarray
    grid: np.ndarray
    noise: np.ndarray
    seed: int


class Ground(NamedTuple):
    """The coarse grid from (x0, y0): depth into epithelium, a lumen and tissue (um); pattern; a height that fibres follow."""

    x0: float
    y0: float
    depth: np.ndarray
    lumen: np.ndarray
    kind: np.ndarray
    tissue: np.ndarray
    waves: np.ndarray


class Gland(NamedTuple):
    """One gland: centre, radius, depth of lobes, wall and warp (um, lobes relative), cosines and sines of the lobes' phases."""

    x: float
    y: float
    radius: float
    lobes: float
    wall: float
    warp: float
    cosines: tuple[float, float, float]
    sines: tuple[float, float, float]


@njit(cache=True, nogil=True)
def pattern_at(place: Place, x: float, y: float) -> int:
    """Return the pattern of a place."""
    i = min(max(int((x - place.grid[0]) / place.grid[2]), 0), place.patterns.shape[1] - 1)
    j = min(max(int((y - place.grid[1]) / place.grid[2]), 0), place.patterns.shape[0] - 1)
    return int(place.patterns[j, i])


@njit(cache=True, nogil=True)
def _fused(place: Place, x: float, y: float) -> bool:
    """Return whether Gleason 4 at a place is of fused glands."""
    return chance(int(np.floor(x / FUSED_PATCH_UM)), int(np.floor(y / FUSED_PATCH_UM)), 71, place.seed) < FUSED_SHARE


@njit(cache=True, nogil=True)
def span(low: float, high: float, step: float, count: int) -> tuple[int, int]:
    """Return the range of grid points from ``low`` to ``high`` (relative to the grid's first point), cut to the grid."""
    return max(int(low / step), 0), min(int(high / step) + 2, count)


@njit(cache=True, nogil=True)
def cells(low: float, high: float, pitch: float) -> tuple[int, int]:
    """Return the range of lattice cells that touch ``low`` to ``high``."""
    return int(np.floor(low / pitch)) - 1, int(np.floor(high / pitch)) + 2


@njit(cache=True, nogil=True)
def _edge(gland: Gland, c: float, s: float) -> float:
    """Return the radius of a gland in the direction (cosine, sine): a circle with lobes of order 2, 3 and 5."""
    cos2, sin2 = c * c - s * s, 2 * c * s
    cos3, sin3 = cos2 * c - sin2 * s, sin2 * c + cos2 * s
    cos5, sin5 = cos2 * cos3 - sin2 * sin3, sin2 * cos3 + cos2 * sin3
    two = cos2 * gland.cosines[0] - sin2 * gland.sines[0]
    three = cos3 * gland.cosines[1] - sin3 * gland.sines[1]
    five = cos5 * gland.cosines[2] - sin5 * gland.sines[2]
    return gland.radius * (1 + gland.lobes * (0.6 * two + 0.5 * three + 0.4 * five))


@njit(cache=True, nogil=True)
def _stamp(ground: Ground, gland: Gland, noise: np.ndarray, code: int) -> None:
    """Join one gland to the grid."""
    reach = gland.radius * (1 + 1.6 * gland.lobes) + gland.warp + 30.0
    rows, columns = ground.depth.shape
    i0, i1 = span(gland.x - reach - ground.x0, gland.x + reach - ground.x0, COARSE_UM, columns)
    j0, j1 = span(gland.y - reach - ground.y0, gland.y + reach - ground.y0, COARSE_UM, rows)
    for j in range(j0, j1):
        y = ground.y0 + j * COARSE_UM
        for i in range(i0, i1):
            x = ground.x0 + i * COARSE_UM
            dx = x - gland.x + gland.warp * sample(noise, x * 0.045 + 17.0, y * 0.045)
            dy = y - gland.y + gland.warp * sample(noise, x * 0.045, y * 0.045 + 91.0)
            r = np.sqrt(dx * dx + dy * dy) + 1e-6
            inside = _edge(gland, dx / r, dy / r) - r
            if inside > ground.depth[j, i]:
                ground.depth[j, i] = inside
                ground.kind[j, i] = code
            ground.lumen[j, i] = max(ground.lumen[j, i], inside - gland.wall)


@njit(cache=True, nogil=True)
def _lattice(ground: Ground, place: Place, row: int, code: int) -> None:
    """Stamp every gland of one row of ``GLANDS`` that can reach the grid and whose centre lies in pattern ``code``."""
    pitch, presence, radius, spread, lobes, wall, warp = GLANDS[row]
    reach = radius * (1 + spread) * (1 + 1.6 * lobes) + warp + 30.0
    rows, columns = ground.depth.shape
    q0, q1 = cells(ground.y0 - reach, ground.y0 + rows * COARSE_UM + reach, pitch)
    p0, p1 = cells(ground.x0 - reach, ground.x0 + columns * COARSE_UM + reach, pitch)
    salt, seed = 100 + 20 * row, place.seed
    for q in range(q0, q1):
        for p in range(p0, p1):
            if chance(p, q, salt, seed) > presence:
                continue
            x = (p + 0.5 * (q & 1) + 0.5 + 0.62 * (chance(p, q, salt + 1, seed) - 0.5)) * pitch
            y = (q + 0.5 + 0.62 * (chance(p, q, salt + 2, seed) - 0.5)) * pitch
            if pattern_at(place, x, y) != code or (code == GLEASON4 and _fused(place, x, y) != (row == FUSED)):
                continue
            size = radius * (1 + spread * (2 * chance(p, q, salt + 3, seed) - 1))
            a, b, c = (
                TURN * chance(p, q, salt + 4, seed),
                TURN * chance(p, q, salt + 5, seed),
                TURN * chance(p, q, salt + 6, seed),
            )
            cosines, sines = (np.cos(a), np.cos(b), np.cos(c)), (np.sin(a), np.sin(b), np.sin(c))
            _stamp(ground, Gland(x, y, size, lobes, wall, warp, cosines, sines), place.noise, code)


@njit(cache=True, nogil=True)
def _punch(ground: Ground, place: Place) -> None:
    """Punch round lumens into the cribriform sheets of the grid."""
    pitch, share, radius = HOLES
    seed = place.seed
    rows, columns = ground.depth.shape
    q0, q1 = cells(ground.y0, ground.y0 + rows * COARSE_UM, pitch)
    p0, p1 = cells(ground.x0, ground.x0 + columns * COARSE_UM, pitch)
    for q in range(q0, q1):
        for p in range(p0, p1):
            x = (p + 0.5 * (q & 1) + 0.5 + 0.5 * (chance(p, q, 61, seed) - 0.5)) * pitch
            y = (q + 0.5 + 0.5 * (chance(p, q, 62, seed) - 0.5)) * pitch
            if chance(p, q, 60, seed) > share or _fused(place, x, y):
                continue
            size = radius * (0.6 + 0.8 * chance(p, q, 63, seed))
            _hole(ground, x, y, size, (0.75 + 0.25 * chance(p, q, 64, seed), TURN * chance(p, q, 65, seed)))


@njit(cache=True, nogil=True)
def _hole(ground: Ground, x: float, y: float, size: float, form: tuple[float, float]) -> None:
    """Punch one lumen of radius ``size`` and ``form`` (ratio of its axes, direction) where a sheet is deep enough."""
    ratio, turn = form
    c, s = np.cos(turn), np.sin(turn)
    rows, columns = ground.depth.shape
    i0, i1 = span(x - size - 12 - ground.x0, x + size + 12 - ground.x0, COARSE_UM, columns)
    j0, j1 = span(y - size - 12 - ground.y0, y + size + 12 - ground.y0, COARSE_UM, rows)
    for j in range(j0, j1):
        for i in range(i0, i1):
            if ground.kind[j, i] != GLEASON4:
                continue
            dx, dy = ground.x0 + i * COARSE_UM - x, ground.y0 + j * COARSE_UM - y
            u, v = dx * c + dy * s, (dy * c - dx * s) / ratio
            inside = min(size - np.sqrt(u * u + v * v), ground.depth[j, i] - 9.0)
            ground.lumen[j, i] = max(ground.lumen[j, i], inside)


@njit(cache=True, nogil=True)
def build(ground: Ground, place: Place) -> None:
    """Fill depth, lumen and kind of an empty coarse grid."""
    present = np.zeros(5, np.bool_)
    for code in place.patterns.flat:
        present[code] = True
    for code in (BENIGN, GLEASON3, GLEASON4, GLEASON5):
        if present[code]:
            _lattice(ground, place, code, code)
    if present[GLEASON4]:
        _lattice(ground, place, FUSED, GLEASON4)
        _punch(ground, place)
