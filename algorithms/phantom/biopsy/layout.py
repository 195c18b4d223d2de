"""Where things lie on a glass slide: cores with the patterns along them, pen, dust, a fold and a blurred patch.

Positions are (x, y) in micrometres from the upper left corner of the scanned area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from algorithms.phantom.biopsy.man import PATTERNS, Man
from algorithms.phantom.biopsy.tissue import Region

MAP_UM = 16.0
"""Spacing of the map of patterns of a slide."""
OUTSIDE_UM = -400.0
"""Distance to tissue at which the map is cut."""


@dataclass(frozen=True)
class Size:
    """How much a set of slides holds: micrometres a pixel, cores of each slide, their length and width (mm), copies of each.

    Copies are serial sections: the same tissue again on the same glass, as laboratories mount them.
    """

    mpp: float
    cores: tuple[int, ...]
    length_mm: tuple[float, float]
    width_mm: tuple[float, float]
    tile_px: int = 240
    copies: int = 1
    square_mm: float = 0.0  # least edge of the scanned area


SIZES = {
    "small": Size(0.499, (2, 2), (2.6, 3.2), (0.60, 0.70)),
    "medium": Size(0.499, (2, 2, 2), (7.5, 10.0), (0.65, 0.80)),
    "full": Size(0.2520, (3,), (11.0, 13.5), (0.70, 1.0), tile_px=256, copies=3, square_mm=15.5),
}
"""Needle cores are 0.6-1.0 mm wide and 3-15 mm long; scanners of 20x and 40x give about 0.5 and 0.25 um."""


@dataclass(frozen=True)
class Core:
    """One needle core: its left end, length and width, how it bends, and the patterns along it as (end, code) in um."""

    x: float
    y: float
    length: float
    width: float
    bend: tuple[float, float, float]  # amplitude, wavelength, phase
    slant: float
    pieces: tuple[tuple[float, int], ...]

    def centre(self, x: np.ndarray) -> np.ndarray:
        """Return the height of the core's middle at ``x``."""
        amplitude, wavelength, phase = self.bend
        return np.asarray(
            self.y + amplitude * np.sin(2 * math.pi * (x - self.x) / wavelength + phase) + self.slant * (x - self.x)
        )


@dataclass(frozen=True)
class Marks:
    """What else is on the glass, um: pen and fold as (x0, y0, x1, y1, width), blurred disc and dust as (x, y, radius)."""

    pen: tuple[float, float, float, float, float] | None
    pen_density: tuple[float, float, float]
    fold: tuple[float, float, float, float, float] | None
    blur: tuple[float, float, float] | None
    dust: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Layout:
    """One slide: extent (um), cores and marks, height of a serial section (um) and how many there are, seed of its tissue."""

    width: float
    height: float
    cores: tuple[Core, ...]
    marks: Marks
    section: float
    copies: int
    seed: int


PENS = {"blue": (0.95, 0.55, 0.08), "green": (0.9, 0.25, 0.7), "black": (0.9, 0.9, 0.9)}
"""Optical density of felt pens in red, green and blue (own choice, by eye)."""


def layouts(one: Man, size: Size, rng: np.random.Generator) -> list[Layout]:
    """Return the slides of a man, his patterns laid along all cores together in their area fractions."""
    lengths = [float(rng.uniform(*size.length_mm)) * 1000 for _ in range(sum(size.cores))]
    pieces = _pieces(one, lengths, rng)
    slides, first = [], 0
    for index, count in enumerate(size.cores):
        own = range(first, first + count)
        first += count
        margin, pitch = 700.0, 1150.0
        cores = []
        for row, core in enumerate(own):
            bend = (float(rng.uniform(40, 140)), float(rng.uniform(5000, 11000)), float(rng.uniform(0, 2 * math.pi)))
            cores.append(
                Core(
                    margin + float(rng.uniform(0, 500)),
                    margin + 500 + row * pitch + float(rng.uniform(-60, 60)),
                    lengths[core],
                    float(rng.uniform(*size.width_mm)) * 1000,
                    bend,
                    float(rng.uniform(-0.012, 0.012)),
                    pieces[core],
                )
            )
        section = 2 * margin + 900 + (count - 1) * pitch
        if size.copies > 1:  # whole tiles of all three levels, so that a section's tiles can be used again
            whole = 16 * size.tile_px * size.mpp
            section = math.ceil(section / whole) * whole
        width = max(max(c.x + c.length for c in cores) + margin, size.square_mm * 1000)
        height = max(section * size.copies, size.square_mm * 1000)
        marks = _marks(cores, width, index, rng)
        slides.append(Layout(width, height, tuple(cores), marks, section, size.copies, int(rng.integers(1 << 31))))
    return slides


def _pieces(one: Man, lengths: list[float], rng: np.random.Generator) -> list[tuple[tuple[float, int], ...]]:
    """Return for each core the patterns along it, as (end in um, code).

    Benign tissue and stroma alternate; the cancer lies in a few foci, its patterns side by side within each.
    """
    total = sum(lengths)
    benign = [(name, one.patterns[name] * total) for name in ("stroma", "benign")]
    cancer = [(name, one.patterns[name] * total) for name in ("gleason3", "gleason4", "gleason5")]
    foci = max(1, min(3, round(sum(amount for _, amount in cancer) / 2500)))
    shares = rng.dirichlet(np.full(foci, 4.0))
    background = _cut(benign, 900.0, rng)
    places = sorted(int(p) for p in rng.integers(0, len(background) + 1, foci))
    run: list[tuple[str, float]] = []
    for index, piece in enumerate([*background, None]):
        for focus in (k for k in range(foci) if places[k] == index):
            run += _cut([(name, amount * float(shares[focus])) for name, amount in cancer], 1200.0, rng)
        if piece is not None:
            run.append(piece)
    ends = np.cumsum([amount for _, amount in run])
    codes = [PATTERNS.index(name) for name, _ in run]
    answer, start = [], 0.0
    for length in lengths:
        inside = [
            (float(min(end, start + length) - start), code) for end, code in zip(ends, codes, strict=True) if end > start + 1e-6
        ]
        kept = []
        for end, code in inside:
            kept.append((end, code))
            if end >= length - 1e-6:
                break
        answer.append(tuple(kept))
        start += length
    return answer


def _cut(amounts: list[tuple[str, float]], piece_um: float, rng: np.random.Generator) -> list[tuple[str, float]]:
    """Return the amounts (um) cut into pieces of about ``piece_um``, in random order."""
    pieces = []
    for name, amount in amounts:
        if amount <= 0:
            continue
        count = max(1, round(amount / piece_um))
        pieces += [(name, amount * float(share)) for share in rng.dirichlet(np.full(count, 6.0))]
    return [pieces[k] for k in rng.permutation(len(pieces))]


def _marks(cores: list[Core], width: float, index: int, rng: np.random.Generator) -> Marks:
    """Return what else is on the glass: a pen stroke, a fold or a blurred patch on each slide in turn, dust on all."""
    core = cores[int(rng.integers(len(cores)))]
    at = core.x + core.length * float(rng.uniform(0.25, 0.7))
    middle = float(core.centre(np.array(at)))
    lean = float(rng.uniform(-60, 60))
    pen = fold = blur = None
    if index % 3 == 0:
        high = cores[0].y - 0.5 * cores[0].width - 190.0
        pen = (at - 500.0, high + lean, at + 500.0, high - lean, float(rng.uniform(110, 160)))
    elif index % 3 == 1:
        fold = (at, middle - 0.7 * core.width, at + lean, middle + 0.7 * core.width, float(rng.uniform(70, 120)))
    else:
        blur = (at, middle, float(rng.uniform(450, 600)))
    dust = tuple(
        (float(rng.uniform(0, width)), float(rng.uniform(0, cores[-1].y + 800)), float(rng.uniform(3, 14)))
        for _ in range(int(rng.integers(6, 14)))
    )
    return Marks(pen, list(PENS.values())[int(rng.integers(len(PENS)))], fold, blur, dust)


def _end(across: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return how far (um) a torn end reaches out at each distance from the core's middle."""
    a, b, c, d = (float(u) for u in rng.uniform(0, 2 * math.pi, 4))
    return np.asarray(
        55.0 * np.sin(across / 160.0 + a) + 28.0 * np.sin(across / 61.0 + b) + 12.0 * np.sin(across / 23.0 + c + d)
    )


def region(layout: Layout) -> Region:
    """Return the map of patterns and the distance to the tissue's edge of one section of a slide."""
    rows, columns = math.ceil(layout.section / MAP_UM), math.ceil(layout.width / MAP_UM)
    patterns = np.zeros((rows, columns), np.uint8)
    edge = np.full((rows, columns), OUTSIDE_UM, np.float32)
    rng = np.random.default_rng([layout.seed, 1])
    for core in layout.cores:
        reach = core.width + abs(core.bend[0]) + abs(core.slant) * core.length + 500
        top, bottom = max(int((core.y - reach) / MAP_UM), 0), min(int((core.y + reach) / MAP_UM) + 1, rows)
        x = (np.arange(columns) + 0.5) * MAP_UM
        y = ((np.arange(top, bottom) + 0.5) * MAP_UM)[:, None]
        across = y - core.centre(x)[None, :]
        wobble = gaussian_filter1d(rng.standard_normal((2, columns)), 9, axis=1) * 150.0  # a needle does not cut straight
        side = np.where(across < 0, core.width / 2 + wobble[0] + across, core.width / 2 + wobble[1] - across)
        along = x[None, :] - core.x
        distance = np.minimum(side, np.minimum(along + _end(across, rng), core.length - along + _end(across, rng)))
        lean = along + 50.0 * np.sin(across / 110.0 + core.bend[2]) + 25.0 * np.sin(across / 37.0)
        codes = np.array([code for _, code in core.pieces], np.uint8)
        which = np.searchsorted(np.array([end for end, _ in core.pieces]), np.clip(lean, 0, core.pieces[-1][0] - 1))
        nearer = distance > edge[top:bottom]
        patterns[top:bottom][nearer] = codes[which][nearer]
        edge[top:bottom] = np.maximum(edge[top:bottom], distance)
    return Region(patterns, np.asarray(np.maximum(edge, OUTSIDE_UM), np.float32), (0.0, 0.0), MAP_UM)
