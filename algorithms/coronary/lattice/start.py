"""Where a run begins: the creeping flow through all openings, or the solution on a coarser grid.

Creeping blood in a straight vessel of radius R moves at ``d (2 R - d) / (4 mu)`` times the pressure gradient, d from the
wall.  With that as the conductivity of each cell the whole tree is one linear network: exact for Poiseuille flow, blind
to inertia, and solved in about a second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse, spatial
from scipy.sparse.linalg import cg

from algorithms.coronary.lattice.cells import Cells
from algorithms.coronary.lattice.conditions import Condition, Flow, Fluid, Pressure, Resistance, Share

SHARE_ROUNDS = 8
"""Solutions in which outlets that take a share come to agree on the total."""

TOLERANCE = 1e-8
"""Residual at which the linear network is solved."""


STIFF = 1e4
"""An opening with a given pressure is joined to it by this many times the conductance of its cells."""

MOST_ITERATIONS = 20_000

BLUNT_REYNOLDS = 50.0
"""Above it a narrowing as long as it is wide is too short for a parabola: the entrance takes 0.06 Re diameters."""

BLUNT_MARGIN = 1.3
"""The layer at the wall makes the core faster, 4.2 of 3.7 in a stenosis of 70 % at Reynolds 200; a section blurs its throat."""


@dataclass(frozen=True, eq=False)
class Start:
    """A flow to begin with: velocity (3, N) m/s, pressure (N,) Pa; flow out (G,) m3/s and pressure (G,) Pa of the openings."""

    velocity_m_s: np.ndarray
    pressure_pa: np.ndarray
    flow_m3_s: np.ndarray
    opening_pa: np.ndarray


def creeping(cells: Cells, given: tuple[Condition, ...], fluid: Fluid) -> Start:
    """Return the flow without inertia under the conditions ``given``."""
    n, openings = len(cells), len(cells.openings)
    side = cells.side_mm * 1e-3
    depth = cells.distance_mm * 1e-3
    radius = np.zeros(int(cells.section.max()) + 1)
    np.maximum.at(radius, cells.section, depth)
    conductivity = depth * (2 * radius[cells.section] - depth) / (4 * fluid.viscosity_pa_s)
    pairs = []
    for axis in (1, 3, 5):
        before = cells.source[axis]
        here = np.flatnonzero(before < n)
        pairs.append((before[here], here, np.full(len(here), axis)))
    low, high, direction = (np.concatenate(part) for part in zip(*pairs, strict=True))
    link = side * 2 * conductivity[low] * conductivity[high] / (conductivity[low] + conductivity[high])
    # Each opening is one more node, joined to its cells half a side away.
    nodes, gate_cells = [], []
    for number, gate in enumerate(cells.gates):
        own = np.unique(gate.cell)
        gate_cells.append(own)
        nodes.append(np.full(len(own), n + number))
    low = np.concatenate([low, *gate_cells])
    high = np.concatenate([high, *nodes])
    link = np.concatenate([link, *[2 * side * conductivity[own] for own in gate_cells]])
    size = n + openings
    rows, columns = np.concatenate([low, high]), np.concatenate([high, low])
    network = sparse.csr_matrix((np.concatenate([-link, -link]), (rows, columns)), (size, size))
    network = network - sparse.diags(np.asarray(network.sum(axis=1)).ravel())
    pressure = _solved(network, cells, given)
    current = link * (pressure[low] - pressure[high])
    flow = np.array([current[high == n + number].sum() for number in range(openings)])
    velocity = np.zeros((3, n))
    inner = len(direction)
    for axis, own_direction in enumerate((1, 3, 5)):
        chosen = direction == own_direction
        for end in (low, high):
            velocity[axis] += np.bincount(end[:inner][chosen], current[:inner][chosen] / (2 * side**2), minlength=n)
    return Start(velocity, pressure[:n], flow, pressure[n:])


def blunted(cells: Cells, start: Start, fluid: Fluid) -> Start:
    """Return ``start`` without the peaks that inertia takes from a narrowing: a parabola there would be far too fast.

    What converges quickly keeps its differences of kinetic energy: the centre, at twice the mean ``m`` of the way in, arrives
    in a section of mean ``u`` with sqrt(u^2 + 3 m^2).  A straight vessel keeps its parabola, and so does creeping flow.
    """
    speed = np.linalg.norm(start.velocity_m_s, axis=0)
    count = np.bincount(cells.section)
    mean = np.bincount(cells.section, speed) / count
    radius_m = np.zeros(len(count))
    np.maximum.at(radius_m, cells.section, cells.distance_mm * 1e-3)
    core = BLUNT_MARGIN * np.sqrt(mean**2 + 3 * mean[0] ** 2)
    core = np.where(2 * radius_m * mean / fluid.kinematic_m2_s > BLUNT_REYNOLDS, core, np.inf)
    return replace(start, velocity_m_s=start.velocity_m_s * np.minimum(1, core[cells.section] / np.maximum(speed, 1e-12)))


def _solved(network: sparse.csr_matrix, cells: Cells, given: tuple[Condition, ...]) -> np.ndarray:
    """Return the pressures of cells and openings; shares of a total that is not known are found by rounds."""
    n = len(cells)
    inlet = next(i for i, opening in enumerate(cells.openings) if opening.inlet)
    source_in = given[inlet]
    total = source_in.m3_s if isinstance(source_in, Flow) else 0.0
    shares = any(isinstance(condition, Share) for condition in given)
    pressure = np.zeros(network.shape[0])
    for _ in range(SHARE_ROUNDS if shares else 1):
        extra, source = _terms(given, inlet, total, float(network.diagonal()[n:].max()))
        matrix = (network + sparse.diags(np.concatenate([np.zeros(n), extra]))).tocsr()
        scale = 1 / np.sqrt(matrix.diagonal())
        scaled = sparse.diags(scale) @ matrix @ sparse.diags(scale)
        wanted = scale * np.concatenate([np.zeros(n), source])
        answer, failed = cg(scaled, wanted, x0=pressure / scale, rtol=TOLERANCE, maxiter=MOST_ITERATIONS)
        if failed:
            raise ArithmeticError(f"the creeping flow did not converge in {MOST_ITERATIONS} iterations")
        pressure = scale * answer
        total = float((-(network @ pressure)[n:]).clip(0).sum())
    return pressure


def _terms(given: tuple[Condition, ...], inlet: int, total: float, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what each opening adds to the diagonal and to the right-hand side, (G,) each."""
    extra, source = np.zeros(len(given)), np.zeros(len(given))
    for number, condition in enumerate(given):
        if isinstance(condition, Pressure):
            extra[number] = STIFF * largest
            source[number] = extra[number] * condition.pa
        elif isinstance(condition, Resistance):
            extra[number] = 1 / max(condition.pa_s_m3, 1 / (STIFF * largest))
            source[number] = extra[number] * condition.behind_pa
        elif isinstance(condition, Flow):
            source[number] = condition.m3_s if number == inlet else -condition.m3_s
        else:
            source[number] = -condition.fraction * total
    return extra, source


def prolonged(coarse: Cells, start: Start, cells: Cells) -> Start:
    """Return ``start``, known on the cells ``coarse``, at ``cells``: linear between the coarse cells that there are."""
    place = (cells.points_mm - coarse.corner_mm) / coarse.side_mm
    base = np.floor(place).astype(np.int64)
    span = np.maximum(coarse.index.max(axis=0), base.max(axis=0)) + 3
    strides = np.array([span[1] * span[2], span[2], 1])
    keys = (coarse.index + 1) @ strides
    fields = np.vstack([start.velocity_m_s, start.pressure_pa])
    total, weight = np.zeros((4, len(cells))), np.zeros(len(cells))
    for corner in np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3):
        wanted = (base + corner + 1) @ strides
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        share = np.where(keys[found] == wanted, np.prod(1 - np.abs(place - base - corner), axis=1), 0.0)
        total += share * fields[:, found]
        weight += share
    alone = weight < 1e-3
    if alone.any():
        _, nearest = spatial.cKDTree(coarse.points_mm).query(cells.points_mm[alone])
        total[:, alone], weight[alone] = fields[:, nearest], 1.0
    total /= weight
    return Start(total[:3], total[3], start.flow_m3_s.copy(), start.opening_pa.copy())
