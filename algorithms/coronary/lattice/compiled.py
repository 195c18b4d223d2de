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
from algorithms.coronary.lattice.gates import GIVEN_HEAD, GIVEN_RESISTANCE, GIVEN_SHARE, HEAD_GAIN, Gates
from algorithms.coronary.lattice.layout import BLOCK, layout
from algorithms.coronary.lattice.state import Lattice, State
from algorithms.coronary.lattice.velocities import DIRECTIONS, OPPOSITE, VELOCITIES, WEIGHTS
from algorithms.coronary.lattice.walls import BEND_RATE, Walls

W0, W1, W2, W3 = (np.float32(WEIGHTS[i]) for i in (0, 1, 7, 19))
THIRD, THREE, NINE, HALVES_3, HALVES_9 = (np.float32(x) for x in (1 / 3, 3, 9, 1.5, 4.5))
CX, CY, CZ = (np.ascontiguousarray(axis, dtype=np.float32) for axis in VELOCITIES.T)
RATE = np.float32(BEND_RATE)
WEIGHTS_32 = WEIGHTS.astype(np.float32)


class Compiled(Lattice):
    """A lattice at work: populations that change, and the tables by which they do."""

    def __init__(self, cells: Cells, wall: Walls, gates: Gates, tau: float, *, start: State) -> None:
        self.cells, self.wall, self.gates = cells, wall, gates
        self.keep = np.float32(1 - 1 / tau)
        self.threads = numba.get_num_threads()
        self.at = layout(cells, wall, gates)
        self.f, self.bend, self.openings = self.at.packed(start.f), start.bend.copy(), start.openings.copy()
        self.spare = np.zeros_like(self.f)
        self.near = np.unique(np.concatenate([wall.cell, wall.before])).astype(np.uint32)
        self.stress = np.zeros((6, len(cells)), np.float32)
        self.step = start.step

    @property
    def state(self) -> State:
        """A view of what changes; of the populations a copy."""
        return State(self.at.unpacked(self.f), self.bend, self.openings, self.step)

    def curve(self) -> None:
        """Let the wall's correction follow the curvature of the velocity."""
        w = self.wall
        _stresses(self.f, self.near, self.stress)
        _curve(self.stress, w.direction, w.cell, w.before, w.of_bend, self.bend)

    def reflect(self) -> None:
        """Fill the slots of the wall."""
        w, at = self.wall, self.at
        came = self.f[at.first_wall : at.first_gate]
        _reflect(self.f, at.hit, at.back, at.behind, w.of_hit, w.of_back, w.of_behind, w.share, w.start, self.bend, came)

    def open_gates(self) -> None:
        """Fill the slots of the openings, and bring their state one step on."""
        g, o = self.gates, self.openings
        _open_gates(
            self.f, self.f[self.at.first_gate :], g.cell, g.direction, g.unit, g.speed, g.normal, g.start, g.kind,
            g.admittance, g.memory, g.law, o.density, o.flow, o.mean_density, o.mean_flow,
        )  # fmt: skip

    def collide(self) -> None:
        """Stream and collide every cell."""
        _collide(self.f, self.at.source, self.spare, self.keep, self.threads)
        self.f, self.spare = self.spare, self.f


@numba.njit(fastmath=True, cache=True, inline="always")
def _first(cell: int) -> int:
    """Return the place of a cell's population at rest; ``layout.place``."""
    return cell // BLOCK * (DIRECTIONS * BLOCK) + cell % BLOCK


@numba.njit(fastmath=True, cache=True)
def _open_gates(  # noqa: PLR0917 - numba takes no keyword-only arguments
    f: np.ndarray, came: np.ndarray, cell: np.ndarray, direction: np.ndarray, unit: np.ndarray, speed: np.ndarray,
    normal: np.ndarray, start: np.ndarray, kind: np.ndarray, admittance: np.ndarray, memory: float, law: np.ndarray,
    density: np.ndarray, flow: np.ndarray, mean_density: np.ndarray, mean_flow: np.ndarray,
) -> None:  # fmt: skip
    for gate in range(len(kind)):
        first, last = start[gate], start[gate + 1]
        out, seen = 0.0, 0.0
        nx, ny, nz = normal[gate]
        head = kind[gate] == GIVEN_HEAD
        into = -mean_flow[gate] if head else law[gate, 0]
        for k in range(first, last):
            i, x = direction[k], _first(cell[k])
            rho, jx, jy, jz = f[x], np.float32(0), np.float32(0), np.float32(0)
            for m in range(1, DIRECTIONS):
                g = f[x + m * BLOCK]
                rho += g
                jx += CX[m] * g
                jy += CY[m] * g
                jz += CZ[m] * g
            seen += rho
            comes = f[x + OPPOSITE[i] * BLOCK]
            if kind[gate] <= GIVEN_HEAD:
                u = speed[k] * into
                across, along = CX[i] * nx + CY[i] * ny + CZ[i] * nz, CX[i] * jx + CY[i] * jy + CZ[i] * jz
                change = 3 * (across * u + along) + _square(i, u * nx, u * ny, u * nz) - _square(i, jx, jy, jz)
                comes += np.float32(WEIGHTS_32[i] * change)
            elif jx * nx + jy * ny + jz * nz >= 0:
                comes += np.float32(WEIGHTS_32[i] * (density[gate] - rho))
            else:
                comes = np.float32(WEIGHTS_32[i] * density[gate])
            out += f[x + i * BLOCK] - comes
            came[k] = comes
        if kind[gate] <= GIVEN_HEAD:
            seen /= last - first
            excess = seen - (law[gate, 0] if head else mean_density[gate])
            wanted = -into + admittance[gate] * excess
            if head:
                mean_flow[gate] += HEAD_GAIN * memory * admittance[gate] * excess
            mean_density[gate] += (seen - mean_density[gate]) * memory
            density[gate] = seen
            for k in range(first, last):
                came[k] += np.float32(unit[k] * (out - wanted))
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
def _stresses(f: np.ndarray, near: np.ndarray, stress: np.ndarray) -> None:
    """Fill the columns ``near`` of ``stress`` (6: xx yy zz xy xz yz, N): what the populations mean beyond their equilibrium."""
    for k in numba.prange(len(near)):
        x = near[k]
        first = _first(x)
        rho, jx, jy, jz = f[first], np.float32(0), np.float32(0), np.float32(0)
        xx, yy, zz, xy, xz, yz = jx, jx, jx, jx, jx, jx
        for m in range(1, DIRECTIONS):
            g = f[first + m * BLOCK]
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
        stress[0, x], stress[1, x], stress[2, x] = xx - rest - jx * jx, yy - rest - jy * jy, zz - rest - jz * jz
        stress[3, x], stress[4, x], stress[5, x] = xy - jx * jy, xz - jx * jz, yz - jy * jz


@numba.njit(parallel=True, fastmath=True, cache=True)
def _curve(  # noqa: PLR0917
    stress: np.ndarray, direction: np.ndarray, cell: np.ndarray, before: np.ndarray, of_bend: np.ndarray, bend: np.ndarray
) -> None:
    for k in numba.prange(len(cell)):
        if of_bend[k] != 0:
            i, x, y = direction[k], cell[k], before[k]
            # Populations after collision hold nothing but density, velocity and stress: a pair's stress is its projection.
            change = CX[i] * CX[i] * (stress[0, x] - stress[0, y])
            change += CY[i] * CY[i] * (stress[1, x] - stress[1, y])
            change += CZ[i] * CZ[i] * (stress[2, x] - stress[2, y])
            change += np.float32(2) * CX[i] * CY[i] * (stress[3, x] - stress[3, y])
            change += np.float32(2) * CX[i] * CZ[i] * (stress[4, x] - stress[4, y])
            change += np.float32(2) * CY[i] * CZ[i] * (stress[5, x] - stress[5, y])
            bend[k] += RATE * (NINE * WEIGHTS_32[i] * change * of_bend[k] - bend[k])


@numba.njit(parallel=True, fastmath=True, cache=True)
def _reflect(  # noqa: PLR0917
    f: np.ndarray, hit: np.ndarray, back: np.ndarray, behind: np.ndarray, of_hit: np.ndarray, of_back: np.ndarray,
    of_behind: np.ndarray, share: np.ndarray, start: np.ndarray, bend: np.ndarray, came: np.ndarray,
) -> None:  # fmt: skip
    for section in numba.prange(len(start) - 1):
        leak = 0.0
        for k in range(start[section], start[section + 1]):
            gone = f[hit[k]]
            comes = of_hit[k] * gone + of_back[k] * f[back[k]] + of_behind[k] * f[behind[k]] + bend[k]
            leak += gone - comes
            came[k] = comes
        given = np.float32(leak)
        for k in range(start[section], start[section + 1]):
            came[k] += share[k] * given


@numba.njit(parallel=True, fastmath=True, cache=True)
def _collide(f: np.ndarray, source: np.ndarray, out: np.ndarray, keep: np.float32, threads: int) -> None:
    blocks = len(source) // (DIRECTIONS * BLOCK)
    for thread in numba.prange(threads):
        g = np.empty((DIRECTIONS, BLOCK), np.float32)
        for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
            first = block * DIRECTIONS * BLOCK
            for i in range(DIRECTIONS):
                for k in range(BLOCK):
                    g[i, k] = f[source[first + i * BLOCK + k]]
            _collide_block(g, BLOCK, keep)
            for i in range(DIRECTIONS):
                for k in range(BLOCK):
                    out[first + i * BLOCK + k] = g[i, k]


@numba.njit(fastmath=True, cache=True, inline="always")
def _collide_block(g: np.ndarray, size: int, keep: np.float32) -> None:
    for k in range(size):
        s1, s3, s5 = g[1, k] + g[2, k], g[3, k] + g[4, k], g[5, k] + g[6, k]
        pxy, mxy, pxz, mxz, pyz, myz = (
            g[7, k] + g[8, k],
            g[9, k] + g[10, k],
            g[11, k] + g[12, k],
            g[13, k] + g[14, k],
            g[15, k] + g[16, k],
            g[17, k] + g[18, k],
        )
        b1, b2, b3, b4 = g[19, k] + g[20, k], g[21, k] + g[22, k], g[23, k] + g[24, k], g[25, k] + g[26, k]
        dxy, exy, dxz, exz, dyz, eyz = (
            g[7, k] - g[8, k],
            g[9, k] - g[10, k],
            g[11, k] - g[12, k],
            g[13, k] - g[14, k],
            g[15, k] - g[16, k],
            g[17, k] - g[18, k],
        )
        d1, d2, d3, d4 = g[19, k] - g[20, k], g[21, k] - g[22, k], g[23, k] - g[24, k], g[25, k] - g[26, k]
        sxy, sxz, syz = pxy + mxy, pxz + mxz, pyz + myz
        body = b1 + b2 + b3 + b4
        rho = g[0, k] + s1 + s3 + s5 + sxy + sxz + syz + body
        jx = g[1, k] - g[2, k] + dxy + exy + dxz + exz + d1 + d2 + d3 - d4
        jy = g[3, k] - g[4, k] + dxy - exy + dyz + eyz + d1 + d2 - d3 + d4
        jz = g[5, k] - g[6, k] + dxz - exz + dyz - eyz + d1 - d2 + d3 + d4
        xx, yy, zz = s1 + sxy + sxz + body - jx * jx, s3 + sxy + syz + body - jy * jy, s5 + sxz + syz + body - jz * jz
        trace = (xx + yy + zz) * THIRD
        xx, yy, zz = keep * (xx - trace) + jx * jx, keep * (yy - trace) + jy * jy, keep * (zz - trace) + jz * jz
        xy = keep * (pxy - mxy + b1 + b2 - b3 - b4 - jx * jy) + jx * jy
        xz = keep * (pxz - mxz + b1 - b2 + b3 - b4 - jx * jz) + jx * jz
        yz = keep * (pyz - myz + b1 - b2 - b3 + b4 - jy * jz) + jy * jz
        total = xx + yy + zz
        base = rho - HALVES_3 * total
        g[0, k] = W0 * base
        ax, ay, az = W1 * (base + HALVES_9 * xx), W1 * (base + HALVES_9 * yy), W1 * (base + HALVES_9 * zz)
        ux, uy, uz = W1 * THREE * jx, W1 * THREE * jy, W1 * THREE * jz
        g[1, k], g[2, k], g[3, k], g[4, k], g[5, k], g[6, k] = ax + ux, ax - ux, ay + uy, ay - uy, az + uz, az - uz
        ux, uy, uz = W2 * THREE * jx, W2 * THREE * jy, W2 * THREE * jz
        bxy, bxz, byz = (
            W2 * (base + HALVES_9 * (xx + yy)),
            W2 * (base + HALVES_9 * (xx + zz)),
            W2 * (base + HALVES_9 * (yy + zz)),
        )
        cxy, cxz, cyz = W2 * NINE * xy, W2 * NINE * xz, W2 * NINE * yz
        g[7, k], g[8, k] = bxy + cxy + (ux + uy), bxy + cxy - (ux + uy)
        g[9, k], g[10, k] = bxy - cxy + (ux - uy), bxy - cxy - (ux - uy)
        g[11, k], g[12, k] = bxz + cxz + (ux + uz), bxz + cxz - (ux + uz)
        g[13, k], g[14, k] = bxz - cxz + (ux - uz), bxz - cxz - (ux - uz)
        g[15, k], g[16, k] = byz + cyz + (uy + uz), byz + cyz - (uy + uz)
        g[17, k], g[18, k] = byz - cyz + (uy - uz), byz - cyz - (uy - uz)
        ux, uy, uz = W3 * THREE * jx, W3 * THREE * jy, W3 * THREE * jz
        body = W3 * (rho + THREE * total)
        cxy, cxz, cyz = W3 * NINE * xy, W3 * NINE * xz, W3 * NINE * yz
        b1, b2, b3, b4 = body + cxy + cxz + cyz, body + cxy - cxz - cyz, body - cxy + cxz - cyz, body - cxy - cxz + cyz
        g[19, k], g[20, k] = b1 + (ux + uy + uz), b1 - (ux + uy + uz)
        g[21, k], g[22, k] = b2 + (ux + uy - uz), b2 - (ux + uy - uz)
        g[23, k], g[24, k] = b3 + (ux - uy + uz), b3 - (ux - uy + uz)
        g[25, k], g[26, k] = b4 + (uy + uz - ux), b4 - (uy + uz - ux)
