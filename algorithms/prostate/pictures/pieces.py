"""Pieces of tissue cut out of a slide's overview, turned and laid out so that they fill a picture.

A needle core is ten millimetres long and one wide and lies askew on its glass: a picture of the whole slide would be
mostly empty glass.  Positions are (x, y) in overview pixels; a sheet is measured in overview pixels too, so one scale bar
holds for all of its pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy import ndimage

BRIDGED_MM = 0.25
"""Tissue closer than this is one piece: a core that broke on the glass stays together, two cores side by side do not."""

SMALLEST_MM2 = 0.05
"""A piece below this is a crumb: it is left out of the sheet and can be seen on the whole slide only."""

ELONGATED = 2.0
"""A piece at least this many times as long as wide is turned until it lies flat; a rounder one stays as it is."""

MARGIN_MM = 0.2
"""Glass shown around each piece."""

MOST_LABELLED = 4_000_000
"""Pixels at most on which pieces are told apart: a distance transform takes some 50 bytes a pixel."""

GLASS_SAMPLED = 1_000_000
"""Pixels at most among which those of glass are looked for."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of the overview, overview pixels; the last two lie just beyond it."""

Colour = int | tuple[int, int, int]


@dataclass(frozen=True)
class Piece:
    """A turned rectangle of the overview (``centre``, ``angle_rad``, ``width``, ``height``) and its place on the sheet."""

    label: int
    centre: tuple[float, float]
    angle_rad: float
    width: float
    height: float
    left: float = 0.0
    top: float = 0.0

    def on_sheet(self, points: np.ndarray) -> np.ndarray:
        """Return where overview positions (N, 2) lie on the sheet."""
        cos, sin = np.cos(self.angle_rad), np.sin(self.angle_rad)
        along = (points - np.array(self.centre)) @ np.array([[cos, -sin], [sin, cos]])
        return np.asarray(along + np.array([self.left + self.width / 2, self.top + self.height / 2]))

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Return which overview positions (N, 2) the rectangle holds."""
        inside = self.on_sheet(points) - np.array([self.left, self.top])
        return np.asarray(((inside >= 0) & (inside <= (self.width, self.height))).all(axis=1))

    def near(self, points: np.ndarray, reach: float) -> np.ndarray:
        """Return which overview positions (N, 2) lie at most ``reach`` beyond a side of the rectangle."""
        return replace(self, width=self.width + 2 * reach, height=self.height + 2 * reach).holds(points)


@dataclass(frozen=True, eq=False)
class Sheet:
    """Pieces laid out without overlap on ``width`` times ``height`` overview pixels.

    ``labels`` (Y, X) says which piece each overview pixel and its surroundings belong to, 0 for glass.
    """

    pieces: tuple[Piece, ...]
    width: float
    height: float
    labels: np.ndarray

    def lay(self, image: np.ndarray, scale: float, *, smooth: bool = True) -> np.ndarray:
        """Return the pieces of ``image`` (Y, X) or (Y, X, 3) uint8, laid out at ``scale`` sheet pixels an overview pixel.

        A neighbour that reaches into a piece's rectangle is covered with glass, so nothing is shown twice.
        """

        def part(_: Piece, box: Box) -> np.ndarray:
            x0, y0, x1, y1 = box
            return image[y0:y1, x0:x1].copy()

        return self.lay_parts(part, scale, glass=glass_of(image, self.labels), smooth=smooth)

    def lay_parts(
        self,
        part: Callable[[Piece, Box], np.ndarray],
        scale: float,
        *,
        glass: Colour,
        fineness: int = 1,
        smooth: bool = True,
    ) -> np.ndarray:
        """Return the pieces laid out as `lay` does, of a picture that is made piece by piece and never whole.

        Parameters
        ----------
        part
            Returns what a piece needs: the picture of a box, (Y, X) or (Y, X, 3) uint8, its own to change.
        scale
            Sheet pixels an overview pixel.
        glass
            What stands where no piece is: a number of a picture (Y, X), a colour of one (Y, X, 3).
        fineness
            Pixels of the parts along a side of an overview pixel.
        smooth
            Whether pixels are blended; numbers are not.
        """
        reduced = max(int(fineness / scale), 1) if smooth else 1
        size = (int(np.ceil(self.width * scale)), int(np.ceil(self.height * scale)))
        sheet = Image.new("L" if isinstance(glass, int) else "RGB", size, glass)
        for piece in self.pieces:
            box = self._box(piece)
            x0, y0, x1, y1 = box
            found = part(piece, box)
            labels = enlarged(self.labels[y0:y1, x0:x1], fineness)
            found[(labels != 0) & (labels != piece.label)] = glass
            source = Image.fromarray(found)
            source = source.reduce(reduced) if reduced > 1 else source
            turned = _turned(source, piece, (x0, y0), scale, reduced / fineness, smooth=smooth, glass=glass)
            sheet.paste(turned, (round(piece.left * scale), round(piece.top * scale)))
        return np.asarray(sheet)

    def piece_at(self, x: float, y: float) -> Piece | None:
        """Return the piece that shows an overview position, or ``None``."""
        height, width = self.labels.shape
        label = self.labels[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)]
        point = np.array([[x, y]])
        own = [piece for piece in self.pieces if label in {0, piece.label}]
        return next((piece for piece in own if piece.holds(point)[0]), None)

    def _box(self, piece: Piece) -> Box:
        """Return the upright box of the overview that holds a piece."""
        cos, sin = abs(np.cos(piece.angle_rad)), abs(np.sin(piece.angle_rad))
        half = np.array([cos * piece.width + sin * piece.height, sin * piece.width + cos * piece.height]) / 2 + 2
        low = np.maximum(np.floor(np.array(piece.centre) - half), 0).astype(int)
        high = np.minimum(np.ceil(np.array(piece.centre) + half), self.labels.shape[::-1]).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def enlarged(image: np.ndarray, times: int) -> np.ndarray:
    """Return ``image`` (Y, X) or (Y, X, 3) with every pixel repeated along both sides, a new array."""
    return np.repeat(np.repeat(image, times, axis=0), times, axis=1)


def glass_of(image: np.ndarray, labels: np.ndarray) -> Colour:
    """Return the colour of the glass: the median where no piece is; 0 of a mask, white where there is no glass."""
    if image.ndim == 2:
        return 0
    every = int(np.ceil(np.sqrt(max(labels.size / GLASS_SAMPLED, 1))))
    bare = image[::every, ::every][labels[::every, ::every] == 0]
    if not bare.size:
        return 255, 255, 255
    red, green, blue = (int(v) for v in np.median(bare[:: max(len(bare) // 10_000, 1)], axis=0))
    return red, green, blue


def _turned(
    source: Image.Image, piece: Piece, origin: tuple[int, int], scale: float, reduced: float, *, smooth: bool, glass: Colour
) -> Image.Image:
    """Return a piece as it lies on the sheet, from a picture at ``origin`` with ``reduced`` overview pixels a pixel."""
    size = (round(piece.width * scale), round(piece.height * scale))
    cos, sin = np.cos(piece.angle_rad) / scale, np.sin(piece.angle_rad) / scale
    x0 = piece.centre[0] - origin[0] - cos * size[0] / 2 + sin * size[1] / 2
    y0 = piece.centre[1] - origin[1] - sin * size[0] / 2 - cos * size[1] / 2
    back = tuple(float(v) / reduced for v in (cos, -sin, x0, sin, cos, y0))
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return source.transform(size, Image.Transform.AFFINE, back, how, fillcolor=glass)


def arrange(tissue: np.ndarray, mm_per_px: float, width_in: float, height_in: float) -> Sheet:
    """Return the sheet on which the pieces of ``tissue`` (Y, X) bool look largest in a picture of the given size.

    A slide with nothing on it is laid out as it is.
    """
    found, labels = _pieces(tissue, mm_per_px)
    if not found:
        height, width = tissue.shape
        whole = Piece(0, (width / 2, height / 2), 0.0, width, height)
        return Sheet((whole,), width, height, np.zeros(tissue.shape, np.uint16))
    widest, total = max(p.width for p in found), sum(p.width for p in found)
    sheets = [_shelves(found, width, labels) for width in np.geomspace(widest, max(total, widest * 1.001), 24)]
    return max(sheets, key=lambda sheet: min(width_in / sheet.width, height_in / sheet.height))


def _pieces(tissue: np.ndarray, mm_per_px: float) -> tuple[list[Piece], np.ndarray]:
    """Return the pieces from top to bottom, each in its smallest rectangle, and the labels of their surroundings."""
    reach = BRIDGED_MM / mm_per_px / 2
    # Bridging works on an image three pixels a reach wide: the distance transform of a large overview takes seconds.
    step = max(int(reach / 3), int(np.ceil(np.sqrt(tissue.size / MOST_LABELLED))), 1)
    coarse = tissue[::step, ::step]
    labels, count = ndimage.label(ndimage.distance_transform_edt(~coarse) * step <= reach)
    margin = 2 * MARGIN_MM / mm_per_px
    pieces = []
    for index in range(1, count + 1):
        y, x = np.nonzero((labels == index) & coarse)
        if x.size * (step * mm_per_px) ** 2 >= SMALLEST_MM2:
            pieces.append(_rectangle(index, np.column_stack([x, y]) * float(step) + step / 2, margin))
    height, width = tissue.shape
    full = enlarged(labels.astype(np.uint16), step)[:height, :width]
    return sorted(pieces, key=lambda piece: (piece.centre[1] - piece.height / 2, piece.centre[0])), full


def _rectangle(label: int, points: np.ndarray, margin: float) -> Piece:
    """Return the smallest rectangle around ``points`` (N, 2), of all angles in steps of two degrees."""
    best: Piece | None = None
    for angle in np.radians(np.arange(-90, 90, 2.0)):
        axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        along = points @ axes.T
        low, high = along.min(axis=0), along.max(axis=0)
        width, height = high - low
        if width >= height and (best is None or width * height < best.width * best.height):
            x, y = (low + high) / 2 @ axes
            best = Piece(label, (float(x), float(y)), float(angle), float(width), float(height))
    assert best is not None
    if best.width < ELONGATED * best.height:
        low, high = points.min(axis=0), points.max(axis=0)
        (x, y), (width, height) = (low + high) / 2, high - low
        best = Piece(label, (float(x), float(y)), 0.0, float(width), float(height))
    return replace(best, width=best.width + margin, height=best.height + margin)


def _shelves(pieces: list[Piece], width: float, labels: np.ndarray) -> Sheet:
    """Return the pieces set in rows of at most ``width``, in their order."""
    placed: list[Piece] = []
    left = top = row = widest = 0.0
    for piece in pieces:
        if left and left + piece.width > width:
            left, top, row = 0.0, top + row, 0.0
        placed.append(replace(piece, left=left, top=top))
        left, row = left + piece.width, max(row, piece.height)
        widest = max(widest, left)
    return Sheet(tuple(placed), widest, top + row, labels)
