"""The velocity of a developed flow over the cut through a vessel, whatever the shape of the cut.

Far from a disturbance only friction acts, and the velocity along a straight vessel solves Poisson's equation over its
cross-section, zero at the wall: a paraboloid in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve

from algorithms.coronary.geometry.shape import Lumen, Opening

FINEST_PART = 1e-2
"""A wall nearer than this part of a step to a point of the plane is taken to be that far: the matrix stays well posed."""


@dataclass(frozen=True, eq=False)
class Profile:
    """Velocity over an opening's plane, per unit of flow through it: (P, P) 1/mm2, zero outside."""

    speed: np.ndarray
    area_mm2: float
    axes: np.ndarray
    """(2, 3), the directions of the plane's rows and columns."""
    centre_mm: np.ndarray
    step_mm: float

    def at(self, points_mm: np.ndarray) -> np.ndarray:
        """Return (n,) velocities per unit of flow at the points' feet on the plane."""
        place = (points_mm - self.centre_mm) @ self.axes.T / self.step_mm + len(self.speed) // 2
        value: np.ndarray = ndimage.map_coordinates(self.speed, place.T, order=1, mode="constant")
        return value


def developed(lumen: Lumen, opening: Opening, step_mm: float) -> Profile:
    """Return the profile of a developed flow through ``opening``, solved on a square grid of ``step_mm``.

    References
    ----------
    Shortley and Weller, *The numerical solution of Laplace's equation*, J Appl Phys 9:334 (1938): unequal arms at the wall.
    """
    axes = np.linalg.svd(opening.normal[None])[2][1:]
    reach = int(np.ceil(3 * opening.radius_mm / step_mm)) + 2
    ticks = step_mm * np.arange(-reach, reach + 1)
    points = opening.centre_mm + ticks[:, None, None] * axes[0] + ticks[None, :, None] * axes[1]
    depth = lumen.distance_mm(points.reshape(-1, 3)).reshape(points.shape[:2])
    depth[[0, -1]] = depth[:, [0, -1]] = np.minimum(depth[[0, -1]][:, :1], -step_mm)[0, 0]
    # Another vessel may cross the same plane; only what hangs together with the centre is this one.
    parts, _ = ndimage.label(depth > 0)
    away = np.where(parts > 0, np.hypot(ticks[:, None], ticks[None]), np.inf)
    inside = parts == parts.flat[np.argmin(away)]
    speed = _poisson(np.where(inside, depth, np.minimum(depth, -1e-9)), inside)
    # Each point stands for its square, those at the wall for what of it lies inside.
    covered = np.clip(0.5 + np.where(inside | ndimage.binary_dilation(inside), depth, -np.inf) / step_mm, 0, 1)
    total = float((speed * np.where(inside, covered, 0)).sum()) * step_mm**2
    return Profile(speed / total, float(covered.sum()) * step_mm**2, axes, opening.centre_mm, step_mm)


def _poisson(depth: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the solution of ``laplace(u) = -1`` inside, in steps, zero where ``depth`` is."""
    number = np.where(inside, np.cumsum(inside).reshape(inside.shape) - 1, -1)
    rows, columns, values = [], [], []
    diagonal = np.zeros(inside.sum())
    here = np.argwhere(inside)
    own = number[inside]
    for axis in (0, 1):
        arms, others = [], []
        for side in (-1, 1):
            there = here.copy()
            there[:, axis] += side
            other = number[tuple(there.T)]
            outer = depth[tuple(there.T)]
            part = depth[inside] / np.where(other < 0, depth[inside] - outer, 1)
            arms.append(np.where(other < 0, np.clip(part, FINEST_PART, 1), 1.0))
            others.append(other)
        for arm, opposite, other in ((arms[0], arms[1], others[0]), (arms[1], arms[0], others[1])):
            weight = 2 / (arm * (arm + opposite))
            diagonal += weight
            joined = other >= 0
            rows.append(own[joined])
            columns.append(other[joined])
            values.append(-weight[joined])
    rows.append(own)
    columns.append(own)
    values.append(diagonal)
    matrix = sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))))
    solution = np.zeros(inside.shape)
    solution[inside] = spsolve(matrix.tocsc(), np.ones(len(own)))
    return solution
