"""How the coronary pictures look: the FFR colours, the typeface, and files that are the same on every run."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from algorithms.report import fonts, palette

FFR_RANGE = (0.5, 1.0)
"""Ends of the colour scale, fixed so that two patients, or two runs, can be compared by eye."""

FFR_ANCHORS = (
    (0.50, "#67001f"), (0.65, "#b2182b"), (0.75, "#e0523a"), (0.78, "#f5b942"), (0.80, "#f7d65a"),
    (0.84, "#9fd0a8"), (0.90, "#4fa8c5"), (0.96, "#2a6fb0"), (1.00, "#22408f"),
)  # fmt: skip
"""Red where FFR is 0.75 or less, amber in the grey zone to 0.80, then blue: told apart without telling red from green."""

BANDS = ((0.75, "positive"), (0.80, "grey"), (1.0, "negative"))
"""Upper end of each band (Norgaard et al., Radiol Cardiothorac Imaging 1:e190050 (2019))."""

WIDTH_IN = 7.0
"""Width of a full-width picture: the text's width on A4."""

LEFT_IN, RIGHT_IN = 0.52, 0.30
"""Margins beside the axes, equal in all graphs of a vessel so that their distances line up on the page."""


@functools.cache
def ffr_colours() -> LinearSegmentedColormap:
    """Return the colour map over :data:`FFR_RANGE`."""
    low, high = FFR_RANGE
    return LinearSegmentedColormap.from_list("ffr", [((v - low) / (high - low), c) for v, c in FFR_ANCHORS], N=512)


def ffr_norm() -> Normalize:
    """Return the scale from FFR to colour."""
    return Normalize(*FFR_RANGE, clip=True)


@functools.cache
def _faces() -> None:
    for name in fonts.FACES:
        font_manager.fontManager.addfont(fonts.face_path(name))


@contextmanager
def figure(width_in: float, height_in: float) -> Iterator[Figure]:
    """Give a blank figure in the report's type; everything drawn inside the ``with`` has it."""
    _faces()
    settings: Any = {
        "font.family": fonts.FAMILY, "font.size": 8.5, "axes.titlesize": 9, "axes.labelsize": 8.5,
        "xtick.labelsize": 8, "ytick.labelsize": 8, "text.color": palette.INK, "axes.labelcolor": palette.MUTED,
        "xtick.color": palette.MUTED, "ytick.color": palette.MUTED, "axes.edgecolor": palette.RULE,
        "axes.linewidth": 0.7, "axes.spines.top": False, "axes.spines.right": False, "xtick.major.width": 0.6,
        "ytick.major.width": 0.6, "xtick.major.size": 3, "ytick.major.size": 3, "lines.solid_capstyle": "round",
        "svg.hashsalt": "heartwood", "svg.fonttype": "path", "svg.image_inline": True, "text.hinting": "none",
    }  # fmt: skip
    with mpl.rc_context(settings):
        drawn = Figure(figsize=(width_in, height_in), facecolor="white")
        FigureCanvasAgg(drawn)
        yield drawn


def save(drawn: Figure, path: Path, dpi: int = 220) -> None:
    """Write ``drawn`` to ``path`` (``.svg`` or ``.png``) without date or version, inside the figure's ``with``."""
    metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
    drawn.savefig(path, dpi=dpi, metadata=metadata)
