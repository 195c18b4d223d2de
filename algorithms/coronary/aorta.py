"""The ascending aorta and its root, traced from one of its discs down its own axis.

In planes across the axis closed contours are fitted to the wall, from the arch to below the valve
(`aortic_discs` finds where to begin, `aortic_valve` where it ends).
Arrays are (Z, Y, X); points are (N, 3) LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from algorithms.coronary.aortic_discs import Chain
from algorithms.coronary.grid import Grid

RAYS = 48
"""Rays of one contour (1)."""

STEP_MM = 1.0
"""Distance of two traced cross-sections along the aorta, mm."""


@dataclass(frozen=True, eq=False)
class Aorta:
    """Cross-sections of the aorta from the valve upwards.

    ``centres_mm`` (N, 3), ``normals`` (N, 3) towards the head, ``radii_mm`` (N, RAYS) along each ray, ``valve_mm`` (3,) is the
    centre of the first one.
    """

    centres_mm: np.ndarray
    normals: np.ndarray
    radii_mm: np.ndarray
    mean_hu: float

    @property
    def mean_radius_mm(self) -> np.ndarray:
        """Return the radius of the circle with each cross-section's area, (N,) mm."""
        radius: np.ndarray = np.sqrt((self.radii_mm**2).mean(axis=1))
        return radius


def across(normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors (3,) across ``normal``: the first as near to the patient's left as can be, then to the back."""
    left = np.array([1.0, 0.0, 0.0]) - normal[0] * normal
    left /= np.linalg.norm(left)
    return left, np.cross(normal, left)


RADIUS_STEPS_MM = np.arange(2.0, 32.0, 0.5)
"""Radii at which a ray looks for the wall, mm."""


def rays_hu(smooth: Grid, centre_mm: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the values along ``RAYS`` rays in the plane across ``normal``, (RAYS, len(RADIUS_STEPS_MM))."""
    left, back = across(normal)
    angle = np.arange(RAYS) * 2 * np.pi / RAYS
    direction = np.cos(angle)[:, None] * left + np.sin(angle)[:, None] * back
    points = centre_mm + direction[:, None, :] * RADIUS_STEPS_MM[None, :, None]
    index = smooth.index(points.reshape(-1, 3)).T
    values: np.ndarray = ndimage.map_coordinates(smooth.values, index, order=1, mode="nearest")
    return values.reshape(RAYS, -1)


def wall_contour(hu: np.ndarray, blood_hu: float, before_mm: np.ndarray | float) -> tuple[np.ndarray, float]:
    """Return the closed contour (RAYS,) mm of an evenly bright disc, and the mean edge on it in HU per mm.

    The contour is the cheapest closed path through (ray, radius), where an edge from bright to dark is cheap, and
    dear are voxels inside that are not blood and a radius far from ``before_mm``, that of the cross-section before.
    """
    step = RADIUS_STEPS_MM[1] - RADIUS_STEPS_MM[0]
    edge = -np.gradient(hu, step, axis=1)
    strange = np.clip((blood_hu - hu) / (0.5 * blood_hu) - 0.4, 0, 1)  # the wall between two bright vessels is a shallow dip
    inside = np.cumsum(strange, axis=1) * step
    prior = ((RADIUS_STEPS_MM[None] - np.reshape(before_mm, (-1, 1))) / 3.0) ** 2
    # a strong edge must not outweigh a weak but continuous wall, yet its steepest place must win over its foot
    cost = -np.clip(edge, -20, 50) / 25 - np.clip(edge, 0, 300) / 150 + 0.5 * inside + 0.15 * np.minimum(prior, 9)
    path = _closed_path(cost)
    rays = np.arange(RAYS)
    return RADIUS_STEPS_MM[path], float(np.clip(edge[rays, path], 0, 60).mean())


def _closed_path(cost: np.ndarray) -> np.ndarray:
    """Return the radius index per ray of the cheapest path that changes by at most 2 steps a ray and closes.

    The rays are walked three times round; the middle turn of the best path is closed for all that matters.
    """
    turns = np.concatenate([cost, cost, cost])
    total = turns[0].copy()
    back = np.zeros(turns.shape, np.int64)
    bend = 0.3
    for i in range(1, len(turns)):
        options = np.full((5, total.size), np.inf)
        for k, shift in enumerate((-2, -1, 0, 1, 2)):
            source = slice(max(0, -shift), total.size - max(0, shift))
            target = slice(max(0, shift), total.size - max(0, -shift))
            options[k, target] = total[source] + bend * abs(shift)
        choice = options.argmin(axis=0)
        back[i] = np.arange(total.size) - (choice - 2)
        total = options[choice, np.arange(total.size)] + turns[i]
    path = np.empty(len(turns), np.int64)
    path[-1] = total.argmin()
    for i in range(len(turns) - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    n = len(cost)
    return path[n : 2 * n]


def _smoothed(contour: np.ndarray) -> np.ndarray:
    smooth: np.ndarray = ndimage.gaussian_filter1d(contour, 1.0, mode="wrap")
    return smooth


def _centroid(contour: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the shift (3,) mm from the rays' origin to the centroid of the area within ``contour``."""
    left, back = across(normal)
    angle = np.arange(RAYS) * 2 * np.pi / RAYS
    weight = contour**3 / 3 / (contour**2 / 2).sum()
    return float((weight * np.cos(angle)).sum()) * left + float((weight * np.sin(angle)).sum()) * back


def contour_about(contour: np.ndarray, centre: np.ndarray, moved: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return ``contour`` (RAYS,) mm, given about ``centre``, as radii about the point ``moved`` of the same plane."""
    left, back = across(normal)
    angle = np.arange(RAYS) * 2 * np.pi / RAYS
    shift = moved - centre
    x = contour * np.cos(angle) - float(shift @ left)
    y = contour * np.sin(angle) - float(shift @ back)
    turn = np.arctan2(y, x) % (2 * np.pi)
    order = np.argsort(turn)
    return np.interp(angle, turn[order], np.hypot(x, y)[order], period=2 * np.pi)


TRACED_BELOW_MM = 45.0
"""How far below the last round axial slice the aorta is followed, mm: a root is 20 to 30 mm long."""


def trace_aorta(smooth: Grid, chain: Chain) -> Aorta:
    """Return the cross-sections of the aorta that ``chain`` shows, from the outflow tract of the left ventricle upwards.

    ``smooth`` is the volume with noise below 10 HU; the result still reaches below the valve, see `aortic_valve`.
    """
    points = smooth.points_mm(chain.index)
    blood = ndimage.map_coordinates(smooth.values, chain.index.T, order=1)
    mean = float(np.median(blood))
    sections: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    middle = len(points) // 2
    start, radius = points[middle], float(chain.radius_mm[middle])
    lowest = points[0, 2] - TRACED_BELOW_MM
    for sign, stop_z in ((1, points[-1, 2]), (-1, lowest)):
        sections = sections if sign == 1 else sections[::-1]
        centre, contour = start, np.full(RAYS, radius)
        normal = _fitted_direction(points)
        trail = [centre]
        while sign * (stop_z - centre[2]) > 0:
            hu = rays_hu(smooth, centre, normal)
            contour, edge = wall_contour(hu, mean, contour)
            contour = _smoothed(contour)
            moved = centre + _centroid(contour, normal)
            if edge < 8 or contour.max() >= RADIUS_STEPS_MM[-1] or np.linalg.norm(moved - centre) > 4:
                break
            sections.append((moved, normal, contour_about(contour, centre, moved, normal)))
            trail.append(moved)
            recent = np.array(trail[-12:]) if len(trail) >= 6 else None
            if recent is not None:
                ahead = _fitted_direction(recent)
                normal = 0.8 * normal + 0.2 * ahead
                normal /= np.linalg.norm(normal)
            centre = moved - sign * -1 * STEP_MM * normal
            contour = sections[-1][2]
    sections = [s for i, s in enumerate(sections[::-1]) if i == 0 or np.linalg.norm(s[0] - sections[-i][0]) > 0.2 * STEP_MM]
    return Aorta(
        np.array([s[0] for s in sections]),
        np.array([s[1] for s in sections]),
        np.array([s[2] for s in sections]),
        mean,
    )


def _fitted_direction(points_mm: np.ndarray) -> np.ndarray:
    """Return the unit vector (3,) along ``points_mm``, towards the head."""
    _, _, axes = np.linalg.svd(points_mm - points_mm.mean(axis=0))
    direction: np.ndarray = axes[0] * np.sign(axes[0, 2])
    return direction


def aorta_mask(aorta: Aorta, grid: Grid, margin_mm: float = 0.0) -> np.ndarray:
    """Return the voxels of ``grid`` (Z, Y, X) inside the cross-sections of ``aorta``, widened by ``margin_mm``.

    The lowest and the uppermost cross-section end it flat.
    """
    from scipy.spatial import cKDTree

    reach = float(aorta.radii_mm.max()) + margin_mm + 1
    corners = grid.index(np.vstack([aorta.centres_mm - reach, aorta.centres_mm + reach]))
    start = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, grid.values.shape)
    stop = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, grid.values.shape)
    mask = np.zeros(grid.values.shape, bool)
    index = np.stack(np.meshgrid(*[np.arange(a, b) for a, b in zip(start, stop, strict=True)], indexing="ij"), -1).reshape(
        -1, 3
    )
    points = grid.points_mm(index)
    frames = np.array([across(n) for n in aorta.normals])
    inside = np.zeros(len(points), bool)
    # tilted planes cross: the plane through a voxel is among those of the nearest centres, seldom that of the very nearest
    _, nearest = cKDTree(aorta.centres_mm).query(points, k=min(12, len(aorta.centres_mm)), distance_upper_bound=reach + 6)
    for k in range(nearest.shape[1]):
        known = (nearest[:, k] < len(aorta.centres_mm)) & ~inside
        section = nearest[known, k]
        shift = points[known] - aorta.centres_mm[section]
        x, y = np.einsum("ij,ij->i", shift, frames[section, 0]), np.einsum("ij,ij->i", shift, frames[section, 1])
        height = np.einsum("ij,ij->i", shift, aorta.normals[section])
        turn = (np.arctan2(y, x) % (2 * np.pi)) * RAYS / (2 * np.pi)
        low = np.floor(turn).astype(int)
        part = turn - low
        wall = (1 - part) * aorta.radii_mm[section, low % RAYS] + part * aorta.radii_mm[section, (low + 1) % RAYS]
        inside[known] = (np.hypot(x, y) <= wall + margin_mm) & (np.abs(height) <= 0.75 * STEP_MM)
    mask[tuple(index[inside].T)] = True
    return mask
