"""Nuclei: where they sit, how large and irregular they are, and how they take up haematoxylin.

Candidates stand on jittered lattices and are moved to the depth at which their layer lies; positions are (x, y) in micrometres.
Sizes are an own reading of textbook pictures: about 6 um across in benign glands, 10 um and more in bad cancers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from algorithms.phantom.biopsy.glands import (
    BENIGN,
    COARSE_UM,
    GLEASON3,
    GLEASON4,
    GLEASON5,
    TURN,
    Ground,
    Place,
    cells,
    pattern_at,
    span,
)
from algorithms.phantom.biopsy.noise import bilinear, chance, sample

EPITHELIUM_PITCH_UM = 6.6
"""Pitch of candidates in epithelium, about a nucleus."""
STROMA_PITCH_UM = 13.0
LYMPHOCYTE_PITCH_UM = 7.0
MARGIN_UM = 18.0
"""How far outside a window a candidate may stand and still be seen in it."""
INSIDE_UM = 2.0
"""No nucleus nearer than this to the tissue's edge."""


class Canvas(NamedTuple):
    """Amounts of haematoxylin and eosin of a window whose corner lies at (x0, y0) um."""

    haematoxylin: np.ndarray
    eosin: np.ndarray
    x0: float
    y0: float
    mpp: float


class Nucleus(NamedTuple):
    """One nucleus: half axes (um), direction, density, irregularity, radius of nucleolus (um), paleness of middle."""

    long: float
    short: float
    turn: float
    density: float
    irregular: float
    nucleolus: float
    pale: float


@njit(cache=True, nogil=True)
def _paint(
    canvas: Canvas, noise: np.ndarray, at: tuple[float, float], nucleus: Nucleus, lot: tuple[float, float, float]
) -> None:
    """Paint one nucleus at a place; ``lot`` are three numbers of its own in 0-1."""
    long, short = nucleus.long, nucleus.short
    rows, columns = canvas.haematoxylin.shape
    mpp = canvas.mpp
    x, y = at[0] - canvas.x0, at[1] - canvas.y0
    reach = long * (1 + 1.3 * nucleus.irregular) + 1.0
    i0, i1 = span(x - reach, x + reach, mpp, columns)
    j0, j1 = span(y - reach, y + reach, mpp, rows)
    c, s = np.cos(nucleus.turn), np.sin(nucleus.turn)
    c2, s2 = np.cos(TURN * lot[0]), np.sin(TURN * lot[0])
    c3, s3 = np.cos(TURN * lot[1]), np.sin(TURN * lot[1])
    nx, ny = (lot[1] - 0.5) * 0.7 * long, (lot[2] - 0.5) * 0.7 * short
    soft = max(0.6 * mpp, 0.3)
    shift = 400.0 * lot[2]
    for j in range(j0, j1):
        dy = (j + 0.5) * mpp - y
        for i in range(i0, i1):
            dx = (i + 0.5) * mpp - x
            u, v = dx * c + dy * s, dy * c - dx * s
            p, q = u / long, v / short
            r = np.sqrt(p * p + q * q) + 1e-6
            if r > 1.7:
                continue
            cu, su = p / r, q / r
            cos2, sin2 = cu * cu - su * su, 2 * cu * su
            cos3, sin3 = cos2 * cu - sin2 * su, sin2 * cu + cos2 * su
            edge = 1 + nucleus.irregular * (0.6 * (cos2 * c2 - sin2 * s2) + 0.7 * (cos3 * c3 - sin3 * s3))
            inside = (edge - r) * short
            cover = min(max(inside / soft + 0.5, 0.0), 1.0)
            if cover <= 0:
                continue
            rim = 1 - nucleus.pale * min(max(inside / (0.45 * short) - 0.35, 0.0), 1.0)
            value = nucleus.density * rim * (1 + 0.16 * sample(noise, dx * 1.3 + shift, dy * 1.3 + shift))
            if nucleus.nucleolus > 0:
                d = np.sqrt((u - nx) ** 2 + (v - ny) ** 2)
                dot = min(max((nucleus.nucleolus - d) / soft + 0.5, 0.0), 1.0)
                value = value * (1 - dot) + dot * max(1.15 * nucleus.density, value)
            canvas.haematoxylin[j, i] = canvas.haematoxylin[j, i] * (1 - cover) + cover * value
            canvas.eosin[j, i] *= 1 - 0.55 * cover


@njit(cache=True, nogil=True)
def _window(canvas: Canvas, pitch: float) -> tuple[int, int, int, int]:
    """Return the lattice cells (p0, p1, q0, q1) whose nuclei may be seen in a window."""
    rows, columns = canvas.haematoxylin.shape
    p0, p1 = cells(canvas.x0 - MARGIN_UM, canvas.x0 + columns * canvas.mpp + MARGIN_UM, pitch)
    q0, q1 = cells(canvas.y0 - MARGIN_UM, canvas.y0 + rows * canvas.mpp + MARGIN_UM, pitch)
    return p0, p1, q0, q1


@njit(cache=True, nogil=True)
def _slope(a: np.ndarray, gx: float, gy: float) -> tuple[float, float]:
    """Return the direction (unit vector) in which a coarse array rises."""
    sx = bilinear(a, gx + 1, gy) - bilinear(a, gx - 1, gy)
    sy = bilinear(a, gx, gy + 1) - bilinear(a, gx, gy - 1)
    length = np.sqrt(sx * sx + sy * sy) + 1e-6
    return sx / length, sy / length


@njit(cache=True, nogil=True)
def _benign(d: float, inner: float, turn: float, lot: tuple[float, float, float]) -> tuple[float, Nucleus]:
    """Return how far (um) a candidate at depth ``d`` moves inwards, and its nucleus; NaN where it has no place."""
    if d < 6.0:  # the basal layer: small, dark, along the membrane
        return 2.2 - d, Nucleus(3.3, 1.7, turn + 0.25 * TURN, 0.95, 0.04, 0.0, 0.05)
    tall = Nucleus(3.6 + 0.5 * lot[0], 2.7 + 0.3 * lot[1], turn, 0.72, 0.04, 0.0, 0.35)
    if d < 12.5 and inner < -2:
        return 8.5 + 2.0 * (lot[2] - 0.5) - d, tall
    return np.nan, tall


@njit(cache=True, nogil=True)
def _malignant(
    pleomorphism: float, layered: bool, turn: float, lot: tuple[float, float, float], more: tuple[float, float]
) -> Nucleus:
    """Return a nucleus of cancer: larger, more unequal, more irregular, with larger nucleoli as pleomorphism grows."""
    spread = 0.06 + 0.30 * pleomorphism
    size = min((2.75 + 1.75 * pleomorphism) * np.exp(spread * (lot[0] + lot[1] + lot[2] - 1.5) * 1.6), 7.0) * 1.08
    return Nucleus(
        size,
        size * (0.82 - 0.25 * pleomorphism * more[0]),
        turn if layered else TURN * lot[1],
        0.68 + 0.35 * pleomorphism * (more[1] - 0.25),
        0.03 + 0.11 * pleomorphism,
        0.45 + 0.95 * pleomorphism if lot[2] < 0.15 + 0.85 * pleomorphism else 0.0,
        0.25 + 0.1 * pleomorphism,
    )


@njit(cache=True, nogil=True)
def _epithelium(canvas: Canvas, ground: Ground, place: Place, pleomorphism: float) -> None:
    """Paint the nuclei of glands and sheets."""
    pitch, seed = EPITHELIUM_PITCH_UM, place.seed
    p0, p1, q0, q1 = _window(canvas, pitch)
    for q in range(q0, q1):
        for p in range(p0, p1):
            x = (p + 0.5 * (q & 1) + 0.5 + 0.7 * (chance(p, q, 1, seed) - 0.5)) * pitch
            y = (q + 0.5 + 0.7 * (chance(p, q, 2, seed) - 0.5)) * pitch
            gx, gy = (x - ground.x0) / COARSE_UM, (y - ground.y0) / COARSE_UM
            d = bilinear(ground.depth, gx, gy)
            if d < -1.0 or bilinear(ground.tissue, gx, gy) < INSIDE_UM:
                continue
            code = ground.kind[
                int(min(max(gy + 0.5, 0.0), ground.kind.shape[0] - 1)), int(min(max(gx + 0.5, 0.0), ground.kind.shape[1] - 1))
            ]
            inner = bilinear(ground.lumen, gx, gy)
            sx, sy = _slope(ground.depth, gx, gy)
            lot = (chance(p, q, 3, seed), chance(p, q, 4, seed), chance(p, q, 5, seed))
            turn = np.arctan2(sy, sx) + 0.5 * (lot[1] - 0.5)
            if code == BENIGN:
                move, nucleus = _benign(d, inner, turn, lot)
            else:
                layered = code == GLEASON3 or (code == GLEASON4 and inner > -30.0 and d < 14.0)
                move, thinned = _settle(d, inner, layered, pleomorphism, lot[0])
                if chance(p, q, 6, seed) > thinned:
                    continue
                nucleus = _malignant(pleomorphism, layered, turn, lot, (chance(p, q, 7, seed), chance(p, q, 8, seed)))
            if not np.isnan(move):
                _paint(canvas, place.noise, (x + move * sx, y + move * sy), nucleus, lot)


@njit(cache=True, nogil=True)
def _settle(d: float, inner: float, layered: bool, pleomorphism: float, lot: float) -> tuple[float, float]:
    """Return how far (um) a candidate in cancer moves inwards (NaN: none) and the share that stay; large ones need room."""
    if layered:
        return (np.nan if d > 8.6 or inner > -3.0 else 4.6 + 2.0 * (lot - 0.5) - d), 1 - 0.38 * pleomorphism
    return (np.nan if inner > -3.2 else 0.0), 0.86 - 0.44 * pleomorphism


@njit(cache=True, nogil=True)
def _stroma(canvas: Canvas, ground: Ground, place: Place, pleomorphism: float) -> None:
    """Paint spindle nuclei along the fibres, and the single cells of Gleason 5 between them."""
    pitch, seed, noise = STROMA_PITCH_UM, place.seed, place.noise
    p0, p1, q0, q1 = _window(canvas, pitch)
    for q in range(q0, q1):
        for p in range(p0, p1):
            x = (p + 0.5 + 0.95 * (chance(p, q, 21, seed) - 0.5)) * pitch
            y = (q + 0.5 + 0.95 * (chance(p, q, 22, seed) - 0.5)) * pitch
            gx, gy = (x - ground.x0) / COARSE_UM, (y - ground.y0) / COARSE_UM
            if bilinear(ground.depth, gx, gy) > -2.5 or bilinear(ground.tissue, gx, gy) < INSIDE_UM:
                continue
            lot = (chance(p, q, 23, seed), chance(p, q, 24, seed), chance(p, q, 25, seed))
            sx, sy = _slope(ground.waves, gx, gy)
            turn = np.arctan2(sy, sx) + 0.25 * TURN + 0.5 * (lot[2] - 0.5)
            if chance(p, q, 27, seed) < 0.6 and pattern_at(place, x, y) == GLEASON5:
                more = (chance(p, q, 28, seed), chance(p, q, 29, seed))
                _paint(canvas, noise, (x, y), _malignant(pleomorphism, True, turn, lot, more), lot)
            elif lot[0] < 0.42 + 0.22 * sample(noise, x * 0.02, y * 0.02):
                _paint(
                    canvas, noise, (x, y), Nucleus(4.6 + 4.0 * lot[1], 0.95 + 0.7 * lot[2], turn, 0.72, 0.05, 0.0, 0.05), lot
                )


@njit(cache=True, nogil=True)
def _inflammation(canvas: Canvas, ground: Ground, place: Place, lymphocytes: float) -> None:
    """Paint lymphocytes: small, round, dark, in clouds in the stroma, a few in the epithelium."""
    pitch, seed, noise = LYMPHOCYTE_PITCH_UM, place.seed, place.noise
    p0, p1, q0, q1 = _window(canvas, pitch)
    for q in range(q0, q1):
        for p in range(p0, p1):
            x = (p + 0.5 + 0.9 * (chance(p, q, 41, seed) - 0.5)) * pitch
            y = (q + 0.5 + 0.9 * (chance(p, q, 42, seed) - 0.5)) * pitch
            gx, gy = (x - ground.x0) / COARSE_UM, (y - ground.y0) / COARSE_UM
            if bilinear(ground.tissue, gx, gy) < INSIDE_UM:
                continue
            crowd = lymphocytes * (0.10 + 0.34 * max(sample(noise, x * 0.016 + 200.0, y * 0.016 + 60.0) + 0.5, 0.0))
            if bilinear(ground.depth, gx, gy) > -2.0:
                crowd *= 0.12 if bilinear(ground.lumen, gx, gy) < -3 else 0.0
            lot = (chance(p, q, 43, seed), chance(p, q, 44, seed), chance(p, q, 45, seed))
            if lot[0] <= crowd:
                size = 2.0 + 0.5 * lot[1]
                _paint(canvas, noise, (x, y), Nucleus(size, 0.93 * size, TURN * lot[2], 1.15, 0.04, 0.0, 0.0), lot)


@njit(cache=True, nogil=True)
def paint_nuclei(canvas: Canvas, ground: Ground, place: Place, pleomorphism: float, lymphocytes: float) -> None:
    """Paint every nucleus of a window."""
    _stroma(canvas, ground, place, pleomorphism)
    _epithelium(canvas, ground, place, pleomorphism)
    _inflammation(canvas, ground, place, lymphocytes)
