"""The lattice's step, compiled for the cores of this machine: walls, then one pass that streams and collides.

Populations are kept as their difference from those at rest, f - w, in float32, after collision; ``layout`` says where.
Density is then its difference from 1, momentum is velocity (the incompressible equilibrium of He and Luo), and a steady
state has no divergence.  Collision keeps only density, momentum and the stress (Latt and Chopard), the stress's trace
is dropped: that lets pressure waves die and changes nothing in a steady state.

References
----------
He and Luo, *Lattice Boltzmann model for the incompressible Navier-Stokes equation*, J Stat Phys 88:927 (1997).
Latt and Chopard, *Lattice Boltzmann method with regularized pre-collision distribution functions*, Math Comput Simul
72:165 (2006).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from algorithms.coronary.lattice.cells import Cells
from algorithms.coronary.lattice.collide import collide
from algorithms.coronary.lattice.gates import GIVEN_HEAD, GIVEN_RESISTANCE, GIVEN_SHARE, HEAD_GAIN, Gates
from algorithms.coronary.lattice.layout import layout
from algorithms.coronary.lattice.state import Lattice, State
from algorithms.coronary.lattice.velocities import DIRECTIONS, OPPOSITE, VELOCITIES, WEIGHTS
from algorithms.coronary.lattice.walls import BEND_RATE, Walls

THIRD, NINE = np.float32(1 / 3), np.float32(9)
CX, CY, CZ = (np.ascontiguousarray(axis, dtype=np.float32) for axis in VELOCITIES.T)
RATE = np.float32(BEND_RATE)
WEIGHTS_32 = WEIGHTS.astype(np.float32)


class Compiled(Lattice):
    """A lattice at work: populations that change, and the tables by which they do."""

    def __init__(self, cells: Cells, wall: Walls, gates: Gates, tau: float, *, start: State) -> None:
        self.cells, self.wall, self.gates = cells, wall, gates
        self.keep = np.float32(1 - 1 / tau)
        self.threads = numba.get_num_threads()
        self.at = layout(cells, wall, gates, self.threads)
        self.f, self.bend, self.openings = self.at.packed(start.f), start.bend.copy(), start.openings.copy()
        self.spare = np.zeros_like(self.f)
        self.near = np.unique(np.concatenate([wall.cell, wall.before])).astype(np.uint32)
        self.stress = np.zeros((len(cells), 6), np.float32)
        self.comes = np.zeros(len(wall.hit), np.float32)
        self.before_gate = self.at.first[gates.cell], self.at.stride[gates.cell]
        self.step = start.step

    @property
    def state(self) -> State:
        """A view of what changes; of the populations a copy."""
        return State(self.at.unpacked(self.f), self.bend, self.openings, self.step)

    @property
    def bytes_a_step(self) -> int:
        """What a step must read and write at least: populations, the tables of runs, and those of the wall's links."""
        runs, wall = self.at.runs, self.wall
        tables = runs.source.nbytes + runs.target.nbytes + runs.stride.nbytes + runs.length.nbytes
        places = self.at.hit.nbytes + self.at.back.nbytes + self.at.behind.nbytes + self.at.wall.nbytes
        factors = wall.of_hit.nbytes + wall.of_back.nbytes + wall.of_behind.nbytes + wall.share.nbytes + self.bend.nbytes
        return 2 * DIRECTIONS * 4 * len(self.cells) + tables + places + factors + 2 * self.comes.nbytes

    def curve(self) -> None:
        """Let the wall's correction follow the curvature of the velocity."""
        w = self.wall
        _stresses(self.f, self.near, self.at.first, self.at.stride, self.stress)
        _curve(self.stress, w.direction, w.cell, w.before, w.of_bend, self.bend)

    def reflect(self) -> None:
        """Fill the slots of the wall."""
        w, at = self.wall, self.at
        _reflect(
            self.f, at.hit, at.back, at.behind, at.wall, w.of_hit, w.of_back, w.of_behind, w.share, w.start, self.bend,
            self.comes,
        )  # fmt: skip

    def open_gates(self) -> None:
        """Fill the slots of the openings, and bring their state one step on."""
        g, o = self.gates, self.openings
        _open_gates(
            self.f, self.at.gate, *self.before_gate, g.direction, g.unit, g.speed, g.normal, g.start, g.kind,
            g.admittance, g.memory, g.law, o.density, o.flow, o.mean_density, o.mean_flow,
        )  # fmt: skip

    def collide(self) -> None:
        """Stream and collide every cell."""
        r = self.at.runs
        collide(self.f, self.spare, r.source, r.target, r.stride, r.length, r.parts, self.keep)
        self.f, self.spare = self.spare, self.f


@numba.njit(fastmath=True, cache=True)
def _open_gates(  # noqa: PLR0917 - numba takes no keyword-only arguments
    f: np.ndarray, slot: np.ndarray, place: np.ndarray, stride: np.ndarray, direction: np.ndarray, unit: np.ndarray,
    speed: np.ndarray, normal: np.ndarray, start: np.ndarray, kind: np.ndarray, admittance: np.ndarray, memory: float,
    law: np.ndarray, density: np.ndarray, flow: np.ndarray, mean_density: np.ndarray, mean_flow: np.ndarray,
) -> None:  # fmt: skip
    for gate in range(len(kind)):
        first, last = start[gate], start[gate + 1]
        out, seen = 0.0, 0.0
        nx, ny, nz = normal[gate]
        head = kind[gate] == GIVEN_HEAD
        into = -mean_flow[gate] if head else law[gate, 0]
        rho, jx, jy, jz = f[0], f[0], f[0], f[0]
        for k in range(first, last):
            i, x, to_next = direction[k], np.int64(place[k]), np.int64(stride[k])
            if k == first or place[k] != place[k - 1]:  # the links of one cell follow one another
                rho, jx, jy, jz = f[x], np.float32(0), np.float32(0), np.float32(0)
                for m in range(1, DIRECTIONS):
                    g = f[x + m * to_next]
                    rho += g
                    jx += CX[m] * g
                    jy += CY[m] * g
                    jz += CZ[m] * g
            seen += rho
            comes = f[x + OPPOSITE[i] * to_next]
            if kind[gate] <= GIVEN_HEAD:
                u = speed[k] * into
                across, along = CX[i] * nx + CY[i] * ny + CZ[i] * nz, CX[i] * jx + CY[i] * jy + CZ[i] * jz
                change = 3 * (across * u + along) + _square(i, u * nx, u * ny, u * nz) - _square(i, jx, jy, jz)
                comes += np.float32(WEIGHTS_32[i] * change)
            elif jx * nx + jy * ny + jz * nz >= 0:
                comes += np.float32(WEIGHTS_32[i] * (density[gate] - rho))
            else:
                comes = np.float32(WEIGHTS_32[i] * density[gate])
            out += f[x + i * to_next] - comes
            f[slot[k]] = comes
        if kind[gate] <= GIVEN_HEAD:
            seen /= last - first
            excess = seen - (law[gate, 0] if head else mean_density[gate])
            wanted = -into + admittance[gate] * excess
            if head:
                mean_flow[gate] += HEAD_GAIN * memory * admittance[gate] * excess
            mean_density[gate] += (seen - mean_density[gate]) * memory
            density[gate] = seen
            for k in range(first, last):
                f[slot[k]] += np.float32(unit[k] * (out - wanted))
            out = wanted
        flow[gate] = out
    _laws(kind, admittance, memory, law, density, flow, mean_density, mean_flow)


@numba.njit(fastmath=True, cache=True)
def _laws(  # noqa: PLR0917
    kind: np.ndarray, admittance: np.ndarray, memory: float, law: np.ndarray,
    density: np.ndarray, flow: np.ndarray, mean_density: np.ndarray, mean_flow: np.ndarray,
) -> None:  # fmt: skip
    total = 0.0
    for gate in range(len(kind)):
        if kind[gate] != GIVEN_HEAD:
            mean_flow[gate] += (flow[gate] - mean_flow[gate]) * memory
        total += max(mean_flow[gate], 0.0)
    for gate in range(len(kind)):
        wave = (flow[gate] - mean_flow[gate]) / admittance[gate]
        if kind[gate] == GIVEN_RESISTANCE:
            mean_density[gate] = law[gate, 0] + law[gate, 1] * mean_flow[gate]
        elif kind[gate] == GIVEN_SHARE:
            mean_density[gate] += memory * (mean_flow[gate] - law[gate, 0] - law[gate, 1] * total) / admittance[gate]
        if kind[gate] > GIVEN_HEAD:
            density[gate] = mean_density[gate] + wave


@numba.njit(fastmath=True, cache=True, inline="always")
def _square(i: int, jx: Any, jy: Any, jz: Any) -> float:
    """Return the part of an equilibrium that goes with the square of the velocity, over its weight."""
    along = CX[i] * jx + CY[i] * jy + CZ[i] * jz
    return float(4.5 * along * along - 1.5 * (jx * jx + jy * jy + jz * jz))


@numba.njit(parallel=True, fastmath=True, cache=True)
def _stresses(f: np.ndarray, near: np.ndarray, place: np.ndarray, stride: np.ndarray, stress: np.ndarray) -> None:
    """Fill the rows ``near`` of ``stress`` (N, 6: xx yy zz xy xz yz): what the populations mean beyond their equilibrium."""
    for k in numba.prange(len(near)):
        x = near[k]
        first, to_next = np.int64(place[x]), np.int64(stride[x])
        rho, jx, jy, jz = f[first], np.float32(0), np.float32(0), np.float32(0)
        xx, yy, zz, xy, xz, yz = jx, jx, jx, jx, jx, jx
        for m in range(1, DIRECTIONS):
            g = f[first + m * to_next]
            rho += g
            jx += CX[m] * g
            jy += CY[m] * g
            jz += CZ[m] * g
            xx += CX[m] * CX[m] * g
            yy += CY[m] * CY[m] * g
            zz += CZ[m] * CZ[m] * g
            xy += CX[m] * CY[m] * g
            xz += CX[m] * CZ[m] * g
            yz += CY[m] * CZ[m] * g
        rest = THIRD * rho
        stress[x, 0], stress[x, 1], stress[x, 2] = xx - rest - jx * jx, yy - rest - jy * jy, zz - rest - jz * jz
        stress[x, 3], stress[x, 4], stress[x, 5] = xy - jx * jy, xz - jx * jz, yz - jy * jz


@numba.njit(parallel=True, fastmath=True, cache=True)
def _curve(  # noqa: PLR0917
    stress: np.ndarray, direction: np.ndarray, cell: np.ndarray, before: np.ndarray, of_bend: np.ndarray, bend: np.ndarray
) -> None:
    for k in numba.prange(len(cell)):
        if of_bend[k] != 0:
            i, x, y = direction[k], cell[k], before[k]
            # Populations after collision hold nothing but density, velocity and stress: a pair's stress is its projection.
            change = CX[i] * CX[i] * (stress[x, 0] - stress[y, 0])
            change += CY[i] * CY[i] * (stress[x, 1] - stress[y, 1])
            change += CZ[i] * CZ[i] * (stress[x, 2] - stress[y, 2])
            change += np.float32(2) * CX[i] * CY[i] * (stress[x, 3] - stress[y, 3])
            change += np.float32(2) * CX[i] * CZ[i] * (stress[x, 4] - stress[y, 4])
            change += np.float32(2) * CY[i] * CZ[i] * (stress[x, 5] - stress[y, 5])
            bend[k] += RATE * (NINE * WEIGHTS_32[i] * change * of_bend[k] - bend[k])


@numba.njit(parallel=True, fastmath=True, cache=True)
def _reflect(  # noqa: PLR0917
    f: np.ndarray, hit: np.ndarray, back: np.ndarray, behind: np.ndarray, slot: np.ndarray, of_hit: np.ndarray,
    of_back: np.ndarray, of_behind: np.ndarray, share: np.ndarray, start: np.ndarray, bend: np.ndarray, comes: np.ndarray,
) -> None:  # fmt: skip
    for section in numba.prange(len(start) - 1):
        leak = 0.0
        for k in range(start[section], start[section + 1]):
            gone = f[hit[k]]
            comes[k] = of_hit[k] * gone + of_back[k] * f[back[k]] + of_behind[k] * f[behind[k]] + bend[k]
            leak += gone - comes[k]
        given = np.float32(leak)
        for k in range(start[section], start[section + 1]):
            f[slot[k]] = comes[k] + share[k] * given
