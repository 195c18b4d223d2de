"""Procedural prostate tissue in haematoxylin and eosin, as tiles or as any window of a slide, from the same functions.

Tissue is a function of position (x, y) in micrometres and a seed; a window shows the same nuclei wherever its borders lie.
Images are (Y, X, 3) uint8 RGB.  Colour is optical density of two dyes, mixed by the law of Lambert and Beer.

References
----------
Ruifrok and Johnston, *Quantification of histochemical staining by color deconvolution*, Anal Quant Cytol Histol 23:291 (2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit

from algorithms.phantom.biopsy.glands import BENIGN, COARSE_UM, FAR_UM, GLEASON5, Ground, Place, build
from algorithms.phantom.biopsy.man import PATTERNS, Man, Stain
from algorithms.phantom.biopsy.noise import bilinear, chance, sample, texture
from algorithms.phantom.biopsy.nuclei import Canvas, paint_nuclei

HAEMATOXYLIN = (0.65, 0.70, 0.29)
"""Optical density of haematoxylin in red, green, blue (Ruifrok and Johnston 2001)."""
EOSIN = (0.10, 0.88, 0.46)
"""Optical density of eosin: theirs is (0.07, 0.99, 0.11), turned towards orange as scans look (own choice, by eye)."""
GLASS_RGB = (243.0, 243.0, 245.0)
"""Brightness of empty glass."""
MARGIN_UM = 26.0
"""How far around a window the architecture is worked out; more than nuclei reach."""
MAP_REACH_UM = 300.0
"""How far around a window the maps are looked at; more than the largest gland's reach."""
TILE_MAP_UM = 8.0
"""Spacing of the map of patterns around a tile."""
TILE_REACH_UM = 160.0
"""How far around a tile the map goes: a benign gland whose centre lies there is seen."""


@dataclass(frozen=True, eq=False)
class Region:
    """What lies where: a map of patterns and of the distance to the tissue's edge.

    Attributes
    ----------
    patterns
        (rows, columns) uint8, index into ``PATTERNS``.
    edge_um
        The same shape, float32: distance to the edge of the tissue, positive inside.
    origin_um, spacing_um
        Corner (x, y) of the map and the edge of one of its squares.
    """

    patterns: np.ndarray
    edge_um: np.ndarray
    origin_um: tuple[float, float]
    spacing_um: float


@dataclass(frozen=True)
class Window:
    """Where to look: upper left corner (x, y) in um, width and height in pixels, um a pixel (0.1 to 2).

    Windows of one slide fit without a seam where corners are whole pixels and ``mpp`` is a binary fraction.
    """

    corner_um: tuple[float, float]
    size_px: tuple[int, int]
    mpp: float


def field(one: Man, stain: Stain, region: Region, window: Window, seed: int) -> np.ndarray:
    """Return the (height, width, 3) uint8 picture of a window of a man's tissue; ``seed`` is that of the slide."""
    (x0, y0), (width, height), mpp = window.corner_um, window.size_px, window.mpp
    place = _near(region, window, seed)
    shape = (int((height * mpp + 2 * MARGIN_UM) / COARSE_UM) + 3, int((width * mpp + 2 * MARGIN_UM) / COARSE_UM) + 3)
    ground = Ground(
        math.floor((x0 - MARGIN_UM) / COARSE_UM) * COARSE_UM,
        math.floor((y0 - MARGIN_UM) / COARSE_UM) * COARSE_UM,
        np.full(shape, -FAR_UM, np.float32),
        np.full(shape, -FAR_UM, np.float32),
        np.zeros(shape, np.uint8),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
    )
    canvas = Canvas(np.zeros((height, width), np.float32), np.zeros((height, width), np.float32), x0, y0, mpp)
    build(ground, place)
    _lie(ground, place)
    _weave(canvas, ground, place.noise)
    paint_nuclei(canvas, ground, place, one.pleomorphism, one.lymphocytes)
    return np.asarray(_develop(canvas, dyes(stain), _light(), seed))


def _near(region: Region, window: Window, seed: int) -> Place:
    """Return the part of the maps that can be seen in a window."""
    step = region.spacing_um
    origin, extent, rows = [], [], region.patterns.shape
    for axis in (0, 1):
        low = (window.corner_um[axis] - MAP_REACH_UM - region.origin_um[axis]) / step
        high = low + (window.size_px[axis] * window.mpp + 2 * MAP_REACH_UM) / step
        first = min(max(math.floor(low), 0), rows[1 - axis] - 2)
        extent.append(slice(first, max(math.ceil(high), first + 2)))
        origin.append(region.origin_um[axis] + first * step)
    part = (extent[1], extent[0])
    return Place(region.patterns[part], region.edge_um[part], np.array([*origin, step]), texture(), seed)


def dyes(stain: Stain) -> np.ndarray:
    """Return (2, 3) optical densities of the dyes as ``stain`` has them: strength, and a turn from green to the rest."""
    rows = []
    for base, strength, hue in zip((HAEMATOXYLIN, EOSIN), (stain.haematoxylin, stain.eosin), stain.hue, strict=True):
        red, green, blue = base
        turned = np.array([red + hue * green, green - 0.5 * hue * (red + blue), blue + 0.7 * hue * green]).clip(0.01)
        rows.append(strength * turned / np.linalg.norm(turned))
    return np.array(rows, np.float32)


@cache
def _light() -> np.ndarray:
    """Return the share of light that passes, at optical densities of 0 to 4 in steps of 1/1024."""
    return np.asarray(10.0 ** (-np.arange(4097) / 1024.0), np.float32)


@njit(cache=True, nogil=True)
def _lie(ground: Ground, place: Place) -> None:
    """Fill the frayed distance to the tissue's edge and the height whose level lines the fibres follow."""
    noise, grid = place.noise, place.grid
    slant = 0.6 * (chance(1, 2, 3, place.seed) - 0.5)
    rows, columns = ground.depth.shape
    for j in range(rows):
        y = ground.y0 + j * COARSE_UM
        for i in range(columns):
            x = ground.x0 + i * COARSE_UM
            frayed = 5.0 * sample(noise, x * 0.05, y * 0.05 + 7.0) + 2.0 * sample(noise, x * 0.21, y * 0.21)
            edge = bilinear(place.edge, (x - grid[0]) / grid[2] - 0.5, (y - grid[1]) / grid[2] - 0.5)
            ground.tissue[j, i] = edge + frayed
            bend = 42.0 * sample(noise, x * 0.009 + 33.0, y * 0.009) + 9.0 * sample(noise, x * 0.03, y * 0.03 + 50.0)
            ground.waves[j, i] = y + slant * x + bend + 15.0 * np.exp(min(ground.depth[j, i], 0.0) / 14.0)


@njit(cache=True, nogil=True)
def _weave(canvas: Canvas, ground: Ground, noise: np.ndarray) -> None:
    """Paint everything but nuclei: fibres, clefts, cytoplasm, lumens and their secretions."""
    rows, columns = canvas.haematoxylin.shape
    for j in range(rows):
        y = canvas.y0 + (j + 0.5) * canvas.mpp
        gy = (y - ground.y0) / COARSE_UM
        for i in range(columns):
            x = canvas.x0 + (i + 0.5) * canvas.mpp
            gx = (x - ground.x0) / COARSE_UM
            inside = min(max(bilinear(ground.tissue, gx, gy) / 1.5 + 0.5, 0.0), 1.0)
            if inside <= 0:
                continue
            d = bilinear(ground.depth, gx, gy)
            cover = min(max(d + 0.5, 0.0), 1.0)
            haem, eosin = 0.0, 0.0
            if cover < 1:
                haem, eosin = _fibres(x, y, d, bilinear(ground.waves, gx, gy), noise)
            if cover > 0:
                code = ground.kind[int(min(gy + 0.5, ground.kind.shape[0] - 1)), int(min(gx + 0.5, ground.kind.shape[1] - 1))]
                cell = _cytoplasm(x, y, bilinear(ground.lumen, gx, gy), code, noise)
                haem, eosin = haem * (1 - cover) + cell[0] * cover, eosin * (1 - cover) + cell[1] * cover
            canvas.haematoxylin[j, i] = max(haem, 0.0) * inside
            canvas.eosin[j, i] = max(eosin, 0.0) * inside


@njit(cache=True, nogil=True)
def _fibres(x: float, y: float, d: float, wave: float, noise: np.ndarray) -> tuple[float, float]:
    """Return haematoxylin and eosin of stroma, with clefts between bundles and where it has drawn back from a gland."""
    streak = sample(noise, x * 0.05 + 0.01 * wave, wave * 0.55)
    fine = sample(noise, x * 0.3, wave * 1.6 + 40.0) + 0.5 * sample(noise, x * 1.1, y * 1.1)
    bundle = sample(noise, x * 0.012 + 9.0, wave * 0.06)
    cleft = sample(noise, x * 0.02 + 77.0, wave * 0.20) + 0.35 * streak
    gap = min(max((cleft - 1.75) * 2.5, 0.0), 0.9)
    if -3.5 < d < 0.5:
        drawn = min(max(2.0 * sample(noise, x * 0.02 + 5.0, y * 0.02) - 1.0, 0.0), 0.9)
        gap = max(gap, drawn * min(max((d + 3.5) / 1.5, 0.0), 1.0))
    return (0.07 + 0.02 * fine - 0.02 * bundle) * (1 - gap), (0.36 + 0.06 * streak + 0.045 * fine + 0.045 * bundle) * (1 - gap)


@njit(cache=True, nogil=True)
def _cytoplasm(x: float, y: float, t: float, code: int, noise: np.ndarray) -> tuple[float, float]:
    """Return haematoxylin and eosin of cytoplasm, paler in benign cells, and of a lumen ``t`` um deep with what it holds."""
    grain = 1 + 0.14 * sample(noise, x * 0.9, y * 0.9) + 0.12 * sample(noise, x * 0.11 + 3.0, y * 0.11)
    haem, eosin = 0.15 * grain, 0.33 * grain
    if code == BENIGN:
        haem, eosin = 0.10 * grain, 0.30 * grain
    elif code == GLEASON5:
        haem, eosin = 0.20 * grain, 0.34 * grain
    hollow = min(max(t / 1.2 + 0.5, 0.0), 1.0)
    eosin += 0.10 * min(max(1 - abs(t + 1.0) / 1.5, 0.0), 1.0)
    secretion = min(max(sample(noise, x * 0.014 + 11.0, y * 0.014 + 5.0) - 0.55, 0.0), 0.8)
    fluid = secretion * 0.30 * (1 + 0.4 * sample(noise, x * 0.25, y * 0.25)) if t > 0.5 else 0.0
    return haem * (1 - hollow) + 0.02 * secretion * hollow, eosin * (1 - hollow) + fluid * hollow


@njit(cache=True, nogil=True)
def _develop(canvas: Canvas, colours: np.ndarray, light: np.ndarray, seed: int) -> np.ndarray:
    """Return the picture: light through both dyes, with the scanner's noise."""
    rows, columns = canvas.haematoxylin.shape
    px, py = round(canvas.x0 / canvas.mpp), round(canvas.y0 / canvas.mpp)
    out = np.empty((rows, columns, 3), np.uint8)
    for j in range(rows):
        for i in range(columns):
            grain = 5.0 * (chance(px + i, py + j, 9, seed) - 0.5)
            for c in range(3):
                density = canvas.haematoxylin[j, i] * colours[0, c] + canvas.eosin[j, i] * colours[1, c]
                value = GLASS_RGB[c] * light[min(int(density * 1024.0), 4096)] + grain
                out[j, i, c] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
    return out


def slide_stain(stain: Stain, rng: np.random.Generator) -> Stain:
    """Return the stain of one slide of a laboratory: batches differ a little."""
    return Stain(
        stain.haematoxylin * float(np.exp(rng.normal(0, 0.05))),
        stain.eosin * float(np.exp(rng.normal(0, 0.06))),
        (stain.hue[0] + float(rng.normal(0, 0.015)), stain.hue[1] + float(rng.normal(0, 0.015))),
    )


def tile(
    rng: np.random.Generator, one: Man, pattern: str | None = None, *, size_px: int = 224, mpp: float = 0.5
) -> tuple[np.ndarray, dict[str, float]]:
    """Return a (size, size, 3) uint8 tile of a man's tissue and what is true of it.

    ``pattern`` (one of ``PATTERNS``) fills the middle; it is drawn by his area fractions where missing.
    A third of the tiles hold a second pattern beyond a wavy border, one in seven shows the edge of the tissue.
    The labels are the share of its tissue that each pattern takes, ``tissue`` (the share of the tile that is tissue),
    ``pleomorphism`` and ``lymphocytes``.
    """
    shares = np.array([one.patterns[name] for name in PATTERNS])
    shares = shares / shares.sum()
    drawn = rng.choice(len(PATTERNS), 2, p=shares)
    main = PATTERNS.index(pattern) if pattern is not None else int(drawn[0])
    mixed, cut = rng.random(2) < (0.33, 0.14)
    (turn, cut_turn), (offset, cut_offset) = rng.uniform(0, 2 * math.pi, 2), rng.uniform(0.0, 0.35, 2) * size_px * mpp
    corner = (float(rng.integers(1 << 16)), float(rng.integers(1 << 16)))
    seed = int(rng.integers(1 << 31))
    half = size_px * mpp / 2
    count = math.ceil(2 * (half + TILE_REACH_UM) / TILE_MAP_UM)
    along = (np.arange(count) + 0.5) * TILE_MAP_UM - TILE_REACH_UM - half
    x, y = along[None, :], along[:, None]
    patterns = np.where(mixed & (_beyond(x, y, turn, offset) < 0), drawn[1], main).astype(np.uint8)
    edge = np.where(cut, _beyond(x, y, cut_turn, cut_offset), 100.0).astype(np.float32)
    region = Region(patterns, edge, (corner[0] - TILE_REACH_UM, corner[1] - TILE_REACH_UM), TILE_MAP_UM)
    picture = field(one, slide_stain(one.stain, rng), region, Window(corner, (size_px, size_px), mpp), seed)
    inner = (np.abs(x) < half) & (np.abs(y) < half)
    here = inner & (edge > 0)
    labels = {name: float((patterns[here] == code).mean()) if here.any() else 0.0 for code, name in enumerate(PATTERNS)}
    return picture, labels | {
        "tissue": float(here.sum() / inner.sum()),
        "pleomorphism": one.pleomorphism,
        "lymphocytes": one.lymphocytes,
    }


def _beyond(x: np.ndarray, y: np.ndarray, turn: float, offset: float) -> np.ndarray:
    """Return the signed distance (um) from a wavy line at ``offset`` from the middle, positive on the middle's side."""
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    return np.asarray(u + offset + 9.0 * np.sin(v / 23.0 + turn) + 5.0 * np.sin(v / 9.0))
