"""A glass slide as a scanner sees it: tissue, pen, fold, blur, dust and light, in rows of tiles.

Pixels are (x, y) from the upper left corner at ``mpp`` micrometres each; images are (Y, X, 3) uint8 RGB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from algorithms.phantom.biopsy.layout import Layout
from algorithms.phantom.biopsy.man import Man, Stain
from algorithms.phantom.biopsy.tissue import GLASS_RGB, Region, Window, field

BLUR_PX = 5.0
"""Standard deviation of the blur in the unsharp patch at 0.5 um a pixel; nuclei cannot be told apart any more."""
STRIPE_PX = 2040
"""Width of a scanner's stripe; the lamp is a little weaker at its sides."""
FALL_OFF = 0.012
"""Share of light lost at the side of a stripe."""
FOLDED_UM = 230.0
"""How far away the tissue lay that a fold has put on top."""
FRAY_UM = 40.0
"""How far beyond the mapped edge tissue may reach."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A slide about to be scanned: what lies where, how it is stained, and at what scale and in what tiles it is read."""

    man: Man
    stain: Stain
    layout: Layout
    region: Region
    mpp: float
    tile_px: int

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the whole slide."""
        return int(self.layout.width / self.mpp), int(self.layout.height / self.mpp)

    @property
    def tiles(self) -> tuple[int, int]:
        """Columns and rows of tiles."""
        return math.ceil(self.size_px[0] / self.tile_px), math.ceil(self.size_px[1] / self.tile_px)


def tile_kind(scan: Scan, column: int, row: int) -> str:
    """Return ``"glass"`` where a tile shows nothing, ``"marked"`` where only pen or dust, ``"tissue"`` elsewhere."""
    um = scan.tile_px * scan.mpp
    x0, y0 = column * um, row * um
    step = scan.region.spacing_um
    j0, i0 = max(int(y0 / step) - 1, 0), max(int(x0 / step) - 1, 0)
    near = scan.region.edge_um[j0 : int((y0 + um) / step) + 2, i0 : int((x0 + um) / step) + 2]
    if near.size and near.max() > -FRAY_UM:
        return "tissue"
    marks = scan.layout.marks
    if marks.pen is not None:
        left, top, right, bottom, width = marks.pen
        across = x0 - width < max(left, right) and x0 + um + width > min(left, right)
        if across and y0 - width < max(top, bottom) and y0 + um + width > min(top, bottom):
            return "marked"
    for x, y, radius in marks.dust:
        if x0 - 2 * radius < x < x0 + um + 2 * radius and y0 - 2 * radius < y < y0 + um + 2 * radius:
            return "marked"
    return "glass"


def picture(scan: Scan, x_px: int, y_px: int, size_px: tuple[int, int]) -> np.ndarray:
    """Return the (height, width, 3) uint8 picture of a window of the slide."""
    pad = math.ceil(4 * BLUR_PX * 0.5 / scan.mpp) if _touches_blur(scan, x_px, y_px, size_px) else 0
    width, height = size_px[0] + 2 * pad, size_px[1] + 2 * pad
    corner = ((x_px - pad) * scan.mpp, (y_px - pad) * scan.mpp)
    light = _tissue(scan, corner, (width, height))
    x = (corner[0] + (np.arange(width) + 0.5) * scan.mpp)[None, :].astype(np.float32)
    y = (corner[1] + (np.arange(height) + 0.5) * scan.mpp)[:, None].astype(np.float32)
    light = _marked(scan, _folded(scan, light, corner, x, y), x, y)
    if pad:
        light = _blurred(scan, light, x, y)[pad:-pad, pad:-pad]
    columns = np.arange(x_px, x_px + size_px[0])
    light *= lamp(columns)[None, :, None]
    light += 0.5
    return np.clip(light, 0, 255, out=light).astype(np.uint8)


def lamp(columns: np.ndarray) -> np.ndarray:
    """Return the brightness of the scanner's lamp at pixel columns."""
    return np.asarray(1 - FALL_OFF * (0.5 + 0.5 * np.cos(2 * math.pi * columns / STRIPE_PX)), np.float32)


def _tissue(scan: Scan, corner_um: tuple[float, float], size_px: tuple[int, int]) -> np.ndarray:
    """Return the light (float32) of a window before anything lies on it."""
    window = Window(corner_um, size_px, scan.mpp)
    return np.asarray(field(scan.man, scan.stain, scan.region, window, scan.layout.seed), np.float32)


def _folded(scan: Scan, light: np.ndarray, corner_um: tuple[float, float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the light where a second layer, tissue from a little further along, lies on the first."""
    fold = scan.layout.marks.fold
    if fold is None or not _near(fold, x, y):
        return light
    covered = _stroke(fold, x, y)[..., None]
    beside = (corner_um[0] + FOLDED_UM, corner_um[1])
    second = _tissue(scan, beside, (x.shape[1], y.shape[0])) / np.array(GLASS_RGB, np.float32)
    return np.asarray(light * (1 + covered * (np.minimum(second, 1) - 1)), np.float32)


def _marked(scan: Scan, light: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the light of a picture after pen and dust at positions ``x`` (1, W) and ``y`` (H, 1), um."""
    marks = scan.layout.marks
    if marks.pen is not None and _near(marks.pen, x, y):
        ink = _stroke(marks.pen, x, y) * (0.93 + 0.07 * np.sin(x / 41.0 + y / 9.0))
        if ink.max() > 0:
            light = light * 10.0 ** (-ink[..., None] * np.array(marks.pen_density, np.float32))
    for cx, cy, radius in marks.dust:
        if x[0, 0] - 30 < cx < x[0, -1] + 30 and y[0, 0] - 30 < cy < y[-1, 0] + 30:
            away = np.sqrt((x - cx) ** 2 + ((y - cy) * 1.4) ** 2)
            light = light * (1 - 0.6 * np.clip((radius - away) / 2.5, 0, 1))[..., None]
    return np.asarray(light, np.float32)


def _near(line: tuple[float, float, float, float, float], x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether a stroke may cover one of the positions."""
    x0, y0, x1, y1, width = line
    across = x[0, -1] > min(x0, x1) - width and x[0, 0] < max(x0, x1) + width
    return bool(across and y[-1, 0] > min(y0, y1) - width and y[0, 0] < max(y0, y1) + width)


def _stroke(line: tuple[float, float, float, float, float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how much of each position a stroke with soft sides covers, 0-1."""
    x0, y0, x1, y1, width = line
    length = math.hypot(x1 - x0, y1 - y0)
    c, s = (x1 - x0) / length, (y1 - y0) / length
    along = (x - x0) * c + (y - y0) * s
    beyond = np.maximum(np.maximum(-along, along - length), 0)
    away = np.hypot((y - y0) * c - (x - x0) * s + 6.0 * np.sin(along / 60.0), beyond)
    return np.asarray(np.clip((width / 2 - away) / 8.0, 0, 1), np.float32)


def _touches_blur(scan: Scan, x_px: int, y_px: int, size_px: tuple[int, int]) -> bool:
    """Return whether a window shows part of the unsharp patch."""
    if scan.layout.marks.blur is None:
        return False
    x, y, radius = (v / scan.mpp for v in scan.layout.marks.blur)
    return abs(x - x_px - size_px[0] / 2) < radius + size_px[0] / 2 and abs(y - y_px - size_px[1] / 2) < radius + size_px[1] / 2


def _blurred(scan: Scan, light: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the light with the unsharp patch blended in over 80 um."""
    assert scan.layout.marks.blur is not None
    cx, cy, radius = scan.layout.marks.blur
    share = np.clip((radius - np.hypot(x - cx, y - cy)) / 80.0, 0, 1)[..., None]
    sigma = BLUR_PX * 0.5 / scan.mpp
    return np.asarray(light * (1 - share) + share * gaussian_filter(light, (sigma, sigma, 0), truncate=3.0), np.float32)
