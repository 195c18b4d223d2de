"""How the compiled lattice lies in memory: row by row, so that a row's neighbours in any direction are a row too.

A row is a run of cells along one axis of the grid, with what lies before and behind it and beside its neighbours' cells:
the links' slots.  What comes through a link lies where it would have come from, were there a cell.  A step then needs
27 places for each row in place of 27 for each cell, and reads and writes whole vectors.  In memory a row has one direction
after the other, and rows follow one another: what a step needs together is near together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.coronary.lattice.cells import Cells
from algorithms.coronary.lattice.gates import Gates
from algorithms.coronary.lattice.lanes import LANES
from algorithms.coronary.lattice.velocities import DIRECTIONS, OPPOSITE, VELOCITIES
from algorithms.coronary.lattice.walls import Walls


@dataclass(frozen=True, eq=False)
class Runs:
    """R runs of neighbouring cells; all places are in one array, and unsigned so that numba does not look for negative ones."""

    source: np.ndarray
    """(R, 27) from where the populations of a run's first cell come; those of the others follow."""
    target: np.ndarray
    """(R,) where its population at rest lies."""
    stride: np.ndarray
    """(R,) from one direction to the next."""
    length: np.ndarray
    """(R,) cells."""
    parts: np.ndarray
    """(threads + 1,) first run of each thread: about as many cells for each, and no row for two.

    A run is worked on in vectors and the last one reaches beyond it: into slots, which are filled anew, or into the next
    run of the row, which comes later.
    """


@dataclass(frozen=True, eq=False)
class Layout:
    """Places of everything."""

    width: int
    size: int
    first: np.ndarray
    """(N,) place of each cell's population at rest."""
    stride: np.ndarray
    """(N,) from there to its next direction."""
    runs: Runs
    hit: np.ndarray
    back: np.ndarray
    behind: np.ndarray
    """(M,) the populations of a wall link, as in ``Walls``."""
    wall: np.ndarray
    gate: np.ndarray
    """Where what comes back through the links of walls and of openings lies."""
    slots: np.ndarray
    """Column of each of these in an array (27, width), flat: walls, then openings."""

    def packed(self, f: np.ndarray) -> np.ndarray:
        """Return populations (27, width) as they lie here; slots too."""
        flat = np.zeros(self.size, np.float32)
        for direction in range(DIRECTIONS):
            flat[self.first + direction * self.stride] = f[direction, : len(self.first)]
        flat[np.concatenate([self.wall, self.gate])] = f.reshape(-1)[self.slots]
        return flat

    def unpacked(self, flat: np.ndarray) -> np.ndarray:
        """Return populations (27, width) of what lies here."""
        f = np.zeros((DIRECTIONS, self.width), np.float32)
        for direction in range(DIRECTIONS):
            f[direction, : len(self.first)] = flat[self.first + direction * self.stride]
        f.reshape(-1)[self.slots] = flat[np.concatenate([self.wall, self.gate])]
        return f


def layout(cells: Cells, wall: Walls, gates: Gates, threads: int) -> Layout:
    """Return where everything lies; ``threads`` work on it."""
    rows = min((_rows(cells, axis) for axis in range(3)), key=lambda rows: len(rows.run))
    runs = _runs(rows, threads)
    at, stride = rows.place(0, rows.key), rows.stride[rows.row(rows.key)]
    gate_slot = OPPOSITE[gates.direction] * cells.width + gates.slot

    def places(flat: np.ndarray) -> np.ndarray:
        direction, cell = np.divmod(flat.astype(np.int64), cells.width)
        found: np.ndarray = (at[cell] + direction * stride[cell]).astype(np.uint32)
        return found

    def slots(link: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Return where what comes from beyond the links lies."""
        comes = OPPOSITE[direction]
        return rows.place(comes, rows.key[link] - rows.move[comes]).astype(np.uint32)

    return Layout(
        width=cells.width,
        size=int(rows.end[-1]) + LANES,
        first=at.astype(np.uint32),
        stride=stride.astype(np.uint32),
        runs=runs,
        hit=places(wall.hit),
        back=places(wall.back),
        behind=places(wall.behind),
        wall=slots(wall.cell, wall.direction),
        gate=slots(gates.cell, gates.direction),
        slots=np.concatenate([wall.slot, gate_slot]).astype(np.int64),
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """The grid's points that are kept, cells and slots, by keys that count along one axis first."""

    key: np.ndarray
    """(N,) of the cells."""
    move: np.ndarray
    """(27,) what a velocity adds to a key."""
    kept: np.ndarray
    """Keys of all points, rising; a row is a run of them."""
    begin: np.ndarray
    """(rows,) first of each row in ``kept``."""
    run: np.ndarray
    """(R,) key of the first cell of each run of cells."""
    length: np.ndarray
    stride: np.ndarray
    """(rows,) from one direction to the next."""
    end: np.ndarray
    """(rows + 1,) where each row begins in memory, and where the last one ends."""

    def row(self, key: np.ndarray) -> np.ndarray:
        """Return in which row points lie."""
        found: np.ndarray = np.searchsorted(self.begin, np.searchsorted(self.kept, key), "right") - 1
        return found

    def place(self, direction: np.ndarray | int, key: np.ndarray) -> np.ndarray:
        """Return where the population of points in a direction lies."""
        row = self.row(key)
        found: np.ndarray = self.end[row] + direction * self.stride[row] + key - self.kept[self.begin[row]]
        return found


def _rows(cells: Cells, axis: int) -> _Rows:
    """Return the rows along ``axis``."""
    order = [other for other in range(3) if other != axis] + [axis]
    index = cells.index[:, order].astype(np.int64)
    index -= index.min(axis=0) - 1
    span = index.max(axis=0) + 2
    steps = np.array([span[1] * span[2], span[2], 1])
    key, move = index @ steps, VELOCITIES[:, order] @ steps
    direction, cell = np.nonzero(cells.source >= len(cells))
    kept = np.unique(np.concatenate([key, key[cell] - move[direction]]))
    begin, points = _consecutive(kept)
    first, length = _consecutive(np.sort(key))
    run = np.sort(key)[first]
    row = np.searchsorted(begin, np.searchsorted(kept, run), "right") - 1
    stride = points.copy()
    np.maximum.at(stride, row, run - kept[begin[row]] + -(-length // LANES) * LANES)
    end = np.concatenate([[0], np.cumsum(stride * DIRECTIONS)])
    return _Rows(key, move, kept, begin, run, length, stride, end)


def _consecutive(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where runs of consecutive ``numbers`` begin, and their lengths."""
    begin = np.flatnonzero(np.concatenate([[True], np.diff(numbers) != 1]))
    return begin, np.diff(np.concatenate([begin, [len(numbers)]]))


def _runs(rows: _Rows, threads: int) -> Runs:
    row = rows.row(rows.run)
    done = np.concatenate([[0], np.cumsum(rows.length)])
    wanted = np.searchsorted(done, done[-1] * np.arange(1, threads) / threads).clip(max=len(row) - 1)
    parts = np.concatenate([[0], np.searchsorted(row, row[wanted]), [len(rows.run)]])
    source = np.stack([rows.place(direction, rows.run - rows.move[direction]) for direction in range(DIRECTIONS)], axis=1)
    return Runs(
        source=source.astype(np.uint32),
        target=rows.place(0, rows.run).astype(np.uint32),
        stride=rows.stride[row].astype(np.uint32),
        length=rows.length,
        parts=parts,
    )
