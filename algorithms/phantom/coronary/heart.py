"""The heart of the coronary phantom: chambers, great vessels and the fat around them as signed distances.

Points are (..., 3) LPS mm with the centre of the aortic annulus at the origin.  The left ventricle carries the frame in
which everything else is placed: ``apex`` runs from its base to its apex, ``septum`` towards the right ventricle,
``anterior`` towards the anterior interventricular groove.  Sizes at scale 1 are those of an adult at mid-diastole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from algorithms.phantom.coronary.shapes import (
    ellipsoid_mm,
    half_space_mm,
    intersection_mm,
    smooth_path,
    smooth_union_mm,
    tube_mm,
    union_mm,
)

Distance = Callable[[np.ndarray], np.ndarray]

LV_SEMI_SHORT_MM = 31.5
"""Outer radius of the left ventricle at its widest (wall included; end-diastolic normal, Kawel-Boehm, JCMR 22:87 (2020))."""
LV_SEMI_LONG_MM = 67.0
"""From the widest plane of the left ventricle to the tip of its apex; the base lies ``LV_BASE_MM`` on the other side."""
LV_BASE_MM = 15.0
AORTIC_WALL_MM = 1.6
GROOVE_BLEND_MM = 9.0
"""How softly the epicardium runs through the grooves between two chambers, in which the arteries lie."""


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / np.linalg.norm(vector)
    return unit


@dataclass(frozen=True, eq=False)
class Heart:
    """The numbers that differ from one heart to the next; lengths are mm."""

    scale: float
    apex: np.ndarray  # (3,) unit, base to apex
    septum: np.ndarray  # (3,) unit, left to right ventricle
    anterior: np.ndarray  # (3,) unit, towards the anterior groove
    wall_mm: float  # left-ventricular wall
    atrium_scale: float
    root_scale: float
    root_axis: np.ndarray  # (3,) unit, annulus to sinotubular junction
    sinus_turn: float  # radians by which the three sinuses are turned about the root axis
    fat_mm: float

    @property
    def axes(self) -> np.ndarray:
        return np.stack([self.apex, self.septum, self.anterior])

    def at(self, apex_mm: float, septum_mm: float, anterior_mm: float) -> np.ndarray:
        """Return the point at these ventricular coordinates, measured from the centre of the ventricular base."""
        base = -np.array([-10.0, 17.0, 8.0]) @ self.axes
        placed: np.ndarray = (base + np.array([apex_mm, septum_mm, anterior_mm]) @ self.axes) * self.scale
        return placed

    def root_point(self, height_mm: float) -> np.ndarray:
        """Return the point of the root's axis ``height_mm`` (at root scale 1) above the annulus."""
        return self.root_axis * height_mm * self.root_scale

    def sinus_directions(self) -> np.ndarray:
        """Return unit vectors (3, 3) from the root's axis to the left, right and non-coronary sinus."""
        left = np.array([np.cos(self.sinus_turn), np.sin(self.sinus_turn), 0.0])
        first = _unit(left - (left @ self.root_axis) * self.root_axis)
        second = np.cross(first, self.root_axis)
        # Seen from above the order is left, right (anterior), non-coronary (posterior right).
        if second[1] > 0:
            second = -second
        angles = np.deg2rad([0.0, 120.0, 240.0])
        placed: np.ndarray = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
        return placed

    # --- left ventricle

    def lv_epicardium(self, points: np.ndarray) -> np.ndarray:
        semi = np.array([LV_SEMI_LONG_MM, LV_SEMI_SHORT_MM, LV_SEMI_SHORT_MM]) * self.scale
        whole = ellipsoid_mm(points, self.at(LV_BASE_MM, 0, 0), self.axes, semi)
        return intersection_mm(whole, half_space_mm(points, self.at(0, 0, 0), -self.apex))

    def lv_blood(self, points: np.ndarray) -> np.ndarray:
        semi = np.array([LV_SEMI_LONG_MM, LV_SEMI_SHORT_MM, LV_SEMI_SHORT_MM]) * self.scale - self.wall_mm
        whole = ellipsoid_mm(points, self.at(LV_BASE_MM, 0, 0), self.axes, semi)
        cavity = np.maximum(whole, half_space_mm(points, self.at(-1.0, 0, 0), -self.apex))
        outflow = np.stack([self.at(14.0, 6.0, 4.0), self.root_point(2.0)])
        return union_mm(cavity, tube_mm(points, outflow, np.array([12.0, 11.5]) * self.root_scale))

    def papillary_muscles(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distance, mm, of ``points``, LPS mm, to both papillary muscles of the left ventricle."""
        inner = LV_SEMI_SHORT_MM - self.wall_mm / self.scale
        muscles = [
            np.stack([self.at(26, np.cos(a) * inner * 0.72, np.sin(a) * inner * 0.72),
                      self.at(52, np.cos(a) * inner * 0.72, np.sin(a) * inner * 0.72)])
            for a in np.deg2rad([140.0, 232.0])
        ]  # fmt: skip
        radius = np.array([3.2, 4.6]) * self.scale
        return union_mm(tube_mm(points, muscles[0], radius), tube_mm(points, muscles[1], radius))

    # --- right ventricle and pulmonary trunk

    def rv_outer(self, points: np.ndarray) -> np.ndarray:
        semi = np.array([52.0, 34.0, 36.0]) * self.scale
        body = ellipsoid_mm(points, self.at(28, 21, -3), self.axes, semi)
        outflow = np.stack([self.at(34, 34, 12), self.at(16, 33, 28), self.pulmonary_valve()])
        return smooth_union_mm(body, tube_mm(points, outflow, np.array([18.0, 16.5, 14.5]) * self.scale), 8.0)

    def rv_blood(self, points: np.ndarray) -> np.ndarray:
        return intersection_mm(self.rv_outer(points) + 2.8, -(self.lv_epicardium(points) - 0.3))

    def pulmonary_valve(self) -> np.ndarray:
        return self.at(6.0, 28.0, 36.0)

    def pulmonary_path(self) -> np.ndarray:
        valve = self.pulmonary_valve()
        return smooth_path(np.stack([valve, valve + np.array([5.0, 9.0, 17.0]) * self.scale, self.pulmonary_fork()]), 6.0)

    def pulmonary_fork(self) -> np.ndarray:
        return self.pulmonary_valve() + np.array([8.0, 34.0, 36.0]) * self.scale

    def pulmonary_arteries(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distance, mm, of ``points``, LPS mm, to the pulmonary trunk with its two arteries."""
        fork = self.pulmonary_fork()
        trunk = tube_mm(points, self.pulmonary_path(), np.full(len(self.pulmonary_path()), 13.0) * self.scale)
        right = smooth_path(fork + np.array([[0, 0, 0], [-24, 9, 1], [-52, 14, -4], [-72, 20, -14]]) * self.scale, 8.0)
        left = smooth_path(fork + np.array([[0, 0, 0], [20, 16, 5], [38, 28, 0], [48, 34, -16]]) * self.scale, 8.0)
        sides = union_mm(
            tube_mm(points, right, np.linspace(10.5, 8.0, len(right)) * self.scale),
            tube_mm(points, left, np.linspace(10.5, 7.5, len(left)) * self.scale),
        )
        return smooth_union_mm(trunk, sides, 4.0)

    # --- atria and the veins that enter them

    def la_outer(self, points: np.ndarray) -> np.ndarray:
        semi = np.array([32.0, 21.0, 28.0]) * self.scale * self.atrium_scale
        body = ellipsoid_mm(points, self.at(-26, -19, -5), np.eye(3), semi)
        return smooth_union_mm(body, self._mitral(points, 2.0), 6.0)

    def la_blood(self, points: np.ndarray) -> np.ndarray:
        semi = np.array([32.0, 21.0, 28.0]) * self.scale * self.atrium_scale - 2.0
        body = ellipsoid_mm(points, self.at(-26, -19, -5), np.eye(3), semi)
        return smooth_union_mm(body, self._mitral(points, 0.0), 6.0)

    def _mitral(self, points: np.ndarray, wall_mm: float) -> np.ndarray:
        path = np.stack([self.at(-20, -12, -4), self.at(-1, -7, -2)])
        return tube_mm(points, path, np.array([16.0, 14.5]) * self.scale + wall_mm)

    def left_appendage(self, points: np.ndarray) -> np.ndarray:
        tip = self.pulmonary_valve() + np.array([25.0, 18.0, 8.0]) * self.scale
        path = smooth_path(np.stack([self.at(-30, -36, 6), self.at(-22, -34, 24), tip]), 6.0)
        return tube_mm(points, path, np.linspace(9.0, 5.5, len(path)) * self.scale)

    def pulmonary_veins(self, points: np.ndarray) -> np.ndarray:
        distance = np.full(points.shape[:-1], np.inf, dtype=points.dtype)
        for path in self.pulmonary_vein_paths():
            distance = np.minimum(distance, tube_mm(points, path, np.linspace(7.0, 6.0, len(path)) * self.scale))
        return distance

    def pulmonary_vein_paths(self) -> list[np.ndarray]:
        centre = self.at(-26, -19, -5)
        ways = [((-22, 6, 10), (-45, 12, 18)), ((-22, 8, -8), (-46, 18, -18)),
                ((22, 8, 12), (40, 20, 22)), ((22, 10, -6), (42, 24, -12))]  # fmt: skip
        return [centre + np.array([near, far], dtype=float) * self.scale for near, far in ways]

    def ra_outer(self, points: np.ndarray) -> np.ndarray:
        semi = np.array([23.0, 28.0, 31.0]) * self.scale * self.atrium_scale
        body = ellipsoid_mm(points, self.at(-33, 37, -28), np.eye(3), semi)
        return smooth_union_mm(body, self._tricuspid(points, 2.0), 6.0)

    def ra_blood(self, points: np.ndarray) -> np.ndarray:
        semi = np.array([23.0, 28.0, 31.0]) * self.scale * self.atrium_scale - 2.0
        body = ellipsoid_mm(points, self.at(-33, 37, -28), np.eye(3), semi)
        return smooth_union_mm(body, self._tricuspid(points, 0.0), 6.0)

    def _tricuspid(self, points: np.ndarray, wall_mm: float) -> np.ndarray:
        path = np.stack([self.at(-22, 38, -22), self.at(2, 34, -14)])
        return tube_mm(points, path, np.array([17.0, 15.0]) * self.scale + wall_mm)

    def right_appendage(self, points: np.ndarray) -> np.ndarray:
        centre = self.at(-33, 37, -28)
        tip = self.root_point(20.0) + np.array([-17.0, -27.0, 4.0]) * self.scale
        path = smooth_path(np.stack([centre + np.array([0, -14, 20.0]) * self.scale, tip]), 6.0)
        return tube_mm(points, path, np.linspace(12.0, 6.0, len(path)) * self.scale)

    def caval_veins(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distance, mm, of ``points``, LPS mm, to the superior and inferior vena cava."""
        centre = self.at(-33, 37, -28)
        upper = centre + np.array([[3, 0, 20], [9, -4, 55], [10, -4, 120]], dtype=float) * self.scale
        lower = centre + np.array([[1, 19, -12], [3, 30, -38], [4, 34, -120]], dtype=float) * self.scale
        return union_mm(
            tube_mm(points, upper, np.full(3, 9.0) * self.scale), tube_mm(points, lower, np.full(3, 11.5) * self.scale)
        )

    # --- aorta

    def aortic_path(self) -> np.ndarray:
        """Return control points (N, 3) of the aorta's axis from the annulus over the arch to the diaphragm."""
        junction = self.root_point(20.0)
        rise = np.array([[-3, -3, 18], [-4, -1, 40], [2, 10, 62], [14, 35, 75], [26, 62, 66], [29, 78, 40]], dtype=float)
        descent = np.array([[28, 84, 0], [25, 86, -50], [20, 86, -130]], dtype=float)
        return np.concatenate([[self.root_point(0.0)], [junction], junction + np.concatenate([rise, descent]) * self.scale])

    def root_lumen(self, points: np.ndarray) -> np.ndarray:
        """Return the distance to the aortic root with its three sinuses, up to just above the sinotubular junction."""
        axis = np.stack([self.root_point(-1.0), self.root_point(22.0)])
        distance = tube_mm(points, axis, np.array([11.8, 13.6]) * self.root_scale)
        for direction in self.sinus_directions():
            centre = self.root_point(9.5) + 6.6 * self.root_scale * direction
            semi = np.array([9.6, 10.2, 9.6]) * self.root_scale
            axes = np.stack([direction, self.root_axis, np.cross(direction, self.root_axis)])
            distance = smooth_union_mm(distance, ellipsoid_mm(points, centre, axes, semi), 2.5)
        return distance

    def ascending_lumen(self, points: np.ndarray) -> np.ndarray:
        """Return the signed distance, mm, of ``points``, LPS mm, to the aortic root and ascending aorta."""
        path = smooth_path(self.aortic_path(), 5.0)
        distance = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        radius = np.interp(distance, [0, 20, 45, 110, 170, 400], [12.3, 13.9, 15.8, 14.0, 12.0, 11.0]) * self.root_scale
        # The arch's crown parts the ascending aorta (label of its own) from the descending aorta.
        top = int(np.argmax(path[:, 2]))
        return smooth_union_mm(self.root_lumen(points), tube_mm(points, path[: top + 1], radius[: top + 1]), 3.0)

    def descending_lumen(self, points: np.ndarray) -> np.ndarray:
        path = smooth_path(self.aortic_path(), 5.0)
        distance = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        radius = np.interp(distance, [0, 20, 45, 110, 170, 400], [12.3, 13.9, 15.8, 14.0, 12.0, 11.0]) * self.root_scale
        top = int(np.argmax(path[:, 2]))
        return tube_mm(points, path[top:], radius[top:])

    # --- surfaces made of several of them

    def right_heart(self, points: np.ndarray) -> np.ndarray:
        path = np.stack([self.pulmonary_valve(), self.pulmonary_path()[len(self.pulmonary_path()) // 2], self.pulmonary_fork()])
        return union_mm(self.rv_outer(points), tube_mm(points, path, np.full(3, 13.0) * self.scale) - 1.2)

    def surface(self, points: np.ndarray) -> np.ndarray:
        """Return the distance to the outer surface of muscle and great vessels, on which the arteries run."""
        distance = smooth_union_mm(self.lv_epicardium(points), self.right_heart(points), GROOVE_BLEND_MM)
        right = union_mm(self.ra_outer(points), self.caval_veins(points) - 1.0)
        atria = smooth_union_mm(self.la_outer(points), right, GROOVE_BLEND_MM)
        distance = smooth_union_mm(distance, atria, GROOVE_BLEND_MM)
        trunk = tube_mm(points, smooth_path(self.aortic_path(), 5.0)[4:16:4], np.array([14.0, 15.0, 16.0]) * self.root_scale)
        aorta = union_mm(self.root_lumen(points), trunk) - AORTIC_WALL_MM
        return smooth_union_mm(distance, aorta, 4.0)

    def pericardium(self, points: np.ndarray) -> np.ndarray:
        """Return the distance to the pericardial sac: the heart with its grooves filled by fat."""
        blend = 18.0 * self.scale
        distance = smooth_union_mm(self.lv_epicardium(points), self.rv_outer(points), blend)
        atria = smooth_union_mm(self.la_outer(points), self.ra_outer(points), blend)
        distance = smooth_union_mm(distance, atria, blend)
        root = tube_mm(points, np.stack([self.root_point(0), self.root_point(40)]), np.array([18.0, 17.0]) * self.scale)
        return smooth_union_mm(distance, root, blend) - self.fat_mm


def draw_heart(rng: np.random.Generator, female: bool) -> Heart:
    """Return a heart with size, position and wall drawn within the range of adults; women's are smaller and thinner."""
    scale = float(np.clip(rng.normal(0.97 if female else 1.02, 0.035), 0.91, 1.09))
    turn = rng.normal(0, 0.09, 3)
    apex = _unit(np.array([0.66, -0.52, -0.54]) + turn)
    septum = np.array([-0.65, -0.76, -0.05]) + rng.normal(0, 0.06, 3)
    septum = _unit(septum - (septum @ apex) * apex)
    anterior = np.cross(septum, apex)
    return Heart(
        scale=scale,
        apex=apex,
        septum=septum,
        anterior=anterior,
        wall_mm=float(np.clip(rng.normal(9.9 if female else 10.9, 1.0), 8.4, 13.2)) * scale,
        atrium_scale=float(np.clip(rng.normal(1.0, 0.05), 0.9, 1.1)),
        root_scale=scale * float(np.clip(rng.normal(1.0, 0.05), 0.92, 1.1)),
        root_axis=_unit(np.array([-0.30, -0.14, 0.92]) + rng.normal(0, 0.05, 3)),
        sinus_turn=float(rng.normal(0.12, 0.12)),
        fat_mm=float(rng.uniform(2.2, 4.5)),
    )
