"""The cells of a lumen: which there are, who lies beside whom, and where their links meet the wall or an opening.

A cell is a point of a cubic lattice that lies in blood; nothing is kept of the box around.  Columns of ``source`` at or
beyond the number of cells are slots: a slot holds what comes in through one link from the wall or from an opening.
Points are (N, 3) mm in the frame of the lumen.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numba
import numpy as np
from scipy.spatial import cKDTree

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.inside import TOUCHING, distances_mm, points_in_blood
from algorithms.coronary.geometry.shape import Lumen, Opening
from algorithms.coronary.lattice.profile import Profile, developed
from algorithms.coronary.lattice.velocities import DIRECTIONS, OPPOSITE, VELOCITIES

log = logging.getLogger(__name__)

FEWEST_ACROSS = 4
"""A vessel narrower than this many cells has no velocity profile; its resistance would be a number without meaning."""

ROOT_STEPS = 6
"""Steps of the search for the wall on a link: the Illinois method is then below 1e-4 of a link on a smooth wall."""

PLANE_STEPS = 3
"""Points to a cell's side at which an opening's profile is solved."""

SECTION_LEVELS = 6
"""Length of a section in links from the inlet: long against a stair of the grid, short against anything in a vessel."""


@dataclass(frozen=True, eq=False)
class Links:
    """Links that leave the lumen, (M,) each: from ``cell`` along ``direction``; what comes back lies in ``slot``."""

    cell: np.ndarray
    direction: np.ndarray
    slot: np.ndarray
    fraction: np.ndarray
    """Part of the link that lies before the wall or the opening, above 0 and at most 1."""

    def __len__(self) -> int:
        return len(self.cell)


@dataclass(frozen=True, eq=False)
class Cells:
    """N cells of side ``side_mm``; ``index`` (N, 3) counts from the cell whose centre is ``corner_mm``."""

    side_mm: float
    corner_mm: np.ndarray
    index: np.ndarray
    distance_mm: np.ndarray
    """(N,) distance to the wall."""
    source: np.ndarray
    """(27, N) int32: the column from which each population comes: a cell, or a slot."""
    slots: int
    """Slots that each row needs beyond the N cells."""
    walls: Links
    gates: tuple[Links, ...]
    """The links through each opening, in the order of ``openings``."""
    profiles: tuple[Profile, ...]
    """The developed flow through each opening."""
    openings: tuple[Opening, ...]
    level: np.ndarray
    """(N,) int32: links to the inlet along the shortest way."""
    section: np.ndarray
    """(N,) int32: number of the stretch of the vessel to which a cell belongs, ``SECTION_LEVELS`` long."""

    def __len__(self) -> int:
        return len(self.index)

    @property
    def width(self) -> int:
        """Columns of the populations' array."""
        return len(self.index) + self.slots

    @property
    def points_mm(self) -> np.ndarray:
        """(N, 3) centres."""
        points: np.ndarray = self.corner_mm + self.side_mm * self.index
        return points


def find_cells(lumen: Lumen, side_mm: float) -> Cells:
    """Return the cells of ``lumen`` that blood reaches from its inlet.

    Raises
    ------
    DataError
        If there is no inlet or no outlet, an opening lies outside the lumen or does not close it, an outlet is not
        reached, a part is reached from nowhere, blood leaves the box, or a vessel is too narrow for these cells.
    """
    if side_mm <= 0:
        raise ValueError("side_mm must be positive")
    _check_openings(lumen.openings)
    corner, index, distance = points_in_blood(lumen, side_mm)
    if not len(index):
        raise DataError(f"no cell of {side_mm:g} mm lies in the lumen; it is closed or thinner than a cell: use smaller cells")
    beside = _neighbours(index)
    crossing = [_crossing(opening, corner + side_mm * index, side_mm, beside) for opening in lumen.openings]
    level = _reached(lumen.openings, crossing, beside, side_mm)
    cells = _connected(lumen, side_mm, corner, (index, distance, beside, crossing, level))
    narrowest = narrowest_across(cells)
    if narrowest < FEWEST_ACROSS:
        raise DataError(
            f"the lumen is {narrowest:.1f} cells of {side_mm:g} mm across at its narrowest, at least "
            f"{FEWEST_ACROSS} are wanted; use smaller cells, or report the vessel as occluded"
        )
    log.info("%d cells of %g mm, %.1f across at the narrowest", len(cells), side_mm, narrowest)
    return cells


def _check_openings(openings: tuple[Opening, ...]) -> None:
    inlets = sum(opening.inlet for opening in openings)
    if inlets != 1:
        raise DataError(f"the lumen has {inlets} inlets where one is wanted; name the opening through which blood comes in")
    if len(openings) < 2:
        raise DataError("the lumen has no outlet, blood cannot leave it; name at least one opening as an outlet")


def _neighbours(index: np.ndarray) -> np.ndarray:
    """Return (27, N) int32: the cell at ``x + c``, -1 where there is none; ``index`` is in lexicographic order."""
    span = index.max(axis=0) + 3
    strides = np.array([span[1] * span[2], span[2], 1])
    keys = (index + 1) @ strides
    beside = np.empty((DIRECTIONS, len(index)), np.int32)
    for direction, velocity in enumerate(VELOCITIES):
        wanted = keys + velocity @ strides
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        beside[direction] = np.where(keys[place] == wanted, place, -1)
    return beside


def _crossing(opening: Opening, points_mm: np.ndarray, side_mm: float, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return cell (M,) and direction (M,) of the links that leave through ``opening``, whatever the shape of its rim."""
    away = points_mm - opening.centre_mm
    height = away @ opening.normal
    aside = np.linalg.norm(away - height[:, None] * opening.normal, axis=1)
    near = (np.abs(height) <= 2 * side_mm) & (aside <= 3 * opening.radius_mm + 2 * side_mm)
    if not near.any() or aside[near].min() > opening.radius_mm:
        raise DataError(f"opening {opening.name} lies outside the lumen; move its plane onto the vessel that it cuts")
    first = int(np.flatnonzero(near)[np.argmin(aside[near])])
    # Only what hangs together with the plane's centre: another vessel may pass close by.
    disc = _flood(beside, np.array([first]), near, np.zeros(0, np.int64)) >= 0
    cells, directions = [], []
    for direction in range(1, DIRECTIONS):
        target = beside[direction]
        leaves = disc & (height <= 0) & (target >= 0) & (height[target] > 0) & disc[target]
        cells.append(np.flatnonzero(leaves))
        directions.append(np.full(len(cells[-1]), direction))
    found = np.concatenate(cells), np.concatenate(directions)
    if not len(found[0]):
        raise DataError(
            f"no cell lies on both sides of opening {opening.name}; let the lumen go on behind its plane by two cells"
        )
    return found


@numba.njit(cache=True)
def _flood(beside: np.ndarray, seeds: np.ndarray, allowed: np.ndarray, blocked: np.ndarray) -> np.ndarray:
    """Return (N,) int32 links from the nearest seed, -1 where not reached; ``blocked`` are sorted cell * 27 + direction."""
    n = beside.shape[1]
    level = np.full(n, -1, np.int32)
    shut = np.zeros(n, np.bool_)  # most cells have no blocked link, and are not looked up
    for link in blocked:
        shut[link // beside.shape[0]] = True
    queue = np.empty(n, np.int64)
    end = 0
    for seed in seeds:
        if level[seed] < 0:
            level[seed] = 0
            queue[end] = seed
            end += 1
    start = 0
    while start < end:
        cell = queue[start]
        start += 1
        for direction in range(1, beside.shape[0]):
            target = beside[direction, cell]
            if target < 0 or level[target] >= 0 or not allowed[target]:
                continue
            if shut[cell]:
                link = cell * beside.shape[0] + direction
                place = np.searchsorted(blocked, link)
                if place < len(blocked) and blocked[place] == link:
                    continue
            level[target] = level[cell] + 1
            queue[end] = target
            end += 1
    return level


def _reached(
    openings: tuple[Opening, ...], crossing: list[tuple[np.ndarray, np.ndarray]], beside: np.ndarray, side_mm: float
) -> np.ndarray:
    """Return (N,) links to the inlet, -1 for what lies behind an opening."""
    links = [cell * DIRECTIONS + direction for cell, direction in crossing]
    back = [beside[d, c].astype(np.int64) * DIRECTIONS + OPPOSITE[d] for c, d in crossing]
    blocked = np.unique(np.concatenate(links + back))
    everywhere = np.ones(beside.shape[1], bool)
    inlet = next(i for i, opening in enumerate(openings) if opening.inlet)
    level = _flood(beside, np.unique(crossing[inlet][0]), everywhere, blocked)
    behind = [np.unique(beside[d, c]) for c, d in crossing]
    for opening, (cell, _), hidden in zip(openings, crossing, behind, strict=True):
        if (level[hidden] >= 0).any():
            raise DataError(f"blood flows around the plane of opening {opening.name}; it must cut the whole vessel")
        if not (level[cell] >= 0).all():
            raise DataError(
                f"opening {opening.name} is not reached from the inlet with cells of {side_mm:g} mm; the vessel is closed "
                "between them, or its normal points into the lumen: report the occlusion, or correct the segmentation there"
            )
    cut = _flood(beside, np.concatenate(behind), everywhere, blocked) >= 0
    islands = int(((level < 0) & ~cut).sum())
    if islands:
        raise DataError(
            f"{islands} of {len(level)} cells of blood are not connected to the inlet; "
            "remove the islands, or join them to the lumen"
        )
    return level


def _connected(
    lumen: Lumen,
    side_mm: float,
    corner: np.ndarray,
    found: tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]], np.ndarray],
) -> Cells:
    """Return the cells that are reached, numbered anew, with their links."""
    index, distance, beside, crossing, level = found
    kept = level >= 0
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    gates = [(number[cell], direction) for cell, direction in crossing]
    index, distance, level = index[kept], distance[kept], level[kept]
    beside = beside[:, kept]
    beside = np.where(beside >= 0, number[beside], -1).astype(np.int32)
    for cell, direction in gates:
        beside[direction, cell] = -2  # neither a neighbour nor a wall
    n = len(index)
    source = np.empty((DIRECTIONS, n), np.int32)
    slots = np.zeros((DIRECTIONS, n), np.int32)
    for row in range(DIRECTIONS):
        source[row] = beside[OPPOSITE[row]]
        missing = np.flatnonzero(source[row] < 0)
        slots[row, missing] = n + np.arange(len(missing))
        source[row, missing] = slots[row, missing]
    points = corner + side_mm * index
    wall_direction, wall_cell = np.nonzero(beside == -1)
    fraction = _wall_fraction(lumen, side_mm, points[wall_cell], wall_direction, distance[wall_cell])
    distance = _deepened(points, distance, np.unique(wall_cell), side_mm)
    walls = _links(wall_cell, wall_direction, fraction, slots)
    planes = []
    for opening, (cell, direction) in zip(lumen.openings, gates, strict=True):
        height = (points[cell] - opening.centre_mm) @ opening.normal
        part = -height / (side_mm * VELOCITIES[direction] @ opening.normal)
        planes.append(_links(cell, direction, np.clip(part, 1e-3, 1.0), slots))
    width = int((slots.max(axis=1) - n + 1).clip(0).max())
    profiles = tuple(developed(lumen, opening, side_mm / PLANE_STEPS) for opening in lumen.openings)
    return Cells(
        side_mm,
        corner,
        index,
        distance,
        source,
        width,
        walls,
        tuple(planes),
        profiles,
        lumen.openings,
        level,
        _sections(source, level),
    )


def _deepened(points_mm: np.ndarray, distance_mm: np.ndarray, wall: np.ndarray, side_mm: float) -> np.ndarray:
    """Return (N,) distances that are right far from the wall too: a surface knows but a lower bound there.

    To the nearest cell at the wall and on from there it is a part of a cell too far; where that is a whole cell more than was
    told, a bound was told.
    """
    away, nearest = cKDTree(points_mm[wall]).query(points_mm)
    around = away + distance_mm[wall[nearest]]
    deepened: np.ndarray = np.where(around - distance_mm > side_mm, around, distance_mm)
    return deepened


def _links(cell: np.ndarray, direction: np.ndarray, fraction: np.ndarray, slots: np.ndarray) -> Links:
    slot = slots[OPPOSITE[direction], cell]
    return Links(cell.astype(np.int32), direction.astype(np.int32), slot, fraction.astype(np.float64))


def _wall_fraction(lumen: Lumen, side_mm: float, start: np.ndarray, direction: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return (M,) the part of each link before the wall: a false position with halved ends (Illinois)."""
    step = side_mm * VELOCITIES[direction]
    a, b = np.zeros(len(start)), np.ones(len(start))
    fa, fb = inside.astype(float), distances_mm(lumen, start + step)
    if (fb > TOUCHING * side_mm).any():
        raise DataError(
            f"blood leaves the lumen's box through {int((fb > TOUCHING * side_mm).sum())} links away from any opening; the "
            "vessel is cut by the border of the volume: place an opening there, or take a larger volume"
        )
    fb = np.minimum(fb, 0)
    x = fa / (fa - fb)
    for _ in range(ROOT_STEPS):
        x = (a * fb - b * fa) / np.where(fb == fa, 1, fb - fa)
        fx = distances_mm(lumen, start + x[:, None] * step)
        inner = fx > 0
        fb = np.where(inner & (np.abs(fx) > 0.5 * np.abs(fa)), fb / 2, fb)
        fa = np.where(~inner & (np.abs(fx) > 0.5 * np.abs(fb)), fa / 2, fa)
        a, fa = np.where(inner, x, a), np.where(inner, fx, fa)
        b, fb = np.where(inner, b, x), np.where(inner, fb, fx)
    fraction: np.ndarray = np.clip(x, 1e-3, 1.0)
    return fraction


def narrowest_across(cells: Cells) -> float:
    """Return the cells across the lumen where it is narrowest, in a section or in an opening."""
    openings = [2 * np.sqrt(profile.area_mm2 / np.pi) / cells.side_mm for profile in cells.profiles]
    return float(np.nanmin([*cells_across(cells), *openings]))


def cells_across(cells: Cells) -> np.ndarray:
    """Return (S,) the cells across the narrowest place of each section, NaN in one that ends blind or is cut short.

    Over a round cut three times the mean distance to the wall is the radius, whatever the slant of the cut and wherever
    its cells lie; no radius is longer than from the wall to the deepest cell and on to the corner of the four around it.
    The greatest distance in a whole section read up to a third too high at a throat, which is shorter than a section.
    """
    count = int(cells.section.max()) + 1
    place = cells.section.astype(np.int64) * SECTION_LEVELS + cells.level % SECTION_LEVELS
    size = count * SECTION_LEVELS
    found = np.bincount(place, minlength=size).astype(float)
    total = np.bincount(place, cells.distance_mm, size)
    deepest = np.zeros(size)
    np.maximum.at(deepest, place, cells.distance_mm)
    complete = (found.reshape(count, SECTION_LEVELS) > 0).all(axis=1) & _leads_on(cells)
    # A slanted level that an outlet cuts has lost a part of its cells.
    for gate, opening in zip(cells.gates, cells.openings, strict=True):
        if not opening.inlet:
            found[place[gate.cell]] = 0
    counted, summed, deep = (values.reshape(count, SECTION_LEVELS) for values in (found, total, deepest))
    across = np.full(count, np.nan)
    # A level is one cell thick and has too few cells for a mean.
    for k in range(SECTION_LEVELS - 2):
        three = slice(k, k + 3)
        whole = complete & (counted[:, three] > 0).all(axis=1)
        mean = summed[whole, three].sum(axis=1) / counted[whole, three].sum(axis=1)
        radius = np.minimum(3 * mean, deep[whole, three].max(axis=1) + cells.side_mm / np.sqrt(2))
        across[whole] = np.fmin(across[whole], 2 * radius / cells.side_mm)
    return across


def _leads_on(cells: Cells) -> np.ndarray:
    """Return (S,) whether blood goes on from a section to a later one or out of the lumen: a bulge of the wall has an end."""
    leads = np.zeros(int(cells.section.max()) + 1, bool)
    for gate, opening in zip(cells.gates, cells.openings, strict=True):
        if not opening.inlet:
            leads[cells.section[gate.cell]] = True
    stretch = cells.level // SECTION_LEVELS
    for source in cells.source[1:]:
        here = np.flatnonzero(source < len(cells))
        before = source[here]
        leads[cells.section[before[stretch[here] > stretch[before]]]] = True
    return leads


@numba.njit(cache=True)
def _sections(source: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return (N,) int32: cells in one stretch of SECTION_LEVELS that hang together share a number."""
    n = len(level)
    label = np.full(n, -1, np.int32)
    queue = np.empty(n, np.int64)
    count = 0
    for seed in range(n):
        if label[seed] >= 0:
            continue
        stretch = level[seed] // SECTION_LEVELS
        label[seed] = count
        queue[0] = seed
        start, end = 0, 1
        while start < end:
            cell = queue[start]
            start += 1
            for direction in range(1, source.shape[0]):
                target = source[direction, cell]
                if target < n and label[target] < 0 and level[target] // SECTION_LEVELS == stretch:
                    label[target] = count
                    queue[end] = target
                    end += 1
        count += 1
    return label
