"""What comes back from the wall: interpolated along each link, and conserving mass in every section of the vessel.

Linear interpolation (Bouzidi) puts the wall where it is, but lets a little mass through: the wall's area is large
against the vessel's cross-section, and what leaks adds up to per cents of the flow along a few diameters.  No single cell
can be asked to conserve, for fluid does pass from one stair of the grid to the next in the gap before the wall.
All cells of one section together can: what leaks there is given back through the same links, which is what a wall would
do that moves along its normal with just the velocity that stops the leak.

References
----------
Bouzidi, Firdaouss and Lallemand, *Momentum transfer of a Boltzmann-lattice fluid with boundaries*, Phys Fluids 13:3452
(2001).  Ladd, J Fluid Mech 271:285 (1994), on what a moving wall adds to a link.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.coronary.lattice.cells import Cells
from algorithms.coronary.lattice.velocities import OPPOSITE, WEIGHTS

BEND_EVERY, BEND_RATE = 16, 0.5
"""Steps between two looks at the curvature of the velocity, and the part of its change that the correction then makes.

Followed at once it blew up below tau 0.52; following slowly it holds, and the steady state is the same.
"""


@dataclass(frozen=True, eq=False)
class Walls:
    """M wall links, section by section; columns are flat indices into the populations' array (27, width).

    The population that comes back is ``of_hit f[hit] + of_back f[back] + of_behind f[behind]``, after collision, and what
    the bend of the velocity along the link adds: ``of_bend`` times the change of stress from ``before`` to ``cell``.
    """

    hit: np.ndarray
    """Where the population lies that runs into the wall."""
    back: np.ndarray
    """The opposite one in the same cell."""
    behind: np.ndarray
    """The one that follows it, in the cell before; the same as ``hit`` where there is none."""
    slot: np.ndarray
    """Where the population is put that comes back."""
    cell: np.ndarray
    before: np.ndarray
    direction: np.ndarray
    """The cell before the wall, the one before that, and the direction to the wall."""
    of_hit: np.ndarray
    of_back: np.ndarray
    of_behind: np.ndarray
    of_bend: np.ndarray
    share: np.ndarray
    """Part of a section's leak that is given back through this link."""
    start: np.ndarray
    """(S + 1,) first link of each section."""

    @property
    def section(self) -> np.ndarray:
        """(M,) number of each link's section."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


def walls(cells: Cells, tau: float) -> Walls:
    """Return the wall of ``cells`` as the kernels take it."""
    links, width, n = cells.walls, cells.width, len(cells)
    label = cells.section[links.cell]
    order = np.argsort(label, kind="stable")
    cell, direction, slot = links.cell[order].astype(np.int64), links.direction[order].astype(np.int64), links.slot[order]
    label, fraction = label[order], links.fraction[order]
    before = cells.source[direction, cell].astype(np.int64)
    before = np.where(before < n, before, cell)
    alone = before == cell
    near = (fraction < 0.5) & ~alone
    of_hit = np.where(near, 2 * fraction, 1 / (2 * np.maximum(fraction, 0.5)))
    of_behind = np.where(near, 1 - 2 * fraction, 0)
    missing = np.where(near, 1 - fraction + fraction**2 - 2 * tau * (1 - fraction), 1 - tau - (1 - fraction) / 2)
    bend = np.where(alone, 0, missing / (2 * (1 - tau)))
    weight = WEIGHTS[direction]
    start = np.flatnonzero(np.concatenate([[True], np.diff(label) > 0, [True]])) if len(label) else np.zeros(1, int)
    share = weight / np.repeat(np.add.reduceat(weight, start[:-1]), np.diff(start)) if len(label) else weight
    return Walls(
        hit=(direction * width + cell).astype(np.int32),
        back=(OPPOSITE[direction] * width + cell).astype(np.int32),
        behind=(direction * width + before).astype(np.int32),
        cell=cell.astype(np.int32),
        before=before.astype(np.int32),
        direction=direction.astype(np.int32),
        slot=(OPPOSITE[direction] * width + slot).astype(np.int32),
        of_hit=of_hit.astype(np.float32),
        of_back=(1 - of_hit - of_behind).astype(np.float32),
        of_behind=of_behind.astype(np.float32),
        of_bend=bend.astype(np.float32),
        share=share.astype(np.float32),
        start=start.astype(np.int64),
    )
