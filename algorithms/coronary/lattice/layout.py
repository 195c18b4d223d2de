"""How the compiled lattice lies in memory: blocks of cells, in a block one direction after the other, then the slots.

A step reads a block's neighbours from a few blocks nearby and writes the block as one run; 27 rows as long as the lumen
take twice the time, for each is a stream of its own.  What walls and openings put back lies in the order of their links,
so that it is written and corrected as one run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.coronary.lattice.cells import Cells
from algorithms.coronary.lattice.gates import Gates
from algorithms.coronary.lattice.velocities import DIRECTIONS, OPPOSITE
from algorithms.coronary.lattice.walls import Walls

BLOCK = 128
"""Cells that are worked on together: 27 runs of them fit in the first cache, and each run is vector operations."""


def place(direction: np.ndarray | int, cell: np.ndarray) -> np.ndarray:
    """Return where the population of a cell in a direction lies."""
    found: np.ndarray = cell // BLOCK * (DIRECTIONS * BLOCK) + np.asarray(direction) * BLOCK + cell % BLOCK
    return found


@dataclass(frozen=True, eq=False)
class Layout:
    """Places in one array; all are unsigned, so that numba need not look whether they count from the end."""

    cells: int
    width: int
    source: np.ndarray
    """(blocks x 27 x BLOCK,) from where each population comes."""
    hit: np.ndarray
    back: np.ndarray
    behind: np.ndarray
    """(M,) the populations of a wall link, as in ``Walls``."""
    first_wall: int
    first_gate: int
    """What comes back through the links of walls and of openings lies from here on, one after the other."""
    slots: np.ndarray
    """Column of each of them in an array (27, width), flat."""

    def packed(self, f: np.ndarray) -> np.ndarray:
        """Return populations (27, width) as they lie here; slots too."""
        blocks = self.first_wall // (DIRECTIONS * BLOCK)
        whole = np.zeros((DIRECTIONS, blocks * BLOCK), np.float32)
        whole[:, : self.cells] = f[:, : self.cells]
        inside = whole.reshape(DIRECTIONS, blocks, BLOCK).transpose(1, 0, 2).reshape(-1)
        return np.concatenate([inside, f.reshape(-1)[self.slots]])

    def unpacked(self, flat: np.ndarray) -> np.ndarray:
        """Return populations (27, width) of what lies here."""
        f = np.zeros((DIRECTIONS, self.width), np.float32)
        blocks = flat[: self.first_wall].reshape(-1, DIRECTIONS, BLOCK)
        f[:, : self.cells] = blocks.transpose(1, 0, 2).reshape(DIRECTIONS, -1)[:, : self.cells]
        f.reshape(-1)[self.slots] = flat[self.first_wall :]
        return f


def layout(cells: Cells, wall: Walls, gates: Gates) -> Layout:
    """Return where everything lies."""
    n, width = len(cells), cells.width
    blocks = -(-n // BLOCK)
    first_wall = blocks * DIRECTIONS * BLOCK
    gate_slot = OPPOSITE[gates.direction] * width + gates.slot
    slots = np.concatenate([wall.slot, gate_slot]).astype(np.int64)
    at_slot = np.zeros(DIRECTIONS * width, np.int64)
    at_slot[slots] = first_wall + np.arange(len(slots))
    source = np.zeros((DIRECTIONS, blocks * BLOCK), np.uint32)
    for direction in range(DIRECTIONS):
        column = cells.source[direction].astype(np.int64)
        outside = at_slot[direction * width + column]
        source[direction, :n] = np.where(column < n, place(direction, column), outside)
    return Layout(
        cells=n,
        width=width,
        source=source.reshape(DIRECTIONS, blocks, BLOCK).transpose(1, 0, 2).reshape(-1),
        hit=_placed(wall.hit, width),
        back=_placed(wall.back, width),
        behind=_placed(wall.behind, width),
        first_wall=first_wall,
        first_gate=first_wall + len(wall.slot),
        slots=slots,
    )


def _placed(column: np.ndarray, width: int) -> np.ndarray:
    wide = column.astype(np.int64)
    return place(wide // width, wide % width).astype(np.uint32)
