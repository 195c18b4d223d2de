"""Blood flow around a lesion: streamlines through it, and the shear stress on its wall.

The vessel lies flat in the picture, its inlet on the left.  Points are (N, 3) LPS mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, ListedColormap, PowerNorm

from algorithms.coronary.fields.streamlines import Streamline
from algorithms.coronary.fields.wall import WallMap
from algorithms.coronary.geometry.shape import Opening
from algorithms.coronary.pictures.off_screen import photographs
from algorithms.report import drawing
from algorithms.report.palette import INK, MUTED

PIXELS_PER_IN = 300

MARGIN_MM = 1.2

LINE_PER_WIDTH = 0.0011
"""Radius of a drawn streamline, of the picture's width: a little over half a point in print."""

LINE_CORNERS = 8
"""Corners of a drawn line's cross-section: it is four pixels wide."""

POINTS_A_LINE = 250
"""A drawn line has no more: the eye sees no corner, and VTK draws in seconds."""

SPEED_COLOURS = ListedColormap(mpl.colormaps["viridis"](np.linspace(0.0, 0.94, 256)), "speed")
SHEAR_COLOURS = ListedColormap(mpl.colormaps["inferno"](np.linspace(0.12, 0.95, 256)), "shear")
"""Both grow in lightness all the way, so that they read in grey and to the colour-blind (van der Walt and Smith, 2015)."""

ROOT = 0.5
"""Colours follow the square root of a value: a throat is ten times as fast as the vessel, and both are to be seen."""

STEPS = {1: 5, 1.5: 3, 2: 4, 3: 3, 4: 4, 5: 5, 6: 3, 8: 4}
"""Where a scale may end, times a power of ten, and into how many round steps it is divided."""

HIGH_QUANTILE = 0.995
"""The scale ends here: the few highest values stand at an edge of the mesh."""


@dataclass(frozen=True, eq=False)
class _Side:
    """A side to look from: unit vectors to the right and up, and the words for it."""

    words: str
    right: np.ndarray
    up: np.ndarray


@dataclass(frozen=True, eq=False)
class _Frame:
    """What is shown: its centre, and its size in mm."""

    centre_mm: np.ndarray
    width_mm: float
    height_mm: float

    @property
    def pixels(self) -> tuple[int, int]:
        width = int(drawing.WIDTH_IN * PIXELS_PER_IN)
        return width, int(width * self.height_mm / self.width_mm)


@dataclass(frozen=True, eq=False)
class _Scale:
    """How a quantity is coloured: from 0 to ``top``."""

    words: str
    colours: Colormap
    top: float

    @property
    def norm(self) -> PowerNorm:
        return PowerNorm(ROOT, 0, self.top, clip=True)

    def colour(self, values: np.ndarray) -> np.ndarray:
        """Return (N, 3) uint8."""
        rgb = self.colours(self.norm(values))[:, :3]
        return np.asarray((255 * rgb).round().astype(np.uint8))


def draw_streamlines(wall: WallMap, lines: Sequence[Streamline], openings: Sequence[Opening], path: Path) -> bool:
    """Write a picture of the streamlines in their vessel, coloured by speed; return whether this machine could draw it."""
    side, frame = _laid_flat(wall.vertices_mm, openings)
    speeds = [np.linalg.norm(line.velocity_m_s, axis=1) * 100 for line in lines]
    scale = _Scale("speed, cm/s", SPEED_COLOURS, _nice(float(np.quantile(np.concatenate(speeds), HIGH_QUANTILE))))
    told: dict[str, Any] = _told([side], frame) | {
        "branches": len(lines),
        "corners": LINE_CORNERS,
        "ghost_lumen_points": wall.vertices_mm,
        "ghost_lumen_faces": wall.faces,
    }
    for number, (line, speed) in enumerate(zip(lines, speeds, strict=True)):
        shown = np.unique(np.linspace(0, len(speed) - 1, min(POINTS_A_LINE, len(speed))).astype(int))
        told |= {
            f"points_{number}": line.points_mm[shown],
            f"radius_{number}": np.full(len(shown), LINE_PER_WIDTH * frame.width_mm),
            f"colour_{number}": scale.colour(speed[shown]),
        }
    images = photographs(told, 1)
    if images is not None:
        _compose([(side, images[0])], frame, scale, path)
    return images is not None


def draw_wall_shear(wall: WallMap, openings: Sequence[Opening], path: Path) -> bool:
    """Write a picture of the wall from both sides, coloured by its shear stress; return whether this machine could draw it."""
    side, frame = _laid_flat(wall.vertices_mm, openings)
    sides = [side, _Side("the other side", side.right, -side.up)]
    top = _nice(float(np.quantile(wall.shear_stress_pa, HIGH_QUANTILE)))
    scale = _Scale("wall shear stress, Pa", SHEAR_COLOURS, top)
    told: dict[str, Any] = _told(sides, frame) | {
        "branches": 0,
        "skin_wall_points": wall.vertices_mm,
        "skin_wall_faces": wall.faces,
        "skin_wall_colour": scale.colour(wall.shear_stress_pa),
    }
    images = photographs(told, 2)
    if images is not None:
        _compose(list(zip(sides, images, strict=True)), frame, scale, path)
    return images is not None


def _laid_flat(points_mm: np.ndarray, openings: Sequence[Opening]) -> tuple[_Side, _Frame]:
    """Return the side from which the vessel is seen at its full length and width, downstream to the right."""
    centre = points_mm.mean(axis=0)
    axes = np.linalg.svd(points_mm - centre, full_matrices=False)[2]
    inlet = np.mean([o.centre_mm for o in openings if o.inlet], axis=0)
    outlet = np.mean([o.centre_mm for o in openings if not o.inlet], axis=0)
    right = axes[0] if axes[0] @ (outlet - inlet) > 0 else -axes[0]
    # The head up, or where the vessel itself runs to the head the front of the patient.
    up = axes[1] if axes[1] @ np.array([0.0, -0.1, 1.0]) > 0 else -axes[1]
    flat = np.stack([points_mm @ right, points_mm @ up], axis=1)
    low, high = flat.min(axis=0) - MARGIN_MM, flat.max(axis=0) + MARGIN_MM
    towards = np.cross(right, up)
    middle = (low + high) / 2
    depth = float((points_mm @ towards).mean())
    frame = _Frame(middle[0] * right + middle[1] * up + depth * towards, float(high[0] - low[0]), float(high[1] - low[1]))
    return _Side("", right, up), frame


def _told(sides: Sequence[_Side], frame: _Frame) -> dict[str, Any]:
    return {
        "height_mm": frame.height_mm,
        "sizes": [frame.pixels] * len(sides),
        "views": np.array([[side.right, side.up, frame.centre_mm] for side in sides]),
    }


def _nice(value: float) -> float:
    """Return the next value at which a scale may end: a key of ``STEPS`` times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(step * power for step in (*STEPS, 10) if step * power >= 0.999 * value))


def _compose(seen: Sequence[tuple[_Side, np.ndarray]], frame: _Frame, scale: _Scale, path: Path) -> None:
    one_in = drawing.WIDTH_IN * frame.height_mm / frame.width_mm
    foot, gap = 0.42, 0.16
    total = foot + len(seen) * (one_in + gap)
    with drawing.figure(drawing.WIDTH_IN, total) as drawn:
        for number, (side, image) in enumerate(seen):
            bottom = foot + (len(seen) - 1 - number) * (one_in + gap)
            axes = drawn.add_axes((0, bottom / total, 1, one_in / total))
            axes.imshow(image, interpolation="antialiased", aspect="auto")
            axes.set_axis_off()
            if side.words:
                drawn.text(0.01, (bottom + one_in) / total, side.words, fontsize=7.5, color=MUTED, va="bottom")
        _colour_bar(drawn, scale, total)
        _length_bar(drawn, frame, total)
        drawn.text(0.02, 0.2 / total, "flow →", fontsize=8, color=MUTED, va="center")
        drawing.save(drawn, path, dpi=PIXELS_PER_IN)


def _colour_bar(drawn: Any, scale: _Scale, total_in: float) -> None:
    bar = drawn.add_axes((0.40, 0.24 / total_in, 0.30, 0.075 / total_in))
    shown = np.linspace(0, scale.top, 512)[None]
    bar.imshow(shown, cmap=scale.colours, norm=scale.norm, extent=(0, scale.top, 0, 1), aspect="auto")
    ticks = np.linspace(0, scale.top, 1 + STEPS[round(scale.top / 10 ** np.floor(np.log10(scale.top)), 1)])
    bar.set(yticks=[], xticks=ticks)
    bar.set_xticklabels([f"{v:g}" for v in ticks[:-1]] + [f"≥ {scale.top:g}"])
    bar.tick_params(labelsize=7, pad=1.5, length=2)
    bar.text(-0.02, 0.5, scale.words, transform=bar.transAxes, ha="right", va="center", fontsize=7.5)
    for side in bar.spines.values():
        side.set_visible(False)


def _length_bar(drawn: Any, frame: _Frame, total_in: float) -> None:
    length_mm = 5.0 if frame.width_mm > 12 else 2.0
    width = length_mm / frame.width_mm
    bar = drawn.add_axes((0.97 - width, 0.2 / total_in, width, 0.1 / total_in))
    bar.plot([0, 1], [0.5, 0.5], color=INK, lw=1.4, solid_capstyle="butt")
    bar.set(xlim=(0, 1), ylim=(0, 1))
    bar.set_axis_off()
    drawn.text(0.97 - width / 2, 0.13 / total_in, f"{length_mm:g} mm", fontsize=7.5, color=MUTED, ha="center", va="center")
