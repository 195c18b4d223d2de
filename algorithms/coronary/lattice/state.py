"""What changes from step to step: populations, the wall's correction, the openings; and what a cell's populations mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from algorithms.coronary.lattice.cells import Cells
from algorithms.coronary.lattice.gates import GateState
from algorithms.coronary.lattice.velocities import DIRECTIONS, VELOCITIES, WEIGHTS
from algorithms.coronary.lattice.walls import BEND_EVERY


@dataclass(frozen=True, eq=False)
class State:
    """All that a step reads and writes."""

    f: np.ndarray
    """(27, width) float32: populations less those at rest, after collision."""
    bend: np.ndarray
    """(M,) float32: the wall links' correction for a curved profile."""
    openings: GateState
    step: int = 0


class Lattice(ABC):
    """A lattice at work, compiled or in torch: both take the parts of a step in the same order."""

    step: int

    @property
    @abstractmethod
    def state(self) -> State:
        """What changes, as it is now."""

    def advance(self, steps: int) -> None:
        """Take some steps."""
        for _ in range(steps):
            if self.step % BEND_EVERY == 0:
                self.curve()
            self.step += 1
            self.fill()
            self.collide()

    def fill(self) -> None:
        """Fill all slots that walls and openings fill."""
        self.reflect()
        self.open_gates()

    @abstractmethod
    def curve(self) -> None:
        """Let the wall's correction follow the curvature of the velocity."""

    @abstractmethod
    def reflect(self) -> None:
        """Fill the slots of the wall."""

    @abstractmethod
    def open_gates(self) -> None:
        """Fill the slots of the openings, and bring their state one step on."""

    @abstractmethod
    def collide(self) -> None:
        """Stream and collide every cell."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Density as its difference from 1 (N,), velocity (3, N) and stress out of equilibrium (6: xx yy zz xy xz yz, N)."""

    density: np.ndarray
    velocity: np.ndarray
    stress: np.ndarray


PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def moments(cells: Cells, f: np.ndarray) -> Moments:
    """Return what the populations that arrive at the cells mean; the slots of ``f`` are filled."""
    n = len(cells)
    density, velocity, stress = np.zeros(n), np.zeros((3, n)), np.zeros((6, n))
    for direction, c in enumerate(VELOCITIES):
        arriving = f[direction, cells.source[direction]].astype(float)
        density += arriving
        velocity += c[:, None] * arriving
        for row, (a, b) in enumerate(PAIRS):
            if c[a] * c[b]:
                stress[row] += c[a] * c[b] * arriving
    for row, (a, b) in enumerate(PAIRS):
        stress[row] -= velocity[a] * velocity[b] + (density / 3 if a == b else 0)
    return Moments(density, velocity, stress)


def populations(cells: Cells, density: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Return (27, width) populations of a fluid that is nowhere sheared: density (N,), velocity (3, N)."""
    f = np.zeros((DIRECTIONS, cells.width), np.float32)
    for direction, c in enumerate(VELOCITIES):
        f[direction, : len(cells)] = WEIGHTS[direction] * (density + 3 * (c @ velocity) + square(direction, velocity))
    return f


def square(direction: int, velocity: np.ndarray) -> np.ndarray:
    """Return (N,) the part of an equilibrium that goes with the square of ``velocity`` (3, N), over its weight."""
    along = VELOCITIES[direction] @ velocity
    result: np.ndarray = 4.5 * along**2 - 1.5 * (velocity**2).sum(axis=0)
    return result
