"""The lattice's step, compiled for the cores of this machine: walls, then one pass that streams and collides.

Populations are kept as their difference from those at rest, f - w, in float32, after collision: (19, width).
Density is then its difference from 1, momentum is velocity (the incompressible equilibrium of He and Luo), and a steady
state has no divergence.  Collision keeps only density, momentum and the stress (Latt and Chopard), the stress's trace
is dropped: that lets pressure waves die and changes nothing in a steady state.

References
----------
He and Luo, *Lattice Boltzmann model for the incompressible Navier-Stokes equation*, J Stat Phys 88:927 (1997), eq. 16.
Latt and Chopard, *Lattice Boltzmann method with regularized pre-collision distribution functions*, Math Comput Simul
72:165 (2006), eqs. 12-14.
"""

from __future__ import annotations

import numba
import numpy as np

from algorithms.coronary.lattice.cells import Cells
from algorithms.coronary.lattice.gates import GIVEN_FLOW, GIVEN_RESISTANCE, GIVEN_SHARE, Gates
from algorithms.coronary.lattice.state import State
from algorithms.coronary.lattice.velocities import OPPOSITE, VELOCITIES, WEIGHTS
from algorithms.coronary.lattice.walls import BEND_RATE, Walls

BLOCK = 256
"""Cells that are worked on together: 19 rows of them fit in the first cache, and each row is one run of vector operations."""

W0, W1, W2 = np.float32(1 / 3), np.float32(1 / 18), np.float32(1 / 36)
THIRD, TWELFTH, HALF, THREE = np.float32(1 / 3), np.float32(1 / 12), np.float32(0.5), np.float32(3.0)

CX, CY, CZ = (np.ascontiguousarray(axis, dtype=np.float32) for axis in VELOCITIES.T)
RATE = np.float32(BEND_RATE)
WEIGHTS_32 = WEIGHTS.astype(np.float32)


class Compiled:
    """A lattice at work: populations that change, and the tables by which they do."""

    def __init__(self, cells: Cells, wall: Walls, gates: Gates, tau: float, start: State) -> None:
        self.cells, self.wall, self.gates = cells, wall, gates
        self.keep = np.float32(1 - 1 / tau)
        self.threads = numba.get_num_threads()
        self.f, self.bend, self.openings = start.f.copy(), start.bend.copy(), start.openings.copy()
        self.spare = np.zeros_like(self.f)

    @property
    def state(self) -> State:
        """A view of what changes."""
        return State(self.f, self.bend, self.openings)

    def advance(self, steps: int) -> None:
        """Take some steps."""
        for _ in range(steps):
            self.reflect()
            self.open_gates()
            self.collide()

    def reflect(self) -> None:
        """Fill the slots of the wall."""
        w = self.wall
        _reflect(
            self.f.reshape(-1), w.hit, w.back, w.behind, w.far, w.slot,
            w.of_hit, w.of_back, w.of_behind, w.of_bend, w.share, w.start, self.bend,
        )  # fmt: skip

    def open_gates(self) -> None:
        """Fill the slots of the openings, and bring their state one step on."""
        g, o = self.gates, self.openings
        _open_gates(
            self.f, g.cell, g.direction, g.slot, g.unit, g.speed, g.normal, g.start, g.kind,
            g.admittance, g.memory, g.law, o.density, o.flow, o.mean_density, o.mean_flow,
        )  # fmt: skip

    def collide(self) -> None:
        """Stream and collide every cell."""
        _collide(self.f, self.cells.source, self.spare, self.keep, self.threads)
        self.f, self.spare = self.spare, self.f


@numba.njit(fastmath=True, cache=True)
def _open_gates(
    f: np.ndarray, cell: np.ndarray, direction: np.ndarray, slot: np.ndarray, unit: np.ndarray, speed: np.ndarray,
    normal: np.ndarray, start: np.ndarray, kind: np.ndarray, admittance: np.ndarray, memory: float, law: np.ndarray,
    density: np.ndarray, flow: np.ndarray, mean_density: np.ndarray, mean_flow: np.ndarray,
) -> None:  # fmt: skip
    for gate in range(len(kind)):
        first, last = start[gate], start[gate + 1]
        out, seen = 0.0, 0.0
        nx, ny, nz = normal[gate]
        for k in range(first, last):
            i, x = direction[k], cell[k]
            rho, jx, jy, jz = f[0, x], np.float32(0), np.float32(0), np.float32(0)
            for m in range(1, 19):
                rho += f[m, x]
                jx += CX[m] * f[m, x]
                jy += CY[m] * f[m, x]
                jz += CZ[m] * f[m, x]
            seen += rho
            comes = f[OPPOSITE[i], x]
            if kind[gate] == GIVEN_FLOW:
                u = speed[k] * law[gate, 0]
                across, along = CX[i] * nx + CY[i] * ny + CZ[i] * nz, CX[i] * jx + CY[i] * jy + CZ[i] * jz
                change = 3 * (across * u + along) + _square(i, u * nx, u * ny, u * nz) - _square(i, jx, jy, jz)
                comes += np.float32(WEIGHTS_32[i] * change)
            else:
                comes += np.float32(WEIGHTS_32[i] * (density[gate] - rho))
            out += f[i, x] - comes
            f[OPPOSITE[i], slot[k]] = comes
        if kind[gate] == GIVEN_FLOW:
            seen /= last - first
            wanted = -law[gate, 0] + admittance[gate] * (seen - mean_density[gate])
            mean_density[gate] += (seen - mean_density[gate]) * memory
            density[gate] = seen
            for k in range(first, last):
                f[OPPOSITE[direction[k]], slot[k]] += np.float32(unit[k] * (out - wanted))
            out = wanted
        flow[gate] = out
    total = 0.0
    for gate in range(len(kind)):
        mean_flow[gate] += (flow[gate] - mean_flow[gate]) * memory
        total += max(mean_flow[gate], 0.0)
    for gate in range(len(kind)):
        wave = (flow[gate] - mean_flow[gate]) / admittance[gate]
        if kind[gate] == GIVEN_RESISTANCE:
            mean_density[gate] = law[gate, 0] + law[gate, 1] * mean_flow[gate]
        elif kind[gate] == GIVEN_SHARE:
            mean_density[gate] += memory * (mean_flow[gate] - law[gate, 0] - law[gate, 1] * total) / admittance[gate]
        if kind[gate] != GIVEN_FLOW:
            density[gate] = mean_density[gate] + wave


@numba.njit(fastmath=True, cache=True, inline="always")
def _square(i: int, jx: float, jy: float, jz: float) -> float:
    """Return the part of an equilibrium that goes with the square of the velocity, over its weight."""
    own = CX[i] * CX[i] * jx * jx + CY[i] * CY[i] * jy * jy + CZ[i] * CZ[i] * jz * jz
    if i < 7:
        return 6 * own - 3 * (jx * jx + jy * jy + jz * jz)
    along = CX[i] * jx + CY[i] * jy + CZ[i] * jz
    return 4.5 * along * along - 1.5 * own


@numba.njit(parallel=True, fastmath=True, cache=True)
def _reflect(
    f: np.ndarray, hit: np.ndarray, back: np.ndarray, behind: np.ndarray, far: np.ndarray, slot: np.ndarray,
    of_hit: np.ndarray, of_back: np.ndarray, of_behind: np.ndarray, of_bend: np.ndarray, share: np.ndarray, start: np.ndarray, bend: np.ndarray,
) -> None:  # fmt: skip
    for section in numba.prange(len(start) - 1):
        leak = 0.0
        for k in range(start[section], start[section + 1]):
            gone = f[hit[k]]
            same, before = f[back[k]], f[behind[k]]
            bend[k] += RATE * (of_bend[k] * (gone + same - before - f[far[k]]) - bend[k])
            comes = of_hit[k] * gone + of_back[k] * same + of_behind[k] * before + bend[k]
            leak += gone - comes
            f[slot[k]] = comes
        given = np.float32(leak)
        for k in range(start[section], start[section + 1]):
            f[slot[k]] += share[k] * given


@numba.njit(parallel=True, fastmath=True, cache=True)
def _collide(f: np.ndarray, source: np.ndarray, out: np.ndarray, keep: np.float32, threads: int) -> None:
    n = source.shape[1]
    blocks = (n + BLOCK - 1) // BLOCK
    for thread in numba.prange(threads):
        g = np.empty((19, BLOCK), np.float32)
        for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
            low = block * BLOCK
            size = min(BLOCK, n - low)
            for i in range(19):
                for k in range(size):
                    g[i, k] = f[i, source[i, low + k]]
            _collide_block(g, size, keep)
            for i in range(19):
                for k in range(size):
                    out[i, low + k] = g[i, k]


@numba.njit(fastmath=True, cache=True, inline="always")
def _collide_block(g: np.ndarray, size: int, keep: np.float32) -> None:
    for k in range(size):
        g0, g1, g2, g3, g4, g5, g6 = g[0, k], g[1, k], g[2, k], g[3, k], g[4, k], g[5, k], g[6, k]
        g7, g8, g9, g10, g11, g12 = g[7, k], g[8, k], g[9, k], g[10, k], g[11, k], g[12, k]
        g13, g14, g15, g16, g17, g18 = g[13, k], g[14, k], g[15, k], g[16, k], g[17, k], g[18, k]
        sx, sy, sz = g1 + g2, g3 + g4, g5 + g6
        pxy, mxy, pxz, mxz, pyz, myz = g7 + g8, g9 + g10, g11 + g12, g13 + g14, g15 + g16, g17 + g18
        dxy, exy, dxz, exz, dyz, eyz = g7 - g8, g9 - g10, g11 - g12, g13 - g14, g15 - g16, g17 - g18
        sxy, sxz, syz = pxy + mxy, pxz + mxz, pyz + myz
        rho = g0 + sx + sy + sz + sxy + sxz + syz
        jx = g1 - g2 + dxy + exy + dxz + exz
        jy = g3 - g4 + dxy - exy + dyz + eyz
        jz = g5 - g6 + dxz - exz + dyz - eyz
        # The stress without its trace, then what collision leaves of it, then the equilibrium's own.
        xx, yy, zz = sx + sxy + sxz - jx * jx, sy + sxy + syz - jy * jy, sz + sxz + syz - jz * jz
        trace = (xx + yy + zz) * THIRD
        xx, yy, zz = keep * (xx - trace) + jx * jx, keep * (yy - trace) + jy * jy, keep * (zz - trace) + jz * jz
        xy = keep * (pxy - mxy - jx * jy) + jx * jy
        xz = keep * (pxz - mxz - jx * jz) + jx * jz
        yz = keep * (pyz - myz - jy * jz) + jy * jz
        total = xx + yy + zz
        g[0, k] = W0 * (rho - total)
        base = W1 * (rho - THREE * total)
        ax, ay, az = base + THIRD * xx, base + THIRD * yy, base + THIRD * zz
        ux, uy, uz = (W1 * THREE) * jx, (W1 * THREE) * jy, (W1 * THREE) * jz
        g[1, k], g[2, k], g[3, k], g[4, k], g[5, k], g[6, k] = ax + ux, ax - ux, ay + uy, ay - uy, az + uz, az - uz
        ux, uy, uz = ux * HALF, uy * HALF, uz * HALF
        base = W2 * rho
        bxy, bxz, byz = base + TWELFTH * (xx + yy), base + TWELFTH * (xx + zz), base + TWELFTH * (yy + zz)
        cxy, cxz, cyz = (W2 * np.float32(9)) * xy, (W2 * np.float32(9)) * xz, (W2 * np.float32(9)) * yz
        g[7, k], g[8, k] = bxy + cxy + (ux + uy), bxy + cxy - (ux + uy)
        g[9, k], g[10, k] = bxy - cxy + (ux - uy), bxy - cxy - (ux - uy)
        g[11, k], g[12, k] = bxz + cxz + (ux + uz), bxz + cxz - (ux + uz)
        g[13, k], g[14, k] = bxz - cxz + (ux - uz), bxz - cxz - (ux - uz)
        g[15, k], g[16, k] = byz + cyz + (uy + uz), byz + cyz - (uy + uz)
        g[17, k], g[18, k] = byz - cyz + (uy - uz), byz - cyz - (uy - uz)
