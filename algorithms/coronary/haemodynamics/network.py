"""The vessel tree as a hydraulic network: edges between divisions, and what each loses as a function of its flow.

An edge runs between two places where flow divides or leaves (ostium, bifurcation, side outlet, tip) and carries one flow
Q >= 0.  It loses ``linear Q + quadratic Q |Q|``: friction of Poiseuille flow, and the expansion behind every throat.
Radii may carry leading axes (samples); everything follows them.  Lengths are mm, flows ml/s, pressures mmHg.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.contract.errors import DataError
from algorithms.coronary.haemodynamics.blood import PA_PER_MMHG
from algorithms.coronary.haemodynamics.branching import Outlet, end_children, outlets
from algorithms.coronary.tree import Tree

CLOSED_RADIUS_MM = 0.1
"""A lumen this narrow is closed: half a CT voxel across, it cannot be told from none, and 1 mm of it stops all flow."""

EXPANSION_AREA_RATIO = 1.5
"""A narrowing is a throat if the area behind it grows by this factor (18 % in diameter).

Below it lies the noise of segmented radii, and an expansion loss of at most 1/9 of the throat's dynamic pressure.
"""

RECOVERY_LENGTH_MM = 20.0
"""Where the area behind a throat has grown for this long, the jet has filled the vessel and the loss is complete.

FFR is read 10-20 mm behind a lesion; a vessel that widens later does so without separation.
"""


@dataclass(frozen=True, eq=False)
class Network:
    """The edges of a tree, parents first; at the end of M of them is an outlet.

    ``branch, start, stop, upstream`` are (E,): the edge's branch, its first and last point there, and the edge that
    feeds it (-1 at an ostium).  ``outlets`` (M,) are the edges that end at ``places``.  ``below`` (E, M) is 1 where the
    outlet is fed through the edge: ``below @ outlet_flow`` are the edge flows, and mass is conserved by construction.
    """

    branch: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    upstream: np.ndarray
    outlets: np.ndarray
    below: np.ndarray
    places: tuple[Outlet, ...]

    def edges_of(self, branch: int) -> np.ndarray:
        """Return the edges of a branch from its origin to its tip."""
        return np.flatnonzero(self.branch == branch)

    def interval_edge(self, branch: int) -> np.ndarray:
        """Return the edge of each interval between two points of a branch, (N - 1,)."""
        edges = self.edges_of(branch)
        return np.repeat(edges, self.stop[edges] - self.start[edges])


def network(tree: Tree) -> Network:
    """Return the edges of ``tree``.

    Raises
    ------
    DataError
        If a child starts at a point that its parent does not have, or a lumen is closed.
    """
    _check(tree)
    branch: list[int] = []
    start: list[int] = []
    stop: list[int] = []
    upstream: list[int] = []
    places = tuple(outlets(tree))
    arriving: list[dict[int, int]] = []  # for every branch: point -> the edge that brings flow there
    for index, entry in enumerate(tree.branches):
        feeder = -1 if entry.parent is None else arriving[entry.parent][int(entry.parent_point or 0)]
        arrive = {0: feeder}
        divisions = {int(tree.branches[c].parent_point or 0) for c in tree.children(index)}
        divisions |= {len(entry.radius_mm) - 1} | {place.point for place in places if place.branch == index}
        points = sorted(divisions - {0})
        for first, last in zip([0, *points[:-1]], points, strict=True):
            upstream.append(arrive[first])
            arrive[last] = len(branch)
            branch.append(index)
            start.append(first)
            stop.append(last)
        arriving.append(arrive)
    ends = [arriving[place.branch][place.point] for place in places]
    edges = [np.array(values, dtype=int) for values in (branch, start, stop, upstream, ends)]
    return Network(edges[0], edges[1], edges[2], edges[3], edges[4], _below(upstream, ends), places)


def _check(tree: Tree) -> None:
    for index, entry in enumerate(tree.branches):
        if entry.parent is not None:
            points = len(tree.branches[entry.parent].radius_mm)
            if entry.parent_point is None or not 0 <= entry.parent_point < points:
                raise DataError(f"branch {index} of the tree starts at point {entry.parent_point} of a parent with {points}")
        closed = np.flatnonzero(~(entry.radius_mm > CLOSED_RADIUS_MM))
        if closed.size:
            raise DataError(
                f"the lumen of {entry.name} is closed {entry.distance_mm[closed[0]]:.0f} mm from its origin; FFR is undefined "
                "behind an occlusion: report the vessel as occluded, or correct the segmentation there"
            )


def _below(upstream: list[int], outlets: list[int]) -> np.ndarray:
    below = np.zeros((len(upstream), len(outlets)))
    for column, outlet in enumerate(outlets):
        edge = outlet
        while edge >= 0:
            below[edge, column] = 1.0
            edge = upstream[edge]
    return below


@dataclass(frozen=True, eq=False)
class Losses:
    """What every interval between two points of every branch loses, one (..., N - 1) array a branch.

    ``viscous`` is mmHg s/ml, times flow; ``expansion`` is mmHg s2/ml2, times flow squared.
    """

    viscous: tuple[np.ndarray, ...]
    expansion: tuple[np.ndarray, ...]

    def per_edge(self, net: Network) -> tuple[np.ndarray, np.ndarray]:
        """Return the linear (..., E) and quadratic (..., E) coefficients of the edges."""
        linear, quadratic = [], []
        for edge in range(len(net.branch)):
            intervals = np.s_[..., net.start[edge] : net.stop[edge]]
            linear.append(self.viscous[net.branch[edge]][intervals].sum(axis=-1))
            quadratic.append(self.expansion[net.branch[edge]][intervals].sum(axis=-1))
        return np.stack(linear, axis=-1), np.stack(quadratic, axis=-1)


def viscous_mmhg_s_ml(distance_mm: np.ndarray, radius_mm: np.ndarray, viscosity_pa_s: float) -> np.ndarray:
    """Return the resistance of each interval of a vessel whose radius is linear between its points, (..., N - 1).

    The integral of 8 mu / (pi r^4) over a cone is 8 mu L (a^2 + a b + b^2) / (3 pi a^3 b^3), exactly.
    """
    a, b = radius_mm[..., :-1], radius_mm[..., 1:]
    per_mm3 = np.diff(distance_mm) * (a * a + a * b + b * b) / (3 * (a * b) ** 3)
    # 8 mu / pi [Pa s] per mm3 is 1e9 Pa s/m3, and Pa s/m3 is 1e-6 Pa s/ml.
    resistance: np.ndarray = 8 * viscosity_pa_s / np.pi * per_mm3 * 1e3 / PA_PER_MMHG
    return resistance


def throats(distance_mm: np.ndarray, area_mm2: np.ndarray) -> list[tuple[int, int]]:
    """Return every (throat, recovery) along a vessel: the narrowest point, and the widest one of the expansion behind it.

    A turning-point filter in flow direction: an expansion begins where the area has grown by ``EXPANSION_AREA_RATIO``
    over the least one so far and ends where it has fallen by as much again, or ``RECOVERY_LENGTH_MM`` later.
    Noise below that factor never triggers it, and a throat at the ostium needs no healthy vessel before it.
    """
    found: list[tuple[int, int]] = []
    low, begin, high = 0, -1, 0
    for i, area in enumerate(area_mm2):
        if begin < 0:
            if area <= area_mm2[low]:
                low = i
            elif area >= EXPANSION_AREA_RATIO * area_mm2[low]:
                begin = high = i
        elif distance_mm[i] - distance_mm[begin] > RECOVERY_LENGTH_MM or area * EXPANSION_AREA_RATIO <= area_mm2[high]:
            found.append((low, high))
            low, begin = i, -1
        elif area > area_mm2[high]:
            high = i
    return [*found, (low, high)] if begin >= 0 else found


def losses(tree: Tree, radius_mm: tuple[np.ndarray, ...], viscosity_pa_s: float, density_kg_m3: float) -> Losses:
    """Return what each interval loses with the given radii, one (..., N) array a branch.

    Expansion is Borda and Carnot's: ``0.5 rho Q^2 (1/A_throat - 1/A_recovery)^2``, built up as the area grows.
    Throats are sought on the first sample (the radii without leading axes), so that samples differ smoothly.
    Where a branch ends by dividing, its daughters' areas together are what a throat expands into.

    References
    ----------
    Seeley and Young, *Effect of geometry on pressure losses across models of arterial stenoses*, J Biomech 9:439 (1976),
    eq. 1 with the theoretical expansion coefficient; Mirramezani et al., J Biomech Eng 141:031005 (2019), on friction
    and separation being what a reduced model must hold.
    """
    viscous = [viscous_mmhg_s_ml(b.distance_mm, r, viscosity_pa_s) for b, r in zip(tree.branches, radius_mm, strict=True)]
    # 0.5 rho [kg/m3] (ml/s / mm2)^2: ml/s over mm2 is m/s, so the product is Pa.
    scale = 0.5 * density_kg_m3 / PA_PER_MMHG
    expansion = [scale * _expansion(tree, index, radius_mm) for index in range(len(tree.branches))]
    return Losses(tuple(viscous), tuple(expansion))


def _expansion(tree: Tree, index: int, radius_mm: tuple[np.ndarray, ...]) -> np.ndarray:
    area = np.pi * radius_mm[index] ** 2
    distance = tree.branches[index].distance_mm
    if last := end_children(tree, index):
        diameter = 2 * tree.branches[index].reference_radius_mm[-1]
        behind = [radius_mm[c][..., np.searchsorted(tree.branches[c].distance_mm[:-1], diameter)] for c in last]
        daughters = np.pi * np.sum(np.square(behind), axis=0)
        area = np.concatenate([area, daughters[..., None]], axis=-1)
        distance = np.append(distance, distance[-1] + diameter)
    intervals = len(tree.branches[index].radius_mm) - 1
    loss = np.zeros((*area.shape[:-1], intervals))
    divisions = [int(tree.branches[c].parent_point or 0) for c in tree.children(index)]
    for throat, recovery in throats(distance, area.reshape(-1, area.shape[-1])[0]):
        widest = np.maximum.accumulate(area[..., throat : recovery + 1], axis=-1)
        built_up = (1 / widest[..., :1] - 1 / widest) ** 2
        # A jet that passes a bifurcation loses its energy before it, for both daughters: behind it flow is another.
        end = min([point for point in divisions if point > throat] + [intervals])
        where = np.minimum(np.arange(throat, recovery), end - 1)
        for interval, gain in zip(where, np.moveaxis(np.diff(built_up, axis=-1), -1, 0), strict=True):
            loss[..., interval] += gain
    return loss


def edge_losses_mmhg(linear: np.ndarray, quadratic: np.ndarray, flow_ml_s: np.ndarray) -> np.ndarray:
    """Return what each edge loses at its flow, (..., E) mmHg."""
    lost: np.ndarray = (linear + quadratic * np.abs(flow_ml_s)) * flow_ml_s
    return lost
