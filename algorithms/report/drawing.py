"""Figures in the report's typeface, and files that are the same on every run."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from algorithms.report import fonts, palette

WIDTH_IN = 7.0
"""Width of a full-width picture: the text's width on A4."""


JPEG_QUALITY = 88
"""Of photographs, with full colour resolution: an eighth of a PNG, and the eye sees no difference on paper."""


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
    """Write ``drawn`` to ``path`` (``.svg``, ``.png``, ``.jpg`` of photographs) without date or version, in its ``with``."""
    if path.suffix == ".jpg":
        drawn.savefig(path, dpi=dpi, pil_kwargs={"quality": JPEG_QUALITY, "subsampling": 0, "optimize": True})
        return
    metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
    drawn.savefig(path, dpi=dpi, metadata=metadata)
