"""Pictures of one slide: its tissue with what may not be read, and where the model looked.

Both have the same layout, so that the eye can go from one to the other: left the whole slide or the colour scale, right
the pieces of tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openslide
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from PIL import Image
from scipy.ndimage import gaussian_filter

from algorithms.prostate.pictures.pieces import Sheet, arrange
from algorithms.report.drawing import WIDTH_IN, figure, save
from algorithms.report.palette import INK, MUTED, RULE, TONES

SIDE_IN = 1.28
"""Width of the left column."""

GAP_IN = 0.14
TALLEST_IN, LOWEST_IN = 3.6, 1.45
BAR_IN = 0.24
"""Height of the strip below the pieces, with the scale bar."""

FINE_PX_PER_IN = 260.0
"""Finer pixels than this would not be seen on paper."""

FINEST = 4
"""An overview is refined at most so many times: what a pyramid level holds in memory stays below some 200 MB."""

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

    ``fineness`` is how many pixels stand for one of the mask as it was made, along either side.
    """

    pixels: np.ndarray
    mask: np.ndarray
    level0_px_per_px: float
    mm_per_px: float | None
    fineness: int = 1

    @property
    def tissue(self) -> np.ndarray:
        """Which pixels are tissue, readable or not, (Y, X) bool."""
        return np.asarray(np.isin(self.mask, (TISSUE, BLURRED, FOLD)))

    def sheet(self) -> Sheet:
        """Return its pieces laid out for the right part of a picture; an overview without scale stays whole."""
        tissue = self.tissue if self.mm_per_px else np.zeros_like(self.tissue)
        return arrange(tissue, self.mm_per_px or 1.0, WIDTH_IN - SIDE_IN - GAP_IN, TALLEST_IN)


def read_overview(folder: Path, level0_px_per_px: float, mpp: float | None) -> Overview:
    """Return the overview whose thumbnail and mask lie in ``folder``."""
    with Image.open(folder / "thumbnail.png") as picture, Image.open(folder / "mask.png") as mask:
        pixels, classes = np.asarray(picture.convert("RGB")), np.asarray(mask)
    return Overview(pixels, classes, level0_px_per_px, level0_px_per_px * mpp / 1000 if mpp else None)


def refined(overview: Overview, source: Path) -> Overview:
    """Return the overview with pixels read anew from the slide where a picture on paper would show its own as squares."""
    sheet = overview.sheet()
    inches = min((WIDTH_IN - SIDE_IN - GAP_IN) / sheet.width, TALLEST_IN / sheet.height)
    wanted = min(FINE_PX_PER_IN * inches, overview.level0_px_per_px, FINEST)
    fineness = int(np.ceil(wanted - 0.25))
    if fineness < 2:
        return overview
    height, width = (fineness * side for side in overview.mask.shape)
    step = overview.level0_px_per_px / fineness
    with openslide.OpenSlide(source) as slide:
        level = slide.get_best_level_for_downsample(1.3 * step)
        seen = slide.read_region((0, 0), level, slide.level_dimensions[level])
        down = slide.level_downsamples[level]
    flat = Image.new("RGB", seen.size, (255, 255, 255))
    flat.paste(seen, mask=seen.getchannel("A"))
    box = (0.0, 0.0, min(width * step / down, seen.width), min(height * step / down, seen.height))
    pixels = np.asarray(flat.resize((width, height), Image.Resampling.BOX if step > down else Image.Resampling.BICUBIC, box))
    mask = np.repeat(np.repeat(overview.mask, fineness, axis=0), fineness, axis=1)
    mm = overview.mm_per_px / fineness if overview.mm_per_px else None
    return Overview(pixels, mask, step, mm, fineness)


def draw_slide(overview: Overview, out: Path) -> None:
    """Write the picture of the tissue, with its outline, what may not be read, the whole slide and a scale bar."""
    sheet = overview.sheet()
    with figure(WIDTH_IN, _height_in(sheet)) as drawn:
        axes, scale = _pieces_axes(drawn, sheet)
        axes.imshow(sheet.lay(overview.pixels, scale), extent=(0, sheet.width, sheet.height, 0), interpolation="antialiased")
        density = min(scale, 1.0)
        mask = sheet.lay(overview.mask, density, smooth=False)
        _shade(axes, mask, sheet, 0.6 * overview.fineness * density if overview.fineness > 1 else 0.0)
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


def draw_attention(overview: Overview, heat: np.ndarray, marked: Sequence[Marked], out: Path) -> None:
    """Write the picture of where the model looked.

    ``heat`` (Y, X) is made by :func:`heat_map`.
    """
    sheet = overview.sheet()
    with figure(WIDTH_IN, _height_in(sheet)) as drawn:
        axes, scale = _pieces_axes(drawn, sheet)
        # Painted as it lies on the sheet: a whole overview in floating point takes a gigabyte.
        painted = paint(sheet.lay(overview.pixels, scale), sheet.lay(heat, scale, smooth=False))
        axes.imshow(painted, extent=(0, sheet.width, sheet.height, 0), interpolation="antialiased")
        _mark(axes, sheet, overview, marked)
        _scale_bar(axes, sheet, _height_in(sheet), overview.mm_per_px)
        _number(axes, None, sheet)
        _heat_scale(drawn)
        save(drawn, out, dpi=240)


def heat_map(overview: Overview, xy: np.ndarray, extent_px: float, times: np.ndarray) -> np.ndarray:
    """Return the attention of tiles at ``xy`` (N, 2) as (Y, X) uint8: 0 where no tile lies, else 1 to 255 along the scale.

    ``times`` (N,) is the attention in times an equal share, NaN for a tile without features.
    """
    heat = np.zeros(overview.mask.shape, np.uint8)
    corners = np.rint(np.stack([xy, xy + extent_px]) / overview.level0_px_per_px).astype(int)
    along = LogNorm(*ATTENTION_RANGE, clip=True)(np.nan_to_num(times, nan=ATTENTION_RANGE[0])).data
    indices = np.where(np.isnan(times), 0, 1 + np.rint(254 * along)).astype(np.uint8)
    for (x0, y0), (x1, y1), index in zip(*corners, indices, strict=True):
        heat[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = index
    return heat


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


def _pieces_axes(drawn: Figure, sheet: Sheet) -> tuple[Axes, float]:
    """Return the axes of the pieces, in overview pixels, and the pixels to lay them out with an overview pixel."""
    total = drawn.get_figheight()
    room_in = (WIDTH_IN - SIDE_IN - GAP_IN, total - BAR_IN)
    inches = min(room_in[0] / sheet.width, room_in[1] / sheet.height)
    width, height = sheet.width * inches, sheet.height * inches
    left, low = WIDTH_IN - (room_in[0] + width) / 2, total - (room_in[1] + height) / 2
    axes = drawn.add_axes((left / WIDTH_IN, low / total, width / WIDTH_IN, height / total))
    axes.set(xlim=(0, sheet.width), ylim=(sheet.height, 0))
    axes.axis("off")
    return axes, min(FINE_PX_PER_IN * inches, 2.0)


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
