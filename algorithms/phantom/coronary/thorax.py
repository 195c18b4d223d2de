"""The chest around the heart of the coronary phantom: skin, muscle, bone, lungs, liver.

Points are (..., 3) LPS mm with the aortic annulus at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.phantom.coronary.heart import Heart
from algorithms.phantom.coronary.shapes import (
    box_mm,
    ellipsoid_mm,
    elliptic_cylinder_mm,
    intersection_mm,
    smooth_union_mm,
    union_mm,
)


@dataclass(frozen=True)
class Chest:
    """The numbers that differ from one chest to the next; lengths are mm."""

    half_width: float
    half_depth: float
    subcutaneous: float
    middle_y: float

    def centre(self) -> np.ndarray:
        return np.array([-3.0, self.middle_y, 0.0])

    def skin(self, points: np.ndarray) -> np.ndarray:
        return elliptic_cylinder_mm(points, self.centre(), np.array([self.half_width, self.half_depth]))

    def muscle(self, points: np.ndarray) -> np.ndarray:
        return self.skin(points) + self.subcutaneous

    def cavity(self, points: np.ndarray) -> np.ndarray:
        return self.skin(points) + self.subcutaneous + 16.0

    def ribs(self, points: np.ndarray) -> np.ndarray:
        """Return the distance to slanting ribs, 28 mm apart, in the middle of the chest wall."""
        across = self.skin(points) + self.subcutaneous + 10.0
        angle = (points[..., 1] - self.middle_y) / self.half_depth
        height = points[..., 2] - 26.0 * angle
        along = (height + 14.0) % 28.0 - 14.0
        distance: np.ndarray = np.sqrt((across / 3.8) ** 2 + (along / 6.2) ** 2) * 3.8 - 3.8
        # In front the ribs end in cartilage before the breastbone.
        return intersection_mm(distance, -(points[..., 1] - (self.front() + 26.0)))

    def cartilage(self, points: np.ndarray) -> np.ndarray:
        across = self.skin(points) + self.subcutaneous + 10.0
        height = points[..., 2] - 26.0 * (points[..., 1] - self.middle_y) / self.half_depth
        along = (height + 14.0) % 28.0 - 14.0
        distance: np.ndarray = np.sqrt((across / 3.8) ** 2 + (along / 6.2) ** 2) * 3.8 - 3.8
        return intersection_mm(distance, points[..., 1] - (self.front() + 26.0))

    def front(self) -> float:
        """Return y of the inner chest wall behind the breastbone."""
        return self.middle_y - self.half_depth + self.subcutaneous + 16.0

    def sternum(self, points: np.ndarray) -> np.ndarray:
        return box_mm(points, np.array([-3.0, self.front() - 7.0, 0.0]), np.array([16.0, 6.0, 400.0]), 5.5)

    def spine_y(self) -> float:
        return self.middle_y + self.half_depth - self.subcutaneous - 52.0

    def vertebrae(self, points: np.ndarray) -> np.ndarray:
        centre = np.array([-3.0, self.spine_y(), 0.0])
        waist = 1.5 * np.cos(2 * np.pi * points[..., 2] / 25.0)
        return elliptic_cylinder_mm(points, centre, np.array([17.0, 14.0])) - waist

    def discs(self, points: np.ndarray) -> np.ndarray:
        """Return the distance to the discs between the vertebral bodies, one in 25 mm."""
        level = np.abs((points[..., 2] + 12.5) % 25.0 - 12.5) - 2.2
        return intersection_mm(self.vertebrae(points), level)

    def arches(self, points: np.ndarray) -> np.ndarray:
        """Return the distance to laminae, transverse and spinous processes around the spinal canal."""
        y = self.spine_y()
        ring = np.abs(elliptic_cylinder_mm(points, np.array([-3.0, y + 21.0, 0.0]), np.array([11.0, 10.5]))) - 2.5
        spinous = box_mm(points, np.array([-3.0, y + 42.0, 0.0]), np.array([3.5, 11.0, 400.0]), 2.0)
        transverse = box_mm(points, np.array([-3.0, y + 22.0, 0.0]), np.array([32.0, 5.0, 400.0]), 3.0)
        level = np.abs((points[..., 2] + 2.0) % 25.0 - 12.5) - 7.0
        return union_mm(ring, np.maximum(np.minimum(spinous, transverse), level))

    def canal(self, points: np.ndarray) -> np.ndarray:
        return elliptic_cylinder_mm(points, np.array([-3.0, self.spine_y() + 21.0, 0.0]), np.array([9.0, 8.5]))

    def back_muscles(self, points: np.ndarray) -> np.ndarray:
        y = self.spine_y()
        sides = [
            elliptic_cylinder_mm(points, np.array([-3.0 + s * 26.0, y + 36.0, 0.0]), np.array([22.0, 14.0])) for s in (-1, 1)
        ]
        return union_mm(*sides)

    def oesophagus(self, points: np.ndarray, heart: Heart) -> np.ndarray:
        y = min(heart.at(-26, -19, -5)[1] + 33.0, self.spine_y() - 22.0)
        return elliptic_cylinder_mm(points, np.array([4.0, y, 0.0]), np.array([8.5, 6.0]))

    def liver(self, points: np.ndarray) -> np.ndarray:
        return ellipsoid_mm(points, np.array([-72.0, self.middle_y, -112.0]), np.eye(3), np.array([78.0, 88.0, 62.0]))

    def stomach(self, points: np.ndarray) -> np.ndarray:
        return ellipsoid_mm(points, np.array([60.0, self.middle_y + 5.0, -130.0]), np.eye(3), np.array([80.0, 86.0, 66.0]))

    def mediastinum(self, points: np.ndarray, pericardium_mm: np.ndarray) -> np.ndarray:
        """Return the distance to what lies between the lungs: heart, great vessels, spine and the fat around them.

        ``pericardium_mm`` (...) is the distance of ``points`` to the pericardium, which is dear to compute.
        """
        distance = pericardium_mm - 1.2
        back = elliptic_cylinder_mm(points, np.array([8.0, self.spine_y() - 4.0, 0.0]), np.array([30.0, 34.0]))
        front = elliptic_cylinder_mm(points, np.array([4.0, self.front() + 2.0, 0.0]), np.array([30.0, 15.0]))
        upper = ellipsoid_mm(points, np.array([2.0, 4.0, 75.0]), np.eye(3), np.array([50.0, 44.0, 62.0]))
        distance = smooth_union_mm(distance, back, 14.0)
        distance = smooth_union_mm(distance, front, 18.0)
        return smooth_union_mm(distance, upper, 14.0)

    def lungs(self, points: np.ndarray, pericardium_mm: np.ndarray) -> np.ndarray:
        inner = self.cavity(points) + 1.5
        below = np.minimum(self.liver(points), self.stomach(points)) - 2.5
        spine = self.vertebrae(points) - 2.0
        return intersection_mm(inner, -self.mediastinum(points, pericardium_mm), -below, -spine)


def draw_chest(heart: Heart, rng: np.random.Generator) -> Chest:
    """Return a chest that fits around ``heart``."""
    depth = float(rng.uniform(104, 116)) * heart.scale
    subcutaneous = float(rng.uniform(8, 20))
    # The breastbone lies behind the skin and before the right ventricle, whatever the size of both.
    front = float(heart.at(28, 21, -3)[1] - 34.0 * heart.scale - heart.fat_mm - rng.uniform(9, 14))
    half_depth = depth + subcutaneous
    return Chest(float(rng.uniform(155, 175)), half_depth, subcutaneous, front + half_depth - subcutaneous - 16.0)
