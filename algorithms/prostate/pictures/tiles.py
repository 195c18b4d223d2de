"""The tiles on which the model's attention rests, read from the slides at the scale that the encoder saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openslide
from PIL import Image

from algorithms.prostate.pictures.slide import Marked
from algorithms.report.drawing import WIDTH_IN, figure, save
from algorithms.report.palette import INK, MUTED, RULE

SHOWN = 8
COLUMNS = 4
APART_MM = 0.5
"""Tiles nearer than this to one that is shown are passed over: eight neighbours would be one field seen eight times."""

LARGEST_PX = 512
"""A tile is shown with at most this many pixels a side."""


@dataclass(frozen=True, eq=False)
class Table:
    """The tiles of one slide: level-0 positions (N, 2), extent, micrometres per level-0 pixel, attention (N,) of the case."""

    xy: np.ndarray
    extent_px: float
    mpp: float
    attention: np.ndarray


@dataclass(frozen=True)
class Attended:
    """One tile: its slide, letter, level-0 position, share of the case's attention, and that in times an equal share."""

    slide: str
    letter: str
    x: int
    y: int
    share: float
    times: float

    def marked(self, extent_px: float) -> Marked:
        """Return what the slide's picture needs to point at it."""
        return Marked(self.letter, self.x, self.y, extent_px)


def most_attended(tables: Mapping[str, Table], count: int = SHOWN) -> list[Attended]:
    """Return the tiles of highest attention over all slides, each at least ``APART_MM`` from those before it."""
    names = sorted(tables)
    finite = [np.flatnonzero(np.isfinite(tables[slide].attention)) for slide in names]
    rows = np.concatenate([np.empty(0, int), *finite])
    owners = np.repeat(np.arange(len(names)), [len(found) for found in finite])
    shares = np.concatenate(
        [np.empty(0), *(tables[slide].attention[found] for slide, found in zip(names, finite, strict=True))]
    )
    shown: list[Attended] = []
    # Ordered as arrays: a million tiles as tuples take hundreds of megabytes.
    for rank in np.lexsort([rows, owners, -shares]):
        slide, row, share = names[owners[rank]], int(rows[rank]), float(shares[rank])
        x, y = (int(v) for v in tables[slide].xy[row])
        mm = tables[slide].mpp / 1000
        if all(t.slide != slide or np.hypot(t.x - x, t.y - y) * mm >= APART_MM for t in shown):
            shown.append(Attended(slide, chr(ord("A") + len(shown)), x, y, share, share * len(rows)))
        if len(shown) == count:
            break
    return shown


def draw_tiles(shown: Sequence[Attended], tables: Mapping[str, Table], slides: Mapping[str, Path], out: Path) -> None:
    """Write a sheet of the tiles with slide, position from the slide's top left in mm, and attention."""
    gap, side = 0.12, (WIDTH_IN - 0.12 * (COLUMNS - 1)) / COLUMNS
    rows = -(-len(shown) // COLUMNS)
    line = side + 0.44
    with figure(WIDTH_IN, rows * line) as drawn:
        for index, tile in enumerate(shown):
            table = tables[tile.slide]
            left = (index % COLUMNS) * (side + gap)
            top = rows * line - (index // COLUMNS) * line
            axes = drawn.add_axes((left / WIDTH_IN, (top - side) / (rows * line), side / WIDTH_IN, side / (rows * line)))
            axes.imshow(read_tile(slides[tile.slide], tile.x, tile.y, table.extent_px), extent=(0, 1, 0, 1))
            axes.set(xticks=[], yticks=[])
            for edge in axes.spines.values():
                edge.set(visible=True, color=RULE)
            if index == 0:
                length = 50 / (table.extent_px * table.mpp)
                axes.fill_between([0.94 - length, 0.97], 0.03, 0.14, color="white", alpha=0.8, lw=0)
                axes.plot([0.955 - length, 0.955], [0.05, 0.05], color=INK, lw=1.8, solid_capstyle="butt")
                axes.text(0.955 - length / 2, 0.06, "50 µm", ha="center", va="bottom", fontsize=6.5)
            mm = table.mpp / 1000
            texts = (f"{tile.letter}  {tile.slide}", f"{tile.times:.{0 if tile.times >= 10 else 1}f} × equal share")
            y = (top - side - 0.03) / (rows * line)
            drawn.text(left / WIDTH_IN, y, texts[0], va="top", fontsize=8, fontweight=600)
            drawn.text((left + side) / WIDTH_IN, y, texts[1], va="top", ha="right", fontsize=7.5, color=MUTED)
            where = f"x {tile.x * mm:.1f} mm, y {tile.y * mm:.1f} mm"
            drawn.text(left / WIDTH_IN, y - 0.155 / (rows * line), where, va="top", fontsize=7.5, color=MUTED)
            share = f"{100 * tile.share:.2g} %"
            drawn.text(
                (left + side) / WIDTH_IN, y - 0.155 / (rows * line), share, va="top", ha="right", fontsize=7.5, color=MUTED
            )
        save(drawn, out, dpi=220)


def read_tile(path: Path, x: int, y: int, extent_px: float) -> np.ndarray:
    """Return the pixels (Y, X, 3) uint8 of one tile, from the full resolution."""
    side = max(round(extent_px), 1)
    with openslide.OpenSlide(path) as slide:
        seen = slide.read_region((x, y), 0, (side, side))
    flat = Image.new("RGB", seen.size, (255, 255, 255))
    flat.paste(seen, mask=seen.getchannel("A"))
    if side > LARGEST_PX:
        flat = flat.resize((LARGEST_PX, LARGEST_PX), Image.Resampling.BOX)
    return np.asarray(flat)
