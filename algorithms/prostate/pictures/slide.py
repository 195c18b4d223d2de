"""Pictures of one slide: its tissue with what may not be read, and where the model looked.

Both have the same layout, so that the eye can go from one to the other: left the whole slide or the colour scale, right
the pieces of tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from PIL import Image
from scipy.ndimage import gaussian_filter

from algorithms.prostate.pictures.pieces import Box, Piece, Sheet, arrange, enlarged, glass_of
from algorithms.report.drawing import WIDTH_IN, figure, save
from algorithms.report.palette import INK, MUTED, RULE, TONES
from algorithms.slide.pixels.reader import Slide, open_slide

SIDE_IN = 1.28
"""Width of the left column."""

GAP_IN = 0.14
TALLEST_IN, LOWEST_IN = 3.6, 1.45
BAR_IN = 0.24
"""Height of the strip below the pieces, with the scale bar."""

FINE_PX_PER_IN = 260.0
"""Finer pixels than this would not be seen on paper."""

FINEST = 4
"""An overview is refined at most so many times."""

BLOCK_PX = 32
"""Pixels a side that are read from a slide at once: some 300 level-0 pixels, so that few native tiles are held."""

TISSUE, PEN, BLURRED, FOLD = 1, 2, 3, 4
"""Values of a mask's pixels."""

SHADES = {
    PEN: ("pen", TONES["error"].line, "xxxx"),
    BLURRED: ("out of focus", TONES["grey"].line, "////"),
    FOLD: ("fold", TONES["positive"].ink, "...."),
}
"""Word, colour and hatching of what may not be read: told apart without colour too."""

ATTENTION_RANGE = (0.25, 16.0)
"""Ends of the colour scale in times an equal share, fixed so that two slides, or two patients, can be compared by eye."""

HEAT = LinearSegmentedColormap.from_list("heat", ["#fff7dc", "#fbdc8c", "#f2a541", "#d9532c", "#8c1a1a", "#3d0410"], N=256)
"""From pale to dark: it can be read in grey too."""


@dataclass(frozen=True, eq=False)
class Overview:
    """A slide seen from afar: pixels (Y, X, 3) uint8, mask (Y, X) uint8, and how many level-0 pixels and mm a pixel is.

    ``fineness`` is how many pixels a picture has along a side of one pixel of the overview; they are read from ``source`` when
    it is drawn, piece by piece: the whole slide at such a scale would fill gigabytes.
    """

    pixels: np.ndarray
    mask: np.ndarray
    level0_px_per_px: float
    mm_per_px: float | None
    fineness: int = 1
    source: Path | None = None

    @cached_property
    def sheet(self) -> Sheet:
        """Its pieces laid out for the right part of a picture; an overview without scale stays whole."""
        # Comparisons, not a look-up in a table: that takes eight bytes a pixel.
        tissue = (self.mask == TISSUE) | (self.mask == BLURRED) | (self.mask == FOLD)
        if not self.mm_per_px:
            tissue[:] = False
        return arrange(tissue, self.mm_per_px or 1.0, WIDTH_IN - SIDE_IN - GAP_IN, TALLEST_IN)

    @cached_property
    def laid(self) -> np.ndarray:
        """The pixels of its pieces as they lie on the sheet, (Y, X, 3) uint8, as fine as a picture shows."""
        inches = _inches_per_px(self.sheet, _height_in(self.sheet))
        scale = _scale(self, inches)
        if self.source is None or self.fineness < 2:
            return self.sheet.lay(self.pixels, scale)
        glass = glass_of(self.pixels, self.sheet.labels)
        with open_slide(self.source) as slide:
            return self.sheet.lay_parts(
                lambda piece, box: read_part(self, slide, piece, box), scale, glass=glass, fineness=self.fineness
            )


def read_overview(folder: Path, level0_px_per_px: float, mpp: float | None) -> Overview:
    """Return the overview whose thumbnail and mask lie in ``folder``."""
    with Image.open(folder / "thumbnail.png") as picture, Image.open(folder / "mask.png") as mask:
        pixels, classes = np.asarray(picture.convert("RGB")), np.asarray(mask)
    return Overview(pixels, classes, level0_px_per_px, level0_px_per_px * mpp / 1000 if mpp else None)


def refined(overview: Overview, source: Path) -> Overview:
    """Return the overview so that it is read anew from the slide where a picture on paper would show its pixels as squares."""
    sheet = overview.sheet
    inches = min((WIDTH_IN - SIDE_IN - GAP_IN) / sheet.width, TALLEST_IN / sheet.height)
    wanted = min(FINE_PX_PER_IN * inches, overview.level0_px_per_px, FINEST)
    fineness = min(int(np.ceil(wanted - 0.25)), int(overview.level0_px_per_px))
    return replace(overview, fineness=fineness, source=source) if fineness >= 2 else overview


def read_part(overview: Overview, slide: Slide, piece: Piece, box: Box) -> np.ndarray:
    """Return the pixels of ``box`` that ``piece`` shows, (Y, X, 3) uint8, ``fineness`` an overview pixel, from the slide.

    What the piece does not show, or cannot be decoded, is the overview's own.
    """
    x0, y0, x1, y1 = box
    fineness = overview.fineness
    step = overview.level0_px_per_px / fineness
    pixels = enlarged(overview.pixels[y0:y1, x0:x1], fineness)
    rows, columns = (np.arange(0, side, BLOCK_PX) for side in pixels.shape[:2])
    corners = np.column_stack([np.tile(columns, len(rows)), np.repeat(rows, len(columns))])
    middles = (corners + BLOCK_PX / 2) / fineness + (x0, y0)
    corners = corners[piece.near(middles, BLOCK_PX / fineness)]
    left, top = ((corners + fineness * np.array([x0, y0])) * step).T
    for batch in slide.windows(left, top, extent_px=BLOCK_PX * step, tile_px=BLOCK_PX):
        lost = {bad.row for bad in batch.corrupt}
        for row, tile in zip(batch.rows, batch.tiles, strict=True):
            x, y = corners[row]
            if int(row) not in lost:
                target = pixels[y : y + BLOCK_PX, x : x + BLOCK_PX]
                target[:] = tile[: target.shape[0], : target.shape[1]]
    return pixels


def draw_slide(overview: Overview, out: Path) -> None:
    """Write the picture of the tissue, with its outline, what may not be read, the whole slide and a scale bar."""
    sheet = overview.sheet
    with figure(WIDTH_IN, _height_in(sheet)) as drawn:
        axes, scale = _pieces_axes(drawn, overview)
        axes.imshow(overview.laid, extent=(0, sheet.width, sheet.height, 0), interpolation="antialiased")
        density = min(scale, overview.fineness)
        mask = sheet.lay(overview.mask, density, smooth=False)
        _shade(axes, mask, sheet, 0.6 * density if overview.fineness > 1 else 0.0)
        _scale_bar(axes, sheet, _height_in(sheet), overview.mm_per_px)
        inset = _inset(drawn, overview, sheet)
        _number(axes, inset, sheet)
        _legend(drawn, [value for value in SHADES if (overview.mask == value).any()])
        save(drawn, out, dpi=240)


@dataclass(frozen=True)
class Marked:
    """A tile that is shown close by: its letter and the level-0 position and extent."""

    letter: str
    x: float
    y: float
    extent_px: float


@dataclass(frozen=True, eq=False)
class Heat:
    """The attention of a slide's tiles: level-0 positions (N, 2), extent, and attention (N,) in times an equal share.

    A tile without features has NaN.
    """

    xy: np.ndarray
    extent_px: float
    times: np.ndarray


def draw_attention(overview: Overview, heat: Heat, marked: Sequence[Marked], out: Path) -> None:
    """Write the picture of where the model looked."""
    sheet = overview.sheet
    with figure(WIDTH_IN, _height_in(sheet)) as drawn:
        axes, scale = _pieces_axes(drawn, overview)
        warmth = sheet.lay_parts(
            lambda _, box: heat_map(overview, heat, box), scale, glass=0, fineness=overview.fineness, smooth=False
        )
        # Painted as it lies on the sheet: a whole overview in floating point takes a gigabyte.
        painted = paint(overview.laid, warmth)
        axes.imshow(painted, extent=(0, sheet.width, sheet.height, 0), interpolation="antialiased")
        _mark(axes, sheet, overview, marked)
        _scale_bar(axes, sheet, _height_in(sheet), overview.mm_per_px)
        _number(axes, None, sheet)
        _heat_scale(drawn)
        save(drawn, out, dpi=240)


def heat_map(overview: Overview, heat: Heat, box: Box) -> np.ndarray:
    """Return the attention of tiles in ``box``, (Y, X) uint8: 0 where no tile lies, else 1 to 255 along the scale.

    It has as many pixels an overview pixel as ``overview.fineness`` says.
    """
    x0, y0, x1, y1 = (overview.fineness * side for side in box)
    drawn = np.zeros((y1 - y0, x1 - x0), np.uint8)
    step = overview.level0_px_per_px / overview.fineness
    corners = np.rint(np.stack([heat.xy, heat.xy + heat.extent_px]) / step).astype(int) - (x0, y0)
    along = LogNorm(*ATTENTION_RANGE, clip=True)(np.nan_to_num(heat.times, nan=ATTENTION_RANGE[0])).data
    indices = np.where(np.isnan(heat.times), 0, 1 + np.rint(254 * along)).astype(np.uint8)
    within = (corners[1] >= 0).all(axis=1) & (corners[0] < (x1 - x0, y1 - y0)).all(axis=1)
    for (left, top), (right, bottom), index in zip(*corners[:, within], indices[within], strict=True):
        drawn[max(top, 0) : max(bottom, top + 1, 0), max(left, 0) : max(right, left + 1, 0)] = index
    return drawn


def paint(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return ``pixels`` (Y, X, 3) in grey with ``heat`` (Y, X), made by :func:`heat_map`, in colour over them, uint8."""
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    base = (110 + 0.57 * grey)[..., None]
    colours = 255 * HEAT(np.clip(np.arange(-1, 255) / 254, 0, 1))[:, :3].astype(np.float32)
    # Multiplied, not mixed: the tissue's own structure stays visible under the colour.
    glazed = colours[heat] * (0.45 + 0.55 * base / 255)
    return np.clip(np.where(heat[..., None] == 0, base, glazed), 0, 255).astype(np.uint8)


def _height_in(sheet: Sheet) -> float:
    wanted = (WIDTH_IN - SIDE_IN - GAP_IN) * sheet.height / sheet.width
    return float(np.clip(wanted, LOWEST_IN, TALLEST_IN)) + BAR_IN


def _inches_per_px(sheet: Sheet, total_in: float) -> float:
    """Return how large an overview pixel of the sheet is in a picture ``total_in`` high."""
    return min((WIDTH_IN - SIDE_IN - GAP_IN) / sheet.width, (total_in - BAR_IN) / sheet.height)


def _scale(overview: Overview, inches_per_px: float) -> float:
    """Return the pixels to lay out with an overview pixel."""
    return min(FINE_PX_PER_IN * inches_per_px, 2.0 * overview.fineness)


def _pieces_axes(drawn: Figure, overview: Overview) -> tuple[Axes, float]:
    """Return the axes of the pieces, in overview pixels, and the pixels to lay them out with an overview pixel."""
    sheet, total = overview.sheet, drawn.get_figheight()
    room_in = (WIDTH_IN - SIDE_IN - GAP_IN, total - BAR_IN)
    inches = _inches_per_px(sheet, total)
    width, height = sheet.width * inches, sheet.height * inches
    left, low = WIDTH_IN - (room_in[0] + width) / 2, total - (room_in[1] + height) / 2
    axes = drawn.add_axes((left / WIDTH_IN, low / total, width / WIDTH_IN, height / total))
    axes.set(xlim=(0, sheet.width), ylim=(sheet.height, 0))
    axes.axis("off")
    return axes, _scale(overview, inches)


def _shade(axes: Axes, mask: np.ndarray, sheet: Sheet, smooth_px: float) -> None:
    x = np.linspace(0, sheet.width, mask.shape[1])
    y = np.linspace(0, sheet.height, mask.shape[0])
    for value, (_, colour, hatch) in SHADES.items():
        here = mask == value
        if here.any():
            filled = axes.contourf(x, y, here, levels=[0.5, 1.5], colors=[to_rgba(colour, 0.22)], hatches=[hatch])
            filled.set_edgecolor(to_rgba(colour, 0.75))
            filled.set_linewidth(0)
    tissue = np.isin(mask, (TISSUE, BLURRED, FOLD))
    if tissue.any() and not tissue.all():
        edge = gaussian_filter(tissue.astype(np.float32), smooth_px) if smooth_px else tissue
        axes.contour(x, y, edge, levels=[0.5], colors=[TONES["negative"].line], linewidths=0.7)


def _inset(drawn: Figure, overview: Overview, sheet: Sheet) -> Axes:
    """Draw the whole slide at the left top, with the rectangle of each piece."""
    total = drawn.get_figheight()
    height_px, width_px = overview.mask.shape
    room_in = (SIDE_IN - 0.06, total - 0.04 - 0.19 * 3)
    inches = min(room_in[0] / width_px, room_in[1] / height_px)
    width, height = width_px * inches, height_px * inches
    axes = drawn.add_axes((0.01, 1 - (height + 0.02) / total, width / WIDTH_IN, height / total))
    reduced = max(int(1 / (FINE_PX_PER_IN * inches)), 1)
    small = np.asarray(Image.fromarray(overview.pixels).reduce(reduced))
    axes.imshow(small, extent=(0, width_px, height_px, 0), interpolation="antialiased")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=True, color=RULE)
    for piece in sheet.pieces:
        corner = np.array(piece.centre) - _turned((piece.width / 2, piece.height / 2), piece.angle_rad)
        axes.add_patch(
            Rectangle(
                tuple(corner), piece.width, piece.height, angle=float(np.degrees(piece.angle_rad)), fill=False,
                ec=TONES["negative"].line, lw=0.6,
            )
        )  # fmt: skip
    return axes


def _turned(vector: tuple[float, float], angle_rad: float) -> np.ndarray:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1]])


def _number(axes: Axes, inset: Axes | None, sheet: Sheet) -> None:
    """Write each piece's number on the sheet and on the whole slide, where there are several."""
    if len(sheet.pieces) < 2:
        return
    for number, piece in enumerate(sheet.pieces, 1):
        axes.annotate(
            str(number), (piece.left, piece.top), (2, -2), textcoords="offset points", va="top", ha="left", fontsize=7.5,
            color=MUTED, fontweight=600,
        )  # fmt: skip
        if inset is not None:
            inset.annotate(str(number), piece.centre, va="center", ha="center", fontsize=6.5, color=INK, fontweight=600)


def _legend(drawn: Figure, shades: Sequence[int]) -> None:
    entries = [Patch(fc="none", ec=TONES["negative"].line, lw=1.0, label="tissue")]
    entries += [
        Patch(fc=to_rgba(c, 0.22), ec=to_rgba(c, 0.8), hatch=h, lw=0, label=w) for w, c, h in (SHADES[v] for v in shades)
    ]
    drawn.legend(
        handles=entries, loc="lower left", bbox_to_anchor=(0.0, 0.0), frameon=False, fontsize=7, ncols=2, borderaxespad=0,
        borderpad=0, labelcolor=MUTED, handlelength=1.3, handleheight=0.9, handletextpad=0.45, labelspacing=0.35,
        columnspacing=0.8,
    )  # fmt: skip


SCALE_BARS_MM = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def _scale_bar(axes: Axes, sheet: Sheet, total_in: float, mm_per_px: float | None) -> None:
    """Draw a bar of a round length, about a sixth of the sheet's width, below the sheet on the right."""
    if mm_per_px is None:
        return
    length_mm = min(SCALE_BARS_MM, key=lambda mm: abs(np.log(mm / (sheet.width * mm_per_px / 6))))
    length = length_mm / mm_per_px
    text = f"{length_mm:g} mm" if length_mm >= 0.1 else f"{1000 * length_mm:g} µm"
    points = axes.get_position().height * total_in * 72 / sheet.height
    low = sheet.height + 10 / points
    axes.plot([sheet.width - length, sheet.width], [low, low], color=INK, lw=1.8, solid_capstyle="butt", clip_on=False)
    axes.annotate(
        text, (sheet.width - length, low), (-4, 0), textcoords="offset points", ha="right", va="center", fontsize=7.5,
        annotation_clip=False,
    )  # fmt: skip


def _mark(axes: Axes, sheet: Sheet, overview: Overview, marked: Sequence[Marked]) -> None:
    for tile in marked:
        middle = np.array([[tile.x, tile.y]]) + tile.extent_px / 2
        middle /= overview.level0_px_per_px
        piece = sheet.piece_at(*middle[0])
        if piece is None:
            continue
        side = tile.extent_px / overview.level0_px_per_px
        x, y = piece.on_sheet(middle)[0]
        frame = Rectangle(
            (x - side / 2, y - side / 2), side, side, angle=-float(np.degrees(piece.angle_rad)), rotation_point="center",
            fill=False, ec=INK, lw=0.8,
        )  # fmt: skip
        axes.add_patch(frame)
        axes.annotate(
            tile.letter, (x, y - side / 2), (0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=6.5,
            fontweight=600, bbox={"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.85},
        )  # fmt: skip


def _heat_scale(drawn: Figure) -> None:
    """Draw the colour scale with its ticks in times an equal share, and what the picture is not."""
    total = drawn.get_figheight()
    height_in = min(total - 0.68, 1.6)
    axes = drawn.add_axes((0.012, 1 - (0.36 + height_in) / total, 0.13 / WIDTH_IN, height_in / total))
    bar = drawn.colorbar(ScalarMappable(LogNorm(*ATTENTION_RANGE), HEAT), cax=axes)
    bar.outline.set_visible(False)
    low, high = ATTENTION_RANGE
    bar.set_ticks([low, 1, 4, high], labels=["≤ ¼", "1", "4", f"≥ {high:g}"])
    bar.ax.minorticks_off()
    bar.ax.tick_params(length=2, labelsize=7)
    drawn.text(0.01, 1 - 0.02 / total, "Attention,\n× equal share", va="top", fontsize=7.5, color=INK, linespacing=1.15)
    drawn.text(0.01, 0.01, "not a diagnosis", va="bottom", fontsize=7.5, color=TONES["positive"].ink, fontweight=600)
