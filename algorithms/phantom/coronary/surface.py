"""The epicardium as a map: where a ray from the left ventricle leaves the heart, and where the grooves run.

Angles are those of a sphere around a point on the ventricle's long axis: ``polar`` is 0 at the apex and about 2.2 rad at
the atrioventricular groove; ``azimuth`` is 0 towards the right ventricle and grows towards the anterior groove.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.phantom.coronary.heart import Heart
from algorithms.phantom.coronary.shapes import resample_path, tangents

GRID_MM = 2.5
"""Spacing of the grid on which smooth distances are sampled; the same at every size, so that the anatomy is too."""
CENTRE_MM = 30.0
"""The map's centre, from the ventricular base along the long axis."""

BASE_POLAR = float(np.deg2rad(131.0))
"""Polar angle of the ventricular base's rim."""


class Crowd:
    """The vessels that are already there, from which a new one keeps its distance."""

    def __init__(self, points: np.ndarray, radius_mm: np.ndarray) -> None:
        from scipy.spatial import cKDTree

        self.tree = cKDTree(points)
        self.points = points
        self.radius_mm = radius_mm

    def parting(self, path: np.ndarray, reach_mm: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """Return the steps (N, 3) within the surface that take ``path`` out of reach of the others."""
        if len(self.points) == 0:
            return np.zeros_like(path)
        distance, nearest = self.tree.query(path)
        away = path - self.points[nearest]
        away = away - np.einsum("ni,ni->n", away, normal)[:, None] * normal
        lack = np.maximum(reach_mm + self.radius_mm[nearest] + 0.8 - distance, 0)
        steps: np.ndarray = 0.5 * lack[:, None] * away / np.maximum(np.linalg.norm(away, axis=1), 1e-3)[:, None]
        return steps


@dataclass(frozen=True, eq=False)
class Surface:
    """The distance to the epicardium and its gradient, sampled on a grid that starts at ``origin_mm`` (x, y, z)."""

    heart: Heart
    origin_mm: np.ndarray
    distance_mm: np.ndarray  # (X, Y, Z)
    gradient: np.ndarray  # (3, X, Y, Z)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Return the distance (N,) of ``points`` (N, 3) to the epicardium."""
        return self._sample(self.distance_mm, points)

    def normal(self, points: np.ndarray) -> np.ndarray:
        """Return the unit outward normals (N, 3) at ``points`` (N, 3)."""
        normal = np.stack([self._sample(g, points) for g in self.gradient], axis=1)
        unit: np.ndarray = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        return unit

    def _sample(self, values: np.ndarray, points: np.ndarray) -> np.ndarray:
        from scipy.ndimage import map_coordinates

        place = (points - self.origin_mm).T / GRID_MM
        sampled: np.ndarray = map_coordinates(values, place, order=1, mode="nearest")
        return sampled

    def direction(self, polar: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
        """Return unit vectors (..., 3) for these angles."""
        local = np.stack([np.cos(polar), np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth)], axis=-1)
        unit: np.ndarray = local @ self.heart.axes
        return unit

    def hit(self, polar: np.ndarray, azimuth: np.ndarray, clearance_mm: float = 2.5) -> np.ndarray:
        """Return where rays at these angles (N,) first are ``clearance_mm`` outside the epicardium, (N, 3)."""
        polar, azimuth = np.broadcast_arrays(np.atleast_1d(polar), np.atleast_1d(azimuth))
        ways = self.direction(polar, azimuth)
        steps = np.arange(12.0, 84.0, 1.0)
        centre = self.heart.at(CENTRE_MM, 0, 0)
        points = centre + ways[:, None, :] * steps[None, :, None]
        depth = self.at(points.reshape(-1, 3)).reshape(len(ways), -1) - clearance_mm
        first = np.argmax(depth > 0, axis=1)
        first[~(depth > 0).any(axis=1)] = len(steps) - 1
        first = np.maximum(first, 1)
        rows = np.arange(len(ways))
        before, after = depth[rows, first - 1], depth[rows, first]
        share = np.clip(-before / np.maximum(after - before, 1e-6), 0, 1)
        reached: np.ndarray = centre + ways * (steps[first - 1] + share)[:, None]
        return reached

    def anterior_groove(self, polar: np.ndarray) -> np.ndarray:
        """Return the azimuth (N,) of the anterior interventricular groove at each polar angle."""
        return self._interventricular(polar, np.deg2rad(np.arange(25.0, 125.0, 2.5)))

    def posterior_groove(self, polar: np.ndarray) -> np.ndarray:
        """Return the azimuth (N,) of the posterior interventricular groove at each polar angle."""
        return self._interventricular(polar, np.deg2rad(np.arange(-35.0, -145.0, -2.5)))

    def _interventricular(self, polar: np.ndarray, azimuths: np.ndarray) -> np.ndarray:
        polar = np.atleast_1d(polar)
        grid_p, grid_a = np.meshgrid(polar, azimuths, indexing="ij")
        points = self.hit(grid_p.ravel(), grid_a.ravel())
        margin = (self.heart.right_heart(points) - self.heart.lv_epicardium(points)).reshape(grid_p.shape)
        return np.array([_crossing(azimuths, row) for row in margin])

    def atrioventricular_groove(self, azimuth: np.ndarray) -> np.ndarray:
        """Return the polar angle (N,) at which ventricle turns into atrium at each azimuth."""
        azimuth = np.atleast_1d(azimuth)
        polars = np.deg2rad(np.arange(90.0, 152.0, 1.5))
        grid_a, grid_p = np.meshgrid(azimuth, polars, indexing="ij")
        points = self.hit(grid_p.ravel(), grid_a.ravel())
        ventricles = np.minimum(self.heart.lv_epicardium(points), self.heart.rv_outer(points))
        atria = np.minimum(self.heart.la_outer(points), self.heart.ra_outer(points))
        margin = (atria - ventricles).reshape(grid_a.shape)
        groove = np.array([_crossing(polars, row) for row in margin])
        # Away from the right ventricle the muscle ends at the ventricular base; below it lie the sinus and fat, no atrium.
        away = np.cos(azimuth) < np.cos(np.deg2rad(75.0))
        return np.where(away, np.minimum(groove, BASE_POLAR), groove)

    def settle(
        self,
        path: np.ndarray,
        clearance_mm: np.ndarray,
        crowd: Crowd,
        *,
        free_mm: float = 0.0,
        stiffness: float = 0.35,
        rounds: int = 40,
    ) -> np.ndarray:
        """Return ``path`` (N, 3) relaxed onto the epicardium: smooth, ``clearance_mm`` (N,) outside, ends held.

        The first ``free_mm`` may stand off the surface (a trunk leaves the aorta there), but never dip below it.
        From 3 to 8 mm of its course the path parts from the vessels in ``crowd``.
        """  # fmt: skip
        path = resample_path(path, 2.0)
        clearance = np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(clearance_mm)), clearance_mm)
        for turn in range(rounds):
            moved = path.copy()
            moved[1:-1] += stiffness * (0.5 * (path[:-2] + path[2:]) - path[1:-1])
            lack = clearance - self.at(moved)
            distance = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(moved, axis=0), axis=1))])
            hold = np.clip((distance - free_mm * 0.5) / max(free_mm, 2.0), 0, 1)
            push = np.where(lack > 0, lack, lack * hold) * np.clip(distance / max(0.4 * free_mm, 1.0), 0, 1)
            normal = self.normal(moved)
            moved[1:] += 0.7 * push[1:, None] * normal[1:]
            moved[1:] += crowd.parting(moved, clearance, normal)[1:] * np.clip((distance[1:, None] - 3.0) / 5.0, 0, 1)
            path = resample_path(moved, 2.0) if turn % 8 == 7 else moved
            clearance = np.interp(np.linspace(0, 1, len(path)), np.linspace(0, 1, len(clearance)), clearance)
        return path

    def wave(self, path: np.ndarray, sideways_mm: np.ndarray) -> np.ndarray:
        """Return ``path`` (N, 3) displaced by ``sideways_mm`` (N,) within the surface, at right angles to its course."""
        across = np.cross(tangents(path), self.normal(path))
        moved: np.ndarray = path + across * sideways_mm[:, None]
        return moved


def _crossing(angles: np.ndarray, margin: np.ndarray) -> float:
    """Return the first angle at which ``margin`` changes sign, or the one where it is least."""
    change = np.nonzero(np.diff(np.sign(margin)))[0]
    if len(change) == 0:
        return float(angles[np.argmin(np.abs(margin))])
    i = int(change[0])
    share = margin[i] / (margin[i] - margin[i + 1])
    return float(angles[i] + share * (angles[i + 1] - angles[i]))


def survey(heart: Heart) -> Surface:
    """Return the map of ``heart``'s epicardium."""
    reach = 90.0 * heart.scale
    centre = heart.at(CENTRE_MM, 0, 0)
    count = int(np.ceil(2 * reach / GRID_MM)) + 1
    origin = np.floor((centre - reach) / GRID_MM) * GRID_MM
    axes = [origin[i] + GRID_MM * np.arange(count) for i in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    distance = heart.surface(points)
    gradient = np.stack(np.gradient(distance, GRID_MM)).astype(np.float32)
    return Surface(heart, origin, distance, gradient)
